//! The configuration file: where the caches are, who signs, and who is believed (networkcache contract, 5.1 and 5.2).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::Secret;
use client::networkcache::{Access, Artifacts, Entries, ServiceUrl};
use entry::{SigningKey, TrustList};

use super::error::CommandError;
use super::ini::{Ini, IniError};

const SECTION: &str = "networkcache";

/// What slapcache files under if the file does not say.
const UPGRADE_KEY: &str = "slapos-upgrade-testing-key";

/// What a file says.
#[derive(Debug)]
pub(super) struct Configuration {
    /// The options of `[networkcache]` that have a value.
    options: BTreeMap<String, String>,
    upgrade_key: Option<String>,
}

impl Configuration {
    /// Reads a file. Sections of others are passed over; in ours every value must make sense, also those that are not asked
    /// for.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let unreadable = |source| CommandError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let wrong = |source| CommandError::Configuration { path: path.to_owned(), source };
        Self::parse(&text).map_err(wrong)?.ok_or_else(|| CommandError::NoSection { path: path.to_owned() })
    }

    /// `None` when the section is missing.
    fn parse(text: &str) -> Result<Option<Self>, IniError> {
        let ini = Ini::parse(text)?;
        let Some(section) = ini.section(SECTION) else { return Ok(None) };
        let mut options = BTreeMap::new();
        for name in section.names() {
            if let Some(value) = section.get(name)?.filter(|value| !value.is_empty()) {
                options.insert(name.to_owned(), value);
            }
        }
        let upgrade_key = ini.section("shacache").and_then(|section| section.raw("key").map(str::to_owned));
        Ok(Some(Self { options, upgrade_key }))
    }

    /// The key that slapcache files under.
    pub(super) fn upgrade_key(&self) -> &str {
        self.upgrade_key.as_deref().unwrap_or(UPGRADE_KEY)
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    fn get(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(String::as_str)
    }

    fn path(&self, option: &str) -> Option<PathBuf> {
        self.get(option).map(PathBuf::from)
    }

    /// The cache of bytes that an option names.
    pub(super) fn artifacts(&self, option: &'static str) -> Result<Artifacts, CommandError> {
        let (url, access) = self.service(option, "shacache")?;
        Artifacts::new(url.clone(), &access)
            .map_err(|source| CommandError::Build { url: url.to_string(), source })
    }

    /// The cache of entries that an option names.
    pub(super) fn entries(&self, option: &'static str) -> Result<Entries, CommandError> {
        let (url, access) = self.service(option, "shadir")?;
        Entries::new(url.clone(), &access)
            .map_err(|source| CommandError::Build { url: url.to_string(), source })
    }

    fn service(&self, option: &'static str, files: &str) -> Result<(ServiceUrl, Access), CommandError> {
        let url = self.get(option).ok_or(CommandError::NoOption { option })?;
        let url: ServiceUrl = url.parse().map_err(|source| CommandError::Url { option, source })?;
        if !url.is_https() {
            return Ok((url, Access::default()));
        }
        let [ca, certificate, key] =
            ["ca", "cert", "key"].map(|file| self.path(&format!("{files}-{file}-file")));
        Ok((url, Access::from_files(ca.as_deref(), certificate.as_deref(), key.as_deref())?))
    }

    /// The key that signs entries, if there is one. slapcache before 0.1.6 has the option with underscores.
    pub(super) fn signer(&self) -> Result<Option<SigningKey>, CommandError> {
        let path =
            self.path("signature-private-key-file").or_else(|| self.path("signature_private_key_file"));
        let Some(path) = path else { return Ok(None) };
        let text = Secret::new(read(&path)?);
        let key = SigningKey::from_pem(text.expose());
        Ok(Some(key.map_err(|source| CommandError::SigningKey { path, source })?))
    }

    /// Who is believed: nobody is named where it is empty, and then everybody is.
    ///
    /// # Errors
    /// When somebody is named and none of it can be used. The original believes everybody then.
    pub(super) fn trust(&self) -> Result<TrustList, CommandError> {
        let file = self.path("signature-certificate-file").map(|path| read(&path)).transpose()?;
        let list = self.get("signature-certificate-list");
        let trust = TrustList::from_texts(list.into_iter().chain(file.as_deref()))?;
        if trust.is_empty() && (list.is_some() || file.is_some()) {
            return Err(CommandError::NobodyTrusted);
        }
        Ok(trust)
    }
}

fn read(path: &Path) -> Result<String, CommandError> {
    std::fs::read_to_string(path).map_err(|source| CommandError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use base::Timestamp;
    use x509::Serial;

    use super::*;

    fn configuration(text: &str) -> Configuration {
        Configuration::parse(&format!("[networkcache]\n{text}\n")).unwrap().unwrap()
    }

    #[test]
    fn what_is_empty_is_not_there() {
        let ours = configuration("download-cache-url =\nDownload-Dir-URL: http://a/b/");
        let option = |error: CommandError| error.to_string();
        assert_eq!(ours.entries("download-dir-url").unwrap().url().to_string(), "http://a/b");
        let missing = ours.artifacts("download-cache-url").map_err(option).unwrap_err();
        assert_eq!(missing, "the configuration has no `download-cache-url`");
        assert_eq!((ours.has("download-dir-url"), ours.has("download-cache-url")), (true, false));
        let text = Configuration::parse("[x]\nlater = %\n").unwrap();
        assert!(text.is_none());
        // Also what nobody asks for.
        assert!(Configuration::parse("[DEFAULT]\nx = %\n[networkcache]\n").is_err());
        assert!(Configuration::parse("[other]\nx = %\n[networkcache]\n").is_ok());
    }

    #[test]
    fn the_upgrade_key_is_taken_as_it_is() {
        let key = |text: &str| configuration(text).upgrade_key().to_owned();
        assert_eq!(key(""), "slapos-upgrade-testing-key");
        assert_eq!(key("[shacache]\nkey = '50%'"), "'50%'");
        assert_eq!(key("[shacache]"), "slapos-upgrade-testing-key");
    }

    #[test]
    fn files_for_tls_are_read_only_where_they_are_needed() {
        let text = "u = http://a\nshadir-ca-file = /nonexistent";
        assert!(configuration(text).entries("u").is_ok());
        let error = configuration(&text.replace("http:", "https:")).entries("u").unwrap_err();
        assert_eq!(error.to_string(), "could not read /nonexistent");
        let error = configuration("u = ftp://a").entries("u").unwrap_err();
        assert_eq!(error.to_string(), "option `u` cannot be used");
    }

    #[test]
    fn whoever_names_nobody_believes_everybody_and_whoever_fails_to_name_somebody_does_not() {
        let [begin, end] = [1_800_000_000, 4_900_000_000].map(Timestamp::from_unix);
        let key = SigningKey::generate(1024).unwrap();
        let serial = Serial::random(&Entropy::seeded(1));
        let certificate = key.certificate("a", serial, begin, end).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (list, file, secret) =
            (certificate.replace('\n', "\n  "), directory.path().join("c"), directory.path().join("k"));
        std::fs::write(&file, &certificate).unwrap();
        std::fs::write(&secret, key.to_pem().expose()).unwrap();
        let (file, secret) = (file.display(), secret.display());
        for (text, expected) in [
            (String::new(), Ok(0)),
            ("signature-certificate-list =".into(), Ok(0)),
            (format!("signature-certificate-list =\n  {list}"), Ok(1)),
            (format!("signature-certificate-file = {file}"), Ok(1)),
            (
                format!("signature-certificate-list = # us\n  {list}\nsignature-certificate-file = {file}"),
                Ok(2),
            ),
            (
                "signature-certificate-list = junk".into(),
                Err("none of the certificates to be trusted can be used"),
            ),
            (
                format!("signature-certificate-file = {secret}"),
                Err("there is a private key among the certificates to be trusted"),
            ),
            ("signature-certificate-file = /nonexistent".into(), Err("could not read /nonexistent")),
        ] {
            let trust = configuration(&text).trust().map(|trust| trust.trusted().len());
            assert_eq!(trust.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{text}");
        }
        for option in ["signature-private-key-file", "signature_private_key_file"] {
            let signer = configuration(&format!("{option} = {secret}")).signer().unwrap().unwrap();
            assert_eq!(signer.public_key(), key.public_key());
        }
        let error = configuration(&format!("signature-private-key-file = {file}")).signer().unwrap_err();
        assert!(error.to_string().ends_with(" cannot sign"), "{error}");
    }
}

//! What the stock library does when it uploads, selects and downloads (networkcache contract, section 7).

use base::Sha512;
use client::networkcache::{Download, Entries, Sent, Source};
use entry::{Entry, List, New, Object, SigningKey, TrustList};
use percent_encoding::percent_decode_str;

use super::configuration::Configuration;
use super::error::CommandError;
use crate::output;

/// The caches of a configuration, who signs, and who is believed.
pub(super) struct Library {
    configuration: Configuration,
    signer: Option<SigningKey>,
    trust: TrustList,
}

impl Library {
    /// Fails as the stock one does: whoever signs and could not read back what they signed would upload it again and again.
    pub(super) fn open(configuration: Configuration) -> Result<Self, CommandError> {
        let signer = configuration.signer()?;
        let trust = configuration.trust()?;
        for (number, error) in trust.skipped() {
            let number = number + 1;
            output::note(format_args!("certificate {number} of those to be trusted is passed over: {error}"));
        }
        if let Some(signer) = signer.as_ref().filter(|_| configuration.has("download-dir-url")) {
            trust.check_signer(signer)?;
        }
        Ok(Self { configuration, signer, trust })
    }

    /// Uploads a file, unless its bytes are there, and says something about them under `key`, if there is one.
    pub(super) async fn upload(
        &self,
        source: &Source,
        key: Option<&str>,
        metadata: Object,
    ) -> Result<Sha512, CommandError> {
        // As the stock library looks: there are caches that can be read in one place and written in another.
        let looked_up = ["download-cache-url", "upload-cache-url"];
        let option =
            looked_up.into_iter().find(|option| self.configuration.has(option)).unwrap_or(looked_up[0]);
        if !self.configuration.artifacts(option)?.is_there(source.digest).await? {
            self.configuration.artifacts("upload-cache-url")?.post(source, &Sent::default()).await?;
        }
        if let Some(key) = key {
            let new = New { sha512: source.digest, metadata, attestation: None };
            let entry = new.sign(self.signer.as_ref())?;
            self.configuration.entries("upload-dir-url")?.put(&arriving(key), &entry).await?;
        }
        Ok(source.digest)
    }

    /// The entries under `key` that are believed, in the server's order. Where nobody is trusted by name, everybody is: that
    /// is what an empty list means to these programs, while to the node agent it means nobody (networkcache contract, 4.3).
    pub(super) async fn select(&self, key: &str) -> Result<Vec<Entry>, CommandError> {
        let caches: Entries = self.configuration.entries("download-dir-url")?;
        let List { mut entries, skipped } = caches.get(&arriving(key)).await?;
        for (number, error) in skipped {
            output::note(format_args!("entry {} of `{key}` is passed over: {error}", number + 1));
        }
        if !self.trust.is_empty() {
            entries.retain(|entry| self.trust.verified_by(entry).is_some());
        }
        Ok(entries)
    }

    /// Begins to fetch bytes.
    pub(super) async fn download(&self, digest: Sha512) -> Result<Download, CommandError> {
        Ok(self.configuration.artifacts("download-cache-url")?.get(digest).await?)
    }

    /// The key that slapcache files under.
    pub(super) fn upgrade_key(&self) -> &str {
        self.configuration.upgrade_key()
    }
}

/// What arrives of a key that old clients put into a URL as it is: a query and a fragment do not, and escapes are what they
/// stand for.
fn arriving(key: &str) -> String {
    let end = key.find(['#', '?']).unwrap_or(key.len());
    let path = &key[..end];
    percent_decode_str(path).decode_utf8().map_or_else(|_| path.to_owned(), |decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_arrive_as_they_do_from_old_clients() {
        for (key, expected) in [
            ("pypi:x=1.0", "pypi:x=1.0"),
            ("a#b", "a"),
            ("a?b#c", "a"),
            ("a%20b", "a b"),
            ("50%k", "50%k"),
            ("%ff", "%ff"),
            ("é", "é"),
        ] {
            assert_eq!(arriving(key), expected);
        }
    }
}

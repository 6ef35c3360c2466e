//! `networkcache-upload` (networkcache contract, 8.1).

use std::path::{Path, PathBuf};

use base::{Entropy, Sha512};
use clap::Parser;
use client::networkcache::Source;
use client::origin;
use entry::{Object, Value, json, keys};
use std::io::Write as _;
use tokio::io::AsyncReadExt as _;

use super::configuration::Configuration;
use super::error::CommandError;
use super::library::Library;
use super::temporary::{Temporary, directory_of};
use super::{Ended, usage};
use crate::archive;
use crate::output;

/// Put a file into a network cache, and say under a key what it is
#[derive(Parser)]
#[command(name = "networkcache-upload", infer_long_args = true, args_override_self = true)]
pub(super) struct Line {
    /// The configuration file
    #[arg(short, long, value_name = "CONFIG")]
    config: PathBuf,
    /// The key under which the entry is filed, as in SCHEME:NAME. Without --key and --url the file is uploaded, and nothing
    /// is said of it
    #[arg(short, long, value_name = "KEY", conflicts_with = "url")]
    key: Option<String>,
    /// What is uploaded unless --file says otherwise: a directory, which is packed, or what a URL names. The key is then
    /// file-urlmd5: and the MD5 of this text
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// The file that is uploaded
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A file with metadata: a JSON object
    #[arg(short, long, value_name = "METADATA")]
    metadata: Option<PathBuf>,
    /// Print the SHA-512 of what was uploaded
    #[arg(long)]
    print_digest: bool,
    /// More metadata, which overrides the file's; the values are text
    #[arg(value_name = "KEY=VALUE")]
    words: Vec<String>,
}

/// Names that the original's functions have for themselves.
const RESERVED: [&str; 4] = ["sha512", "key", "file_descriptor", "self"];

impl Line {
    pub(super) async fn run(self, entropy: &Entropy) -> Result<(), Ended> {
        // As the original's options are: one that is empty is not there.
        let url = self.url.as_deref().filter(|url| !url.is_empty());
        let given = self.key.clone().filter(|key| !key.is_empty());
        if self.file.is_none() && url.is_none() {
            return Err(usage::<Self>("either --file or --url is required"));
        }
        if let Err(error) = std::fs::File::open(&self.config) {
            return Err(usage::<Self>(format_args!("can't open '{}': {error}", self.config.display())));
        }
        let key = given.or_else(|| url.map(keys::file));
        let metadata = match &key {
            Some(_) => self.metadata(url)?,
            // Nothing is said: then it does not matter what.
            None => Object::new(),
        };
        let library = Library::open(Configuration::read(&self.config)?)?;
        let digest = self.upload(url, &library, key.as_deref(), metadata, entropy).await?;
        if self.print_digest {
            output::data(&format!("{digest}\n")).map_err(CommandError::Output)?;
        }
        Ok(())
    }

    /// That of the file, overridden by the words, and the URL unless one of both has another.
    fn metadata(&self, url: Option<&str>) -> Result<Object, CommandError> {
        let mut metadata = match &self.metadata {
            Some(path) => read_metadata(path)?,
            None => Object::new(),
        };
        for word in &self.words {
            let (name, value) = word.split_once('=').ok_or_else(|| CommandError::Word(word.clone()))?;
            metadata.insert(name, Value::text(value));
        }
        if let Some(name) = RESERVED.into_iter().find(|name| metadata.get(name).is_some()) {
            return Err(CommandError::Reserved(name.to_owned()));
        }
        if let Some(url) = url.filter(|_| metadata.get("url").is_none()) {
            metadata.insert("url", Value::text(url));
        }
        Ok(metadata)
    }

    async fn upload(
        &self,
        url: Option<&str>,
        library: &Library,
        key: Option<&str>,
        metadata: Object,
        entropy: &Entropy,
    ) -> Result<Sha512, CommandError> {
        // Kept until the upload is over.
        let temporary = match (&self.file, url) {
            (Some(file), _) => copied(file, entropy).await?,
            (None, Some(url)) => Some(fetched(url, entropy).await?),
            (None, None) => None,
        };
        let file = temporary.as_ref().map(Temporary::path).or(self.file.as_deref()).unwrap_or(Path::new(""));
        let source = Source::of(file).await?;
        library.upload(&source, key, metadata).await
    }
}

fn read_metadata(path: &Path) -> Result<Object, CommandError> {
    let path = path.to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(CommandError::Unreadable { path, source }),
    };
    match json::read(&text) {
        Ok(Value::Object(metadata)) => Ok(metadata),
        Ok(_) => Err(CommandError::NotADictionary { path }),
        Err(source) => Err(CommandError::Metadata { path, source }),
    }
}

/// A copy of what can be read only once, as from a pipe; nothing for a file.
async fn copied(path: &Path, entropy: &Entropy) -> Result<Option<Temporary>, CommandError> {
    let unreadable = |source| CommandError::Unreadable { path: path.to_owned(), source };
    let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
    if found.is_file() || found.is_dir() {
        return Ok(None);
    }
    let mut copy = Temporary::new(&std::env::temp_dir(), entropy)?;
    let mut from = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        let read = from.read(&mut piece).await.map_err(unreadable)?;
        if read == 0 {
            return Ok(Some(copy));
        }
        let written = copy.file.write_all(&piece[..read]);
        written.map_err(|source| CommandError::Unwritable { path: copy.path().to_owned(), source })?;
    }
}

/// What a URL names, in a file: that beside a directory which is packed.
async fn fetched(url: &str, entropy: &Entropy) -> Result<Temporary, CommandError> {
    let directory = Path::new(url);
    if directory.is_dir() {
        let mut temporary = Temporary::new(directory_of(directory), entropy)?;
        let packed = archive::pack(directory, &mut temporary.file).await;
        packed.map_err(|source| CommandError::Archive { path: directory.to_owned(), source })?;
        return Ok(temporary);
    }
    let mut temporary = Temporary::new(&std::env::temp_dir(), entropy)?;
    origin::fetch(url, &mut temporary.file).await?;
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use entry::python;

    use super::*;

    fn metadata(file: &str, words: &[&str], url: Option<&str>) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m");
        std::fs::write(&path, file).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let line = [&["networkcache-upload", "--conf", "c", "-m", &path], words].concat();
        let line = Line::try_parse_from(line).unwrap();
        let metadata = line.metadata(url).map(|object| python::dumps(&Value::Object(object)));
        metadata.map_err(|error| base::report(&error).replace(&path, "FILE"))
    }

    #[test]
    fn words_override_the_file_and_both_the_url() {
        let file = r#"{"n": 1.0, "a": 2, "x": NaN}"#;
        for (file, words, url, expected) in [
            (
                file,
                &["a=1", "b=x=y", "=e"][..],
                None,
                r#"{"n": 1.0, "a": "1", "x": NaN, "b": "x=y", "": "e"}"#,
            ),
            ("{}", &["a=1"], Some("u"), r#"{"a": "1", "url": "u"}"#),
            ("{}", &["url=mine"], Some("u"), r#"{"url": "mine"}"#),
            (r#"{"url": 1}"#, &[], Some("u"), r#"{"url": 1}"#),
            ("{}", &[], None, "{}"),
        ] {
            assert_eq!(metadata(file, words, url).as_deref(), Ok(expected));
        }
        for (file, words, expected) in [
            ("[]", &[][..], "Not a dictionary: FILE"),
            ("1", &[], "Not a dictionary: FILE"),
            ("{}", &["a"], "`a` is not KEY=VALUE"),
            ("{}", &[""], "`` is not KEY=VALUE"),
            ("{}", &["key=1"], "`key` cannot be a name of metadata"),
            (r#"{"sha512": 1}"#, &[], "`sha512` cannot be a name of metadata"),
        ] {
            assert_eq!(metadata(file, words, None), Err(expected.to_owned()));
        }
        assert!(metadata("{", &[], None).unwrap_err().starts_with("FILE: "));
    }
}

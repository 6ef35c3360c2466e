//! The stock clients of the artifact cache: PyPI's `slapos.libnetworkcache` and `slapcache`, unmodified.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::house::House;
use crate::openssl::openssl_ok;
use crate::process::{Ran, run};
use crate::witness::witness;

/// Somebody who signs what they upload, in a directory of their own.
#[derive(Debug)]
pub struct NetworkCache {
    directory: TempDir,
}

impl NetworkCache {
    /// One who reads from `house` over HTTP and writes over HTTPS, with the certificate in `identity`, whose key is in it
    /// as well; and who trusts what they signed themselves, with a key of 1024 bits as the old nodes have.
    #[must_use]
    pub fn of(house: &House, identity: &Path) -> Self {
        let client = Self { directory: tempfile::tempdir().unwrap() };
        let arguments = ["req", "-x509", "-newkey", "rsa:1024", "-sha1", "-nodes", "-days", "1000", "-subj"];
        let arguments =
            [&arguments[..], &["/CN=COMP-test", "-keyout", "sign.key", "-out", "sign.crt"]].concat();
        openssl_ok(client.directory(), &arguments);
        client.write_configuration(house, identity, &[&client.certificate()]);
        client
    }

    /// From now on, this house; believes who signed with the keys of these certificates (PEM), in this order.
    pub fn write_configuration(&self, house: &House, identity: &Path, trusted: &[&str]) {
        let (http, https) = (house.http_url(""), house.https_url(""));
        let (http, https) = (http.trim_end_matches('/'), https.trim_end_matches('/'));
        let ca = house.data().join("server-ca.pem");
        let (ca, identity) = (ca.display(), identity.display());
        let trusted = trusted.concat().replace('\n', "\n  ");
        let key = self.path("sign.key");
        let tls = |service: &str| {
            format!(
                "{service}-ca-file = {ca}\n{service}-cert-file = {identity}\n{service}-key-file = {identity}\n"
            )
        };
        let text = format!(
            "[networkcache]\n\
             download-cache-url = {http}/shacache\n\
             download-dir-url = {http}/shadir\n\
             upload-cache-url = {https}/shacache\n\
             upload-dir-url = {https}/shadir\n\
             signature-private-key-file = {}\n\
             signature-certificate-list =\n  {trusted}\n\
             {}{}\
             [shacache]\n\
             key = slapos-test-key\n",
            key.display(),
            tls("shacache"),
            tls("shadir"),
        );
        std::fs::write(self.path("cache.cfg"), text).unwrap();
    }

    /// Where the client works.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A file there.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The certificate of the key that it signs with, PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        std::fs::read_to_string(self.path("sign.crt")).unwrap()
    }

    /// Writes a file there.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// `networkcache-upload -c cache.cfg` and `arguments`.
    #[track_caller]
    pub fn upload(&self, arguments: &[&str]) -> Ran {
        self.program("networkcache-upload", &[&["-c", "cache.cfg"], arguments].concat())
    }

    /// `networkcache-download -c cache.cfg` and `arguments`.
    #[track_caller]
    pub fn download(&self, arguments: &[&str]) -> Ran {
        self.program("networkcache-download", &[&["-c", "cache.cfg"], arguments].concat())
    }

    /// A program of the stock clients, in this directory.
    #[track_caller]
    pub fn program(&self, name: &str, arguments: &[&str]) -> Ran {
        run(Command::new(witness(name)).current_dir(self.directory()).args(arguments))
    }

    /// A program of ours in the place of theirs.
    #[track_caller]
    pub fn ours(&self, program: &Path, arguments: &[&str]) -> Ran {
        run(Command::new(program).current_dir(self.directory()).env_clear().args(arguments))
    }

    /// Python that has the stock library at hand.
    #[track_caller]
    pub fn python(&self, program: &str) -> Ran {
        self.program("python", &["-c", program])
    }
}

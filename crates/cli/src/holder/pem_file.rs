//! A file of PEM blocks: certificates, keys, signing requests and revocation lists, in any order.
//!
//! It is read as a whole or not at all: what cannot be read may be what was looked for. Text outside of blocks is passed
//! over, and a file that is empty has nothing in it; one with text and no block is no PEM.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use base::Secret;
use x509::pem::{self, SEVERAL_BYTES_MAX};
use x509::{Certificate, Crl, KeyError, PrivateKey, SigningRequest};

use super::pem_file_error::{Der, PemFileError};

/// What BEGIN lines call things.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";
pub(super) const LIST: &str = "X509 CRL";
const REQUESTS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
/// How those of all private keys end.
pub(super) const KEY: &str = "PRIVATE KEY";

/// Room for what comes out of a pipe, which has no length: more than a key and its certificate take.
const PIPE_BYTES: u64 = 64 * 1024;

/// What is in a file, each kind in order.
#[derive(Debug, Default)]
pub(crate) struct Pem {
    /// Also of version 1, as a holder may have one. They are not to be trusted as authorities: see
    /// [`super::Collection`].
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) keys: Vec<PrivateKey>,
    /// Whether the last of the keys is written as PKCS#8.
    pub(crate) is_pkcs8: bool,
    /// Signed by the keys they are for.
    pub(crate) requests: Vec<SigningRequest>,
    pub(crate) lists: Vec<Crl>,
    /// What the BEGIN lines of all other blocks say.
    pub(crate) others: Vec<String>,
}

/// A block of which nothing is known but its name: it may be a key.
pub(super) struct Block {
    pub(super) label: String,
    has_headers: bool,
    pub(super) der: Secret<Vec<u8>>,
}

impl Pem {
    /// What is in the file at `path`, which has at most [`SEVERAL_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// When there is no file, it cannot be read, or anything in it is not what it is called.
    pub(crate) fn read(path: &Path) -> Result<Self, PemFileError> {
        let mut pem = Self::default();
        for block in blocks(path, SEVERAL_BYTES_MAX)? {
            pem.add(block, path)?;
        }
        Ok(pem)
    }

    /// The same of a file that is read once, and may be a pipe.
    ///
    /// # Errors
    /// As [`Pem::read`].
    pub(crate) fn read_once(path: &Path) -> Result<Self, PemFileError> {
        let mut pem = Self::default();
        for block in blocks_in(bytes_of(path, SEVERAL_BYTES_MAX, true)?, path, SEVERAL_BYTES_MAX)? {
            pem.add(block, path)?;
        }
        Ok(pem)
    }

    fn add(&mut self, block: Block, path: &Path) -> Result<(), PemFileError> {
        let path = || path.to_owned();
        match block.label.as_str() {
            CERTIFICATE => {
                let number = self.certificates.len() + 1;
                let certificate = Certificate::from_holder_der(block.der.expose())
                    .map_err(|source| PemFileError::Certificate { path: path(), number, source })?;
                self.certificates.push(certificate);
            }
            label if label.ends_with(KEY) => {
                self.is_pkcs8 = label == KEY;
                self.keys.push(read_key(&block).map_err(|error| match error {
                    KeyError::Encrypted => PemFileError::Encrypted(path()),
                    source => PemFileError::Key { path: path(), source },
                })?)
            }
            label if REQUESTS.contains(&label) => {
                let request = SigningRequest::from_der(block.der.expose())
                    .map_err(|source| PemFileError::Request { path: path(), source })?;
                self.requests.push(request);
            }
            LIST => {
                let number = self.lists.len() + 1;
                let list = Crl::from_der(block.der.expose()).map_err(|source| PemFileError::List {
                    path: path(),
                    number,
                    source,
                })?;
                self.lists.push(list);
            }
            _ => self.others.push(block.label),
        }
        Ok(())
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> usize {
        self.certificates.len() + self.keys.len() + self.requests.len() + self.lists.len() + self.others.len()
    }
}

fn read_key(block: &Block) -> Result<PrivateKey, KeyError> {
    if block.has_headers {
        // What RFC 1421 headers say of a key is that it is encrypted.
        return Err(KeyError::Encrypted);
    }
    let text = Secret::new(pem::write(&block.label, block.der.expose()));
    PrivateKey::from_pem(text.expose())
}

/// All blocks in the file at `path`, which has at most `bytes_max` bytes; nothing has been looked into.
pub(super) fn blocks(path: &Path, bytes_max: usize) -> Result<Vec<Block>, PemFileError> {
    blocks_in(bytes(path, bytes_max)?, path, bytes_max)
}

fn blocks_in(text: Secret<Vec<u8>>, path: &Path, bytes_max: usize) -> Result<Vec<Block>, PemFileError> {
    let text = text.expose();
    let blocks = pem::read(text, bytes_max)
        .map_err(|source| PemFileError::Broken { path: path.to_owned(), source })?;
    if blocks.is_empty() && !text.trim_ascii().is_empty() {
        return Err(PemFileError::NotPem { path: path.to_owned(), der: Der::of(text) });
    }
    let secret = |block: pem::Block| Block {
        label: block.label,
        has_headers: block.has_headers,
        der: Secret::new(block.der),
    };
    Ok(blocks.into_iter().map(secret).collect())
}

/// What is in the file at `path`, which has at most `bytes_max` bytes.
pub(super) fn bytes(path: &Path, bytes_max: usize) -> Result<Secret<Vec<u8>>, PemFileError> {
    bytes_of(path, bytes_max, false)
}

fn bytes_of(path: &Path, bytes_max: usize, may_be_pipe: bool) -> Result<Secret<Vec<u8>>, PemFileError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PemFileError::Missing(path.to_owned()),
        _ => PemFileError::Unreadable { path: path.to_owned(), source },
    };
    let too_large = || PemFileError::TooLarge { path: path.to_owned(), bytes_max };
    // A pipe would wait for whoever writes into it.
    let found = std::fs::metadata(path).map_err(unreadable)?;
    let is_pipe = found.file_type().is_fifo() && may_be_pipe;
    if !found.is_file() && !is_pipe {
        return Err(PemFileError::Irregular(path.to_owned()));
    }
    let length = if is_pipe { PIPE_BYTES } else { found.len() };
    let length = usize::try_from(length).ok().filter(|length| *length <= bytes_max);
    let file = File::open(path).map_err(unreadable)?;
    // Room for all of it from the start, so that growing leaves no copies of a key behind.
    let mut bytes = Secret::new(Vec::with_capacity(length.ok_or_else(too_large)? + 1));
    file.take(bytes_max as u64 + 1).read_to_end(bytes.expose_mut()).map_err(unreadable)?;
    if bytes.expose().len() > bytes_max {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The permission bits of the file at `path` where others than its owner may read or change it: that is too much for a
/// key. Nothing where there is no file.
pub(crate) fn exposed(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::path::PathBuf;

    use base::{Entropy, Explain as _, report};
    use x509::{KeySpec, Name};

    use super::super::witness::{self, openssl};
    use super::*;

    /// What is said of a file with `bytes`, and the hint, both without its folder.
    fn refused(bytes: impl AsRef<[u8]>) -> (String, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, bytes).unwrap();
        let error = Pem::read(&path).unwrap_err();
        let plain = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
        (plain(report(&error)), error.help().map(plain))
    }

    #[test]
    fn everything_is_found_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let run = |command: &str| openssl(folder.path(), command);
        run("genrsa -traditional -out pkcs1 2048");
        run("pkey -in pkcs1 -out pkcs8");
        run("ecparam -name prime256v1 -genkey -noout -out sec1");
        run("ecparam -name secp384r1 -genkey -out with_parameters");
        run("genpkey -algorithm ed25519 -out ed25519");
        run("req -new -key ed25519 -subj /CN=holder -out request");
        // Of version 1, as `openssl x509 -req` makes them.
        run("x509 -req -in request -signkey ed25519 -days 9 -out certificate");
        let names =
            ["certificate", "pkcs1", "pkcs8", "sec1", "with_parameters", "ed25519", "request", "certificate"];
        let all: String = names.iter().map(|name| std::fs::read_to_string(at(name)).unwrap()).collect();
        std::fs::write(at("all"), format!("text\r\n{}", all.replace('\n', "\r\n"))).unwrap();
        let pem = Pem::read(&at("all")).unwrap();
        assert_eq!((pem.certificates.len(), pem.keys.len(), pem.requests.len()), (2, 5, 1));
        assert_eq!((pem.others.as_slice(), pem.count()), (&["EC PARAMETERS".to_owned()][..], 9));
        assert!(pem.keys[0].public() == pem.keys[1].public());
        assert!(pem.keys[4].public() == pem.requests[0].public_key());
        assert!(pem.keys[4].public() == pem.certificates[1].public_key());
        for empty in ["", " \n\n"] {
            std::fs::write(at("empty"), empty).unwrap();
            assert_eq!(Pem::read(&at("empty")).unwrap().count(), 0);
        }
    }

    #[test]
    fn what_is_wrong_names_the_file_and_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        let run = |command: &str| openssl(folder.path(), command);
        run("genrsa -traditional -out key 2048");
        run("genrsa -out small 1024");
        run("pkey -in key -aes128 -passout pass:word -out encrypted");
        run("rsa -in key -traditional -aes128 -passout pass:word -out headers");
        run("genpkey -algorithm x25519 -out kind");
        run("req -x509 -new -key key -subj /CN=a -out certificate");
        run("x509 -in certificate -outform DER -out certificate.der");
        run("pkey -in key -outform DER -out key.der");
        run("pkcs8 -topk8 -nocrypt -in key -outform DER -out pkcs8.der");
        let text = String::from_utf8(read("certificate")).unwrap();
        let key = String::from_utf8(read("key")).unwrap();
        let hint = |text: &str| Some(text.to_owned());
        for (bytes, expected, help) in [
            (
                text[..text.len() - 40].into(),
                "f is no whole PEM: the PEM block `CERTIFICATE` has no END line of its own",
                None,
            ),
            (
                format!("{text}{}", pem::write("CERTIFICATE", b"0\x03\x02\x01\x00")).into(),
                "certificate 2 in f cannot be read: the certificate is malformed",
                None,
            ),
            (
                read("certificate.der"),
                "f is no PEM, but DER",
                hint("`openssl x509 -inform DER -in f -out f.pem` converts it"),
            ),
            (
                read("key.der"),
                "f is no PEM, but DER",
                hint("`openssl pkey -inform DER -in f -out f.pem` converts it"),
            ),
            (
                read("pkcs8.der"),
                "f is no PEM, but DER",
                hint("`openssl pkey -inform DER -in f -out f.pem` converts it"),
            ),
            (b"hello".into(), "f is no PEM", None),
            (vec![0, 1, 2], "f is no PEM", None),
            (
                read("encrypted"),
                "the private key in f is encrypted",
                hint("`openssl pkey -in f -out f.clear && mv f.clear f` removes the passphrase"),
            ),
            (
                read("headers"),
                "the private key in f is encrypted",
                hint("`openssl pkey -in f -out f.clear && mv f.clear f` removes the passphrase"),
            ),
            (
                read("kind"),
                "the private key in f cannot be used: keys of the kind 1.3.101.110 are not supported",
                hint("RSA from 2048 to 8192 bits, ECDSA with P-256 or P-384, and Ed25519 are"),
            ),
            (
                key.replacen("\nMII", "\nMIJ", 1).into(),
                "the private key in f cannot be used: the key is malformed",
                None,
            ),
        ] {
            assert_eq!(refused(bytes), (expected.to_owned(), help));
        }
        let (said, _) = refused(read("small"));
        assert_eq!(said, "the private key in f cannot be used: RSA keys of 1024 bits are not supported");
        let (said, _) = refused(vec![b'a'; SEVERAL_BYTES_MAX + 1]);
        assert_eq!(said, "f is longer than 16777216 bytes");
        let (said, _) = refused(pem::write("CERTIFICATE REQUEST", b"x"));
        assert!(said.starts_with("the signing request in f cannot be read: "), "{said}");
        let (said, _) = refused(pem::write("X509 CRL", b"x"));
        assert!(said.starts_with("revocation list 1 in f cannot be read: "), "{said}");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |path: PathBuf| Pem::read(&path).unwrap_err();
        assert!(matches!(kind(folder.path().join("absent")), PemFileError::Missing(_)));
        assert!(matches!(kind(folder.path().to_owned()), PemFileError::Irregular(_)));
        let pipe = folder.path().join("pipe");
        witness::run(std::process::Command::new("mkfifo").arg(&pipe));
        assert!(matches!(kind(pipe), PemFileError::Irregular(_)));
        let below = folder.path().join("file");
        std::fs::write(&below, "").unwrap();
        // The superuser may read everything, but not what is below a file.
        assert!(matches!(kind(below.join("x")), PemFileError::Unreadable { .. }));
    }

    #[test]
    fn a_key_is_exposed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        assert_eq!(exposed(&path), None);
        std::fs::write(&path, "").unwrap();
        for (mode, expected) in [(0o600, None), (0o400, None), (0o640, Some(0o640)), (0o604, Some(0o604))] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(exposed(&path), expected);
        }
    }

    #[test]
    fn a_key_of_ours_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let key = PrivateKey::generate(KeySpec::P384).unwrap();
        let certificate =
            witness::certificate(&key, &Name::from_common_name("a").unwrap(), 0, &Entropy::seeded(1));
        std::fs::write(&path, certificate.to_pem() + key.to_pem().expose()).unwrap();
        let pem = Pem::read(&path).unwrap();
        assert!(pem.keys[0].public() == key.public() && pem.certificates == [certificate]);
    }
}

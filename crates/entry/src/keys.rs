//! The names under which entries are filed (networkcache contract, section 6).
//!
//! MD5 makes short names of URLs here and protects nothing. It is over the URL's exact bytes: `http` and `https`, with a
//! slash in the end and without, `%7E` and `~` are all different.

use md5::{Digest as _, Md5};

/// What slapcache files under if nothing else is said.
pub const UPGRADE_KEY: &str = "slapos-global-key";

/// What the keys of files begin with.
const FILE: &str = "file-urlmd5:";

/// The MD5 of a text's UTF-8, as 32 lower-case hexadecimal digits.
#[must_use]
pub fn md5_hex(text: &str) -> String {
    base::hex::encode(&Md5::digest(text.as_bytes()))
}

/// For the file that was fetched from `url`.
#[must_use]
pub fn file(url: &str) -> String {
    format!("{FILE}{}", md5_hex(url))
}

/// Whether `key` is one of files that were fetched from somewhere.
#[must_use]
pub fn is_file(key: &str) -> bool {
    key.starts_with(FILE)
}

/// For an egg, a source distribution or a wheel of the Python package index.
#[must_use]
pub fn pypi(name: &str, version: &str) -> String {
    format!("pypi:{name}={version}")
}

/// For the compiled software release of `url`.
#[must_use]
pub fn release(url: &str) -> String {
    md5_hex(url)
}

/// For the software release that somebody names by its URL, or by the MD5 of that: a text that begins with 32
/// hexadecimal digits is taken for the MD5, whatever follows.
#[must_use]
pub fn release_named(url_or_md5: &str) -> String {
    match url_or_md5.get(..32) {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => url_or_md5.to_owned(),
        _ => release(url_or_md5),
    }
}

/// Whether `key` looks like that of a compiled software release: 32 lower-case hexadecimal digits.
#[must_use]
pub fn is_release(key: &str) -> bool {
    key.len() == 32 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// For the digest that slapcache files beside a file under `upgrade_key`.
#[must_use]
pub fn companion(upgrade_key: &str) -> String {
    format!("{upgrade_key}-sha256-content")
}

/// For the file from `url`, as older buildouts filed it.
#[must_use]
pub fn old_file(url: &str) -> String {
    let prefix = if url.contains("pypi") { "pypi-buildout-" } else { "slapos-buildout-" };
    format!("{prefix}{}", md5_hex(url))
}

/// For the page `url` of a package index that was fetched for `requirement`, as older buildouts filed it.
#[must_use]
pub fn old_index(url: &str, requirement: &str) -> String {
    format!("pypi-index-{}-{requirement}", md5_hex(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_in_the_field() {
        // The contract's 19.1.
        let aspell = "https://ftp.gnu.org/gnu/aspell/aspell-0.60.7.tar.gz";
        let slaprunner = "https://lab.nexedi.com/nexedi/slapos/raw/1.0.102/software/slaprunner/software.cfg";
        for (name, expected) in [
            (file(aspell), "file-urlmd5:f213fcd8e97aa729f685b8cb71b976a7"),
            (release(slaprunner), "cccdc51a07e8c575c880f2d70dd4d458"),
            (release_named(slaprunner), "cccdc51a07e8c575c880f2d70dd4d458"),
            (release_named("cccdc51a07e8c575c880f2d70dd4d458"), "cccdc51a07e8c575c880f2d70dd4d458"),
            (release_named("é"), "66ddcd97cfdeabb2f6fb8a999b4bc76f"),
            (pypi("pytz", "2016.10"), "pypi:pytz=2016.10"),
            (companion(UPGRADE_KEY), "slapos-global-key-sha256-content"),
            (old_file(aspell), "slapos-buildout-f213fcd8e97aa729f685b8cb71b976a7"),
            (old_file("http://pypi"), "pypi-buildout-755dbd1d22e8ce0b54a437cc49576436"),
            (old_index("http://pypi", "a==1"), "pypi-index-755dbd1d22e8ce0b54a437cc49576436-a==1"),
            (md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e"),
        ] {
            assert_eq!(name, expected);
        }
        assert!(is_release(&release(slaprunner)));
        assert!(!is_release(&file(aspell)) && !is_release(&release(slaprunner).to_uppercase()));
    }
}

//! A file on a host that has all certificates of a bundle: one after the other, or in a keystore of Java's.

use base::{Explain, Kind};
use x509::has_private_key;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The longest command of a hook, in bytes.
const HOOK_BYTES_MAX: usize = 4096;
/// The longest name of a user or a group (`useradd(8)`).
const NAME_BYTES_MAX: usize = 32;

/// Where the house keeps its own records on a host: no place for anybody's file.
const OURS: [&str; 2] = ["/var/lib/provost-trust", "/run/provost-trust"];
/// What is no place for files that stay.
const NO_PLACES: [&str; 3] = ["/proc", "/sys", "/dev"];

/// That a file is a keystore of Java's, PKCS#12, which has the certificates as trusted ones and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keystore {
    password_file: Option<String>,
}

impl Keystore {
    /// One with the password that is in the first line of this file on the host; `changeit`, as everybody's has, where none is
    /// named. It protects nothing that is secret, but Java asks for one.
    ///
    /// # Errors
    /// [`BadPlace::Path`].
    pub fn new(password_file: Option<&str>) -> Result<Self, BadPlace> {
        let password_file = password_file.map(plain_path).transpose()?;
        Ok(Self { password_file: password_file.map(str::to_owned) })
    }

    /// The file on the host that has its password.
    #[must_use]
    pub fn password_file(&self) -> Option<&str> {
        self.password_file.as_deref()
    }
}

/// A file on a host that has all certificates of a bundle, one after the other, as PEM: root's, and for all to read, unless
/// said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlace {
    path: String,
    owner: String,
    group: String,
    mode: u32,
    hook: Option<String>,
    adopts: bool,
    keystore: Option<Keystore>,
}

/// Why a file on a host cannot be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPlace {
    /// The path is relative, leads through `.` or `..`, names a folder, is too long, or cannot be said.
    #[error("`{0}` is not the absolute path of a file")]
    Path(String),
    /// It is a place of the system's, or of our own records.
    #[error("`{0}` is no place for certificates")]
    Forbidden(String),
    /// The user or the group is no name or number.
    #[error("`{0}` is not the name of a user or of a group")]
    Name(String),
    /// The mode is not one of a file that is only read and written.
    #[error("`{0}` is not the mode of a file: `0644`")]
    Mode(String),
    /// What is no keystore has a password.
    #[error("only a keystore has a password: say that the file is one")]
    Password,
    /// The hook is empty, too long, or has more than one line, or a private key is in it.
    #[error("a hook is one line of a shell, of at most {HOOK_BYTES_MAX} bytes and without private keys")]
    Hook,
}

impl Explain for BadPlace {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Path(_) => {
                Some("write it from the root on, without `.` and `..`: `/etc/ssl/our-cas.pem`".into())
            }
            Self::Mode(_) => Some("three or four octal digits, at most 0777".into()),
            Self::Hook => Some("put what is longer into a script on the host".into()),
            Self::Forbidden(_) | Self::Name(_) | Self::Password => None,
        }
    }
}

impl FilePlace {
    /// A file at `path`, of root's, with the mode 0644 and without a hook.
    ///
    /// # Errors
    /// [`BadPlace::Path`] and [`BadPlace::Forbidden`].
    pub fn new(path: &str) -> Result<Self, BadPlace> {
        let path = plain_path(path)?;
        let is_in = |folder: &&str| {
            path.strip_prefix(*folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if OURS.iter().chain(&NO_PLACES).any(is_in) {
            return Err(BadPlace::Forbidden(path.to_owned()));
        }
        let root = || "root".to_owned();
        Ok(Self {
            path: path.to_owned(),
            owner: root(),
            group: root(),
            mode: 0o644,
            hook: None,
            adopts: false,
            keystore: None,
        })
    }

    /// Whose it is: the name of a user, or a number.
    ///
    /// # Errors
    /// [`BadPlace::Name`].
    pub fn with_owner(mut self, owner: &str) -> Result<Self, BadPlace> {
        self.owner = plain(owner)?;
        Ok(self)
    }

    /// Which group's it is: its name, or a number.
    ///
    /// # Errors
    /// [`BadPlace::Name`].
    pub fn with_group(mut self, group: &str) -> Result<Self, BadPlace> {
        self.group = plain(group)?;
        Ok(self)
    }

    /// Who may read and write it, as `chmod` takes it in octal digits: `0640`.
    ///
    /// # Errors
    /// [`BadPlace::Mode`].
    pub fn with_mode(mut self, mode: &str) -> Result<Self, BadPlace> {
        let bad = || BadPlace::Mode(mode.chars().filter(|c| !c.is_control()).take(20).collect());
        let is_octal =
            (3..=4).contains(&mode.len()) && mode.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        self.mode =
            u32::from_str_radix(mode, 8).ok().filter(|mode| is_octal && *mode <= 0o777).ok_or_else(bad)?;
        Ok(self)
    }

    /// What a shell on the host runs, as root, after the bytes of the file have changed: `systemctl reload nginx`.
    ///
    /// # Errors
    /// [`BadPlace::Hook`].
    pub fn with_hook(mut self, hook: &str) -> Result<Self, BadPlace> {
        if hook.trim().is_empty()
            || hook.len() > HOOK_BYTES_MAX
            || hook.chars().any(|c| c.is_control() && c != '\t')
            || has_private_key(hook.as_bytes())
        {
            return Err(BadPlace::Hook);
        }
        self.hook = Some(hook.to_owned());
        Ok(self)
    }

    /// Is a keystore, which `keytool` makes on the host.
    #[must_use]
    pub fn with_keystore(mut self, keystore: Keystore) -> Self {
        self.keystore = Some(keystore);
        self
    }

    /// Takes the place of a file that is there and was not put there by us: that one is lost, and there is none when this
    /// one goes.
    #[must_use]
    pub fn adopting(mut self) -> Self {
        self.adopts = true;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Which group's it is.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// Who may read and write it.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// What is run after it has changed.
    #[must_use]
    pub fn hook(&self) -> Option<&str> {
        self.hook.as_deref()
    }

    /// That it is a keystore, if it is one.
    #[must_use]
    pub fn keystore(&self) -> Option<&Keystore> {
        self.keystore.as_ref()
    }

    /// Whether it takes the place of a file that was not put there by us.
    #[must_use]
    pub fn adopts(&self) -> bool {
        self.adopts
    }

    /// The lines that tell a host of it.
    pub(super) fn lines(&self) -> String {
        let hook = self.hook.as_ref().map_or(String::new(), |hook| format!("hook {hook}\n"));
        let adopt = if self.adopts { "adopt\n" } else { "" };
        let keystore = match self.keystore.as_ref().map(Keystore::password_file) {
            None => String::new(),
            Some(None) => "keystore\n".to_owned(),
            Some(Some(file)) => format!("keystore\npassword {file}\n"),
        };
        let Self { path, owner, group, mode, .. } = self;
        format!("path {path}\nowner {owner}\ngroup {group}\nmode {mode:04o}\n{hook}{adopt}{keystore}")
    }
}

/// `path`, if it is the absolute one of a file, without detours.
fn plain_path(path: &str) -> Result<&str, BadPlace> {
    let bad = || BadPlace::Path(path.chars().filter(|c| !c.is_control()).take(200).collect());
    let names = path.strip_prefix('/').ok_or_else(bad)?.split('/');
    let is_plain = names.clone().all(|name| !["", ".", ".."].contains(&name));
    if !is_plain || path.len() > PATH_BYTES_MAX || path.chars().any(char::is_control) {
        return Err(bad());
    }
    Ok(path)
}

/// `name`, if it is one that neither a shell nor `chown` takes for anything else.
fn plain(name: &str) -> Result<String, BadPlace> {
    let is_plain = (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    let bad = || BadPlace::Name(name.chars().filter(|c| !c.is_control()).take(64).collect());
    if is_plain { Ok(name.to_owned()) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_places_are_taken() {
        for path in ["/a", "/etc/ssl/our cas.pem", "/srv/it's $HOME/x"] {
            assert_eq!(FilePlace::new(path).unwrap().path(), path);
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for path in [
            "",
            "/",
            "a",
            "etc/x",
            "/etc/",
            "/etc//x",
            "/etc/../x",
            "/./x",
            "/etc/.",
            "/a\nb",
            "/a\0",
            long.as_str(),
        ] {
            assert!(matches!(FilePlace::new(path), Err(BadPlace::Path(_))), "{path:?}");
        }
        for path in ["/proc/x", "/sys", "/dev/sda", "/var/lib/provost-trust/begun", "/run/provost-trust/lock"]
        {
            assert!(matches!(FilePlace::new(path), Err(BadPlace::Forbidden(_))), "{path:?}");
        }
        assert!(FilePlace::new("/device").is_ok());
    }

    #[test]
    fn only_plain_attributes_are_taken() {
        let place = || FilePlace::new("/etc/x").unwrap();
        for name in ["", "-R", "a:b", "a b", "$(id)", "a\nb", ".", &"a".repeat(33)] {
            assert!(place().with_owner(name).is_err() && place().with_group(name).is_err(), "{name:?}");
        }
        for mode in ["", "4755", "1777", "64", "00644", "0688", "+644", "rw-r--r--"] {
            assert!(matches!(place().with_mode(mode), Err(BadPlace::Mode(_))), "{mode:?}");
        }
        for hook in
            ["", "  ", "a\nb", "a\0b", &"a".repeat(HOOK_BYTES_MAX + 1), "echo -----BEGIN PRIVATE KEY-----"]
        {
            assert!(place().with_hook(hook).is_err(), "{hook:?}");
        }
        let place = place().with_owner("www-data").unwrap().with_group("1000").unwrap();
        let place = place.with_mode("640").unwrap().with_hook("systemctl reload 'x'").unwrap();
        assert_eq!(
            place.lines(),
            "path /etc/x\nowner www-data\ngroup 1000\nmode 0640\nhook systemctl reload 'x'\n"
        );
        let place = place.adopting();
        assert!(place.lines().ends_with("hook systemctl reload 'x'\nadopt\n"));
        let place = place.with_keystore(Keystore::new(Some("/etc/pass word")).unwrap());
        assert!(place.lines().ends_with("adopt\nkeystore\npassword /etc/pass word\n"));
        for path in ["", "etc/x", "/etc/../x", "/a\nb"] {
            assert!(matches!(Keystore::new(Some(path)), Err(BadPlace::Path(_))), "{path:?}");
        }
    }
}

//! Which methods there are, in which order, and what each has to know.
//!
//! Free of any dialect: our own configuration and the original's JSON are both read into this.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;

use super::roles::Roles;
use crate::Role;

/// The longest that anybody is remembered who was right, in seconds.
pub(super) const CACHE_SECONDS_MAX: u32 = 60;

/// How people and programs sign in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// The methods, in the order in which they are asked. Without any, nobody gets in.
    pub methods: Vec<MethodConfig>,
    /// Paths for which nobody has to sign in.
    pub open_paths: Vec<OpenPath>,
}

/// A path that looks after itself: whoever asks for it gets in, whether they sign in or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPath {
    /// The path, percent-decoded. It is compared as it is: what is below it is not meant, nor is the same path with
    /// a slash at its end.
    pub path: String,
    /// What those who ask for it may do there. Who signs in with a role that may do more keeps that.
    pub role: Role,
}

/// One method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MethodConfig {
    /// A name and a password, as in HTTP's Basic authentication.
    Basic(BasicConfig),
    /// A TLS client certificate of some authority.
    ClientCertificate(ClientCertificateConfig),
    /// A name and a password that Keystone judges.
    KeystonePassword(KeystoneConfig),
    /// A token in `X-Auth-Token` that Keystone judges.
    KeystoneToken(KeystoneConfig),
    /// A bearer token with which an OpenShift (or a Kubernetes) lets one read a page.
    OpenShift(OpenShiftConfig),
    /// A bearer token that a Kubernetes judges.
    TokenReview(TokenReviewConfig),
    /// A TLS client certificate of our own users authority. The roles' names are the certificates' common names.
    UsersAuthority(Roles),
    /// A TLS client certificate of our own services authority. The roles' names are the certificates' common names.
    ServicesAuthority(Roles),
}

impl MethodConfig {
    /// What configuration and log call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Basic(_) => "basic",
            Self::ClientCertificate(_) => "client-certificate",
            Self::KeystonePassword(_) => "keystone-password",
            Self::KeystoneToken(_) => "keystone-token",
            Self::OpenShift(_) => "openshift",
            Self::TokenReview(_) => "token-review",
            Self::UsersAuthority(_) => "users-authority",
            Self::ServicesAuthority(_) => "services-authority",
        }
    }
}

/// Basic authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicConfig {
    /// Users that stand in the configuration itself.
    pub users: Vec<UserConfig>,
    /// A file with more; a user in it comes before one of the same name in `users`. JSON:
    /// `{"alice": {"hash": "$2b$12$…", "role": "operator"}}`. Read again whenever it changes.
    pub file: Option<PathBuf>,
    /// The role of users in the file that have none there.
    pub role: Role,
    /// How long a right password is remembered, in seconds: at most 60, and never after the hash was changed.
    pub cache_seconds: u32,
}

impl BasicConfig {
    /// How long a right password is remembered where nobody says anything else.
    pub const CACHE_SECONDS: u32 = CACHE_SECONDS_MAX;
}

/// One user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserConfig {
    /// The name.
    pub name: String,
    /// The bcrypt hash of the password.
    pub hash: PasswordHash,
    /// What the user may do.
    pub role: Role,
}

/// A client certificate of some authority, known by its common name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificateConfig {
    /// The subject's common name, one of them if there are several; any, if nothing is said.
    pub common_name: Option<String>,
    /// PEM with the certificates of the authorities whose certificates count: those that signed them, as no chain
    /// is followed. Read again whenever it changes.
    pub ca_file: PathBuf,
    /// The roles, by common name.
    pub roles: Roles,
}

/// Keystone, Identity API v3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeystoneConfig {
    /// Where it is asked for tokens: `https://keystone.example:5000/v3/auth/tokens`.
    pub service: Service,
    /// The name of the domain that users are in. By its token somebody of another domain may come as well; the
    /// roles' names do not stand for them.
    pub domain: String,
    /// The roles: by user, and by the roles that Keystone says the user has.
    pub roles: Roles,
}

/// An OpenShift that tells whose a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenShiftConfig {
    /// What is read with the token: `https://master.example:8443/apis/user.openshift.io/v1/users/~` tells whose it
    /// is as well.
    pub service: Service,
    /// The roles: by user and group, as far as the page is a `User` object.
    pub roles: Roles,
}

/// A Kubernetes that judges tokens (`authentication.k8s.io/v1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenReviewConfig {
    /// Where it is asked: `https://api.example:6443/apis/authentication.k8s.io/v1/tokenreviews`.
    pub service: Service,
    /// A file with the token that we ask with; its owner must be allowed to create token reviews. Read again
    /// whenever it changes.
    pub token_file: PathBuf,
    /// Whom tokens must be meant for; the API server itself, when there are none.
    pub audiences: Vec<String>,
    /// The roles, by user and group.
    pub roles: Roles,
}

/// Somebody else's service over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where it is.
    pub url: Url,
    /// Whether its certificate is verified.
    pub verify: bool,
    /// PEM with the authorities that may have issued its certificate, instead of those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// How long a good answer is remembered, in seconds: at most 60, and never beyond the end of a token as far as
    /// that is known.
    pub cache_seconds: u32,
}

impl Service {
    /// How long good answers are remembered where nobody says anything else: for a burst of requests, and no
    /// longer, since we are not told when a password changes there or a token is revoked.
    pub const CACHE_SECONDS: u32 = 10;

    /// The service at `url`, its certificate verified with what the system trusts.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url, verify: true, ca_file: None, cache_seconds: Self::CACHE_SECONDS }
    }
}

/// An absolute `http` or `https` URL without user information.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url(Uri);

impl Url {
    /// Whether what is sent there is protected by TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

/// It is no URL that can be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUrlError {
    /// Not a URL at all.
    #[error("it is no URL with http:// or https:// and a host")]
    NotOne,
    /// A user or a password stands in it.
    #[error("there must be no user and no password in the URL")]
    UserInformation,
}

impl FromStr for Url {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseUrlError> {
        let uri: Uri = text.parse().map_err(|_| ParseUrlError::NotOne)?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().filter(|_| is_http).ok_or(ParseUrlError::NotOne)?;
        if authority.as_str().contains('@') {
            return Err(ParseUrlError::UserInformation);
        }
        if authority.host().is_empty() {
            return Err(ParseUrlError::NotOne);
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A bcrypt hash: `$2b$12$` with 22 characters of salt and 31 of hash. `$2a$` and `$2y$` mean the same.
///
/// Not a secret like the password, but nothing to be shown either: `Debug` does not.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PasswordHash(String);

/// Why a text is no bcrypt hash that passwords are compared to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// It is none.
    #[error(
        "the hash is not one of bcrypt's: $2b$ (or $2a$, $2y$), a cost from 04 to 31, $, and 53 characters"
    )]
    NotOne,
    /// Comparing would take too long, and whoever knows the user's name could ask for it.
    #[error(
        "the hash has a cost of {cost}, and those above {} are not taken: each attempt to sign in would keep a \
             processor busy for eight seconds or more",
        PasswordHash::COST_MAX
    )]
    TooCostly {
        /// Its cost.
        cost: u8,
    },
}

impl PasswordHash {
    /// The greatest cost that is taken: some four seconds of a processor for each attempt, while 12 is usual. Of the
    /// greatest that there is, 31, each attempt would take a day and a half.
    pub const COST_MAX: u8 = 16;

    /// How many times the work doubles: 4 to [`Self::COST_MAX`].
    #[must_use]
    pub fn cost(&self) -> u8 {
        self.0[4..6].parse().unwrap_or(0)
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasswordHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        const ALPHABET: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let value = |byte: &u8| ALPHABET.iter().position(|digit| digit == byte);
        // 16 bytes of salt and 23 of hash leave bits over in their last digits, which are zero.
        let ends_with_zeros = |digits: &[u8], bits: usize| {
            digits.last().and_then(value).is_some_and(|value| value % (1 << bits) == 0)
        };
        let cost = match text.as_bytes() {
            [
                b'$',
                b'2',
                b'a' | b'b' | b'y',
                b'$',
                tens @ b'0'..=b'3',
                ones @ b'0'..=b'9',
                b'$',
                digits @ ..,
            ] => {
                let cost = (tens - b'0') * 10 + (ones - b'0');
                let is_one = (4..=31).contains(&cost)
                    && digits.len() == 53
                    && digits.iter().all(|byte| value(byte).is_some())
                    && ends_with_zeros(&digits[..22], 4)
                    && ends_with_zeros(digits, 2);
                is_one.then_some(cost)
            }
            _ => None,
        };
        match cost {
            None => Err(ParseHashError::NotOne),
            Some(cost) if cost > Self::COST_MAX => Err(ParseHashError::TooCostly { cost }),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute_and_without_secrets() {
        let check = |text: &str, expected: Result<&str, ParseUrlError>| {
            let found = text.parse::<Url>().map(|url| url.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        };
        check(
            "https://keystone.example:5000/v3/auth/tokens",
            Ok("https://keystone.example:5000/v3/auth/tokens"),
        );
        check("http://[::1]:80/a?b=c", Ok("http://[::1]:80/a?b=c"));
        check("https://user:secret@keystone.example/", Err(ParseUrlError::UserInformation));
        for text in
            ["", "/v3", "keystone:5000", "ftp://keystone", "https://", "https://:5000/", "http://a b/"]
        {
            check(text, Err(ParseUrlError::NotOne));
        }
    }

    #[test]
    fn hashes_are_bcrypts() {
        let good = "$2b$04$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBu.";
        assert_eq!(good.parse::<PasswordHash>().map(|hash| hash.cost()), Ok(4));
        for (from, to, is_good) in [
            ("$2b$", "$2a$", true),
            ("$2b$", "$2y$", true),
            ("$04$", "$16$", true),
            ("$04$", "$17$", false),
            ("$04$", "$31$", false),
            ("$2b$", "$2x$", false),
            ("$2b$", "$1$a", false),
            ("$04$", "$03$", false),
            ("$04$", "$32$", false),
            ("$04$", "$4a$", false),
            ("abc", "ab", false),
            ("abc", "ab!", false),
            ("abc", "aé", false),
            ("Bu.", "Bu. ", false),
            ("Bu.", "Bu/", false), // bits are left over
            ("uu5", "ua5", false),
        ] {
            let text = good.replacen(from, to, 1);
            assert_eq!(text.parse::<PasswordHash>().is_ok(), is_good, "{text}");
        }
        // Whoever knows the user's name could keep a processor busy with it.
        for cost in [17, 31] {
            let parsed = good.replace("$04$", &format!("${cost}$")).parse::<PasswordHash>();
            assert_eq!(parsed, Err(ParseHashError::TooCostly { cost }));
        }
        let shown = format!("{:?}", good.parse::<PasswordHash>());
        assert!(!shown.contains("abc"), "{shown}");
    }
}

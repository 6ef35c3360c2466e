//! What a database of caucase holds.

use base::Secret;

/// Which of its three authorities a row is of: what the names of its tables begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Prefix {
    /// `cau`: the users.
    Users,
    /// `cas`: the services.
    Services,
    /// `http_cas`: signs the server's own certificate only.
    Server,
}

impl Prefix {
    /// All of them, in the order in which caucase makes their tables.
    pub const ALL: [Self; 3] = [Self::Users, Self::Services, Self::Server];

    /// What the names of its tables begin with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Users => "cau",
            Self::Services => "cas",
            Self::Server => "http_cas",
        }
    }
}

/// One thing that a database holds. Times are seconds since 1970.
#[derive(Clone, Debug)]
pub enum Row {
    /// Of the table `…ca`.
    Issuer(IssuerRow),
    /// Of `…crt`.
    Certificate(CertificateRow),
    /// Of `…revoked`.
    Revoked(RevokedRow),
    /// Of `…counter`, `…config_once` and `…config`.
    Count(Count),
}

/// A CA certificate and its private key.
#[derive(Clone, Debug)]
pub struct IssuerRow {
    /// When the certificate ends.
    pub expires_at: i64,
    /// PEM, as stored: PKCS#1 or PKCS#8, not encrypted.
    pub key: Secret<Vec<u8>>,
    /// PEM, as stored.
    pub certificate: Vec<u8>,
}

/// A signing request, and the certificate that came of it.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    /// The number that its client was given.
    pub id: u64,
    /// 40 hexadecimal digits: which public key the request is for.
    pub key_id: String,
    /// When the row may be dropped; absent while it is pending.
    pub drop_at: Option<i64>,
    /// PEM, as it came.
    pub request: Vec<u8>,
    /// PEM; absent while it is pending.
    pub certificate: Option<Vec<u8>>,
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedRow {
    /// Decimal digits: the certificate's serial.
    pub serial: String,
    /// When it was revoked.
    pub at: i64,
    /// When the certificate ends, and with it the entry in the lists.
    pub expires_at: i64,
}

/// A number that an authority keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// `received_csr`: how many requests it ever took.
    Received(u64),
    /// `crl_number`: the number of its last revocation list.
    CrlNumber(u64),
    /// No row, but what the older layout says where lists were counted, and none was made, whatever was revoked.
    NoList,
    /// `auto_sign_csr_amount`: how many requests it approves at once, when that was locked.
    Automatic(u64),
    /// `crl_last_update`: the date of its last revocation list.
    CrlLastUpdate(i64),
}

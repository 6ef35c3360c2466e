//! A database of caucase with as many certificates as one likes, made without waiting for caucased.
//!
//! caucased makes its authorities; the rest is added: certificates as it would have issued them, each with the
//! request it came from, some of them revoked, and some requests that wait.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{SyncSender, sync_channel};

use base::{Entropy, Span, Timestamp};
use caucase_files::{CertificateRow, Count, Database, IssuerRow, Prefix, RevokedRow, Row, Writer};
use x509::{
    Certificate, CertificateTemplate, KeyId, KeySpec, Name, PrivateKey, Serial, SigningRequest, extension,
};

use crate::Failure;
use crate::process::{self, Served};
use crate::run::{self, cores};

/// How many keys the certificates are for, taking turns: making one for each would take days.
const KEYS: u64 = 8;
/// How many requests wait for somebody to look at them: as many as caucase lets wait.
pub(super) const PENDING: u64 = 50;
/// How long certificates are valid, and how long ago they begin: caucase's default, and its margin.
const LIFE: Span = Span::days(93);
const BACK_DATED: Span = Span::seconds(10);
/// An odd number: its multiples take all values before one of them comes again.
const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
/// How many rows may wait for the one that writes them.
const ROWS_AHEAD: usize = 1_000;

/// Such a database, and what its holders have.
pub(super) struct Filled {
    pub(super) path: PathBuf,
    /// How many certificates it has.
    pub(super) certificates: u64,
    /// How many of them, the first ones, are revoked.
    pub(super) revoked: u64,
    /// The keys of the holders, taking turns.
    keys: Vec<PrivateKey>,
    /// A user's certificate and key.
    pub(super) user: (Certificate, PrivateKey),
    /// Which revocation list is the services'.
    pub(super) list: KeyId,
    /// The CA certificate that servers have their own from.
    pub(super) server: Certificate,
}

/// One of caucase's authorities.
struct Issuer {
    certificate: Certificate,
    key: PrivateKey,
}

impl Filled {
    /// Makes one in `folder`.
    pub(super) async fn make(
        caucased: &Path,
        folder: &Path,
        certificates: u64,
        revoked: u64,
    ) -> Result<Self, Failure> {
        let begun = begin(caucased, &run::folder_in(folder, "begun")?).await?;
        let (services, users) = (begun.issuer(Prefix::Services)?, begun.issuer(Prefix::Users)?);
        let server = begun.issuer(Prefix::Server)?.certificate;
        let keys = (0..KEYS).map(|_| PrivateKey::generate(KeySpec::Rsa { bits: 2048 }));
        let keys: Vec<PrivateKey> = keys.collect::<Result<_, _>>().map_err(Failure::authority)?;
        let path = folder.join("caucase.sqlite");
        let mut writer = Writer::create(&path).map_err(Failure::authority)?;
        // A request that waits was received as well.
        let received = Row::Count(Count::Received(certificates + PENDING));
        let is_kept = |row: &Row| !matches!(row, Row::Count(Count::Received(_)));
        let begun_rows =
            begun.0.into_iter().filter(|(prefix, row)| *prefix != Prefix::Services || is_kept(row));
        for (prefix, row) in begun_rows.chain([(Prefix::Services, received)]) {
            writer.push(prefix, &row).map_err(Failure::authority)?;
        }
        let now = base::Clock::system().now();
        let maker = Maker { issuer: &services, keys: &keys, now, certificates, revoked };
        maker.write(&mut writer)?;
        writer.finish().map_err(Failure::authority)?;
        let key = PrivateKey::generate(KeySpec::Rsa { bits: 2048 }).map_err(Failure::authority)?;
        let user = certificate(&users, &key, "user", None, now).map_err(Failure::authority)?;
        let list =
            services.certificate.subject_key_id().unwrap_or(services.certificate.public_key().key_id());
        Ok(Self { path, certificates, revoked, keys, user: (user, key), list, server })
    }

    /// The key of the holder of this certificate.
    pub(super) fn key(&self, number: u64) -> &PrivateKey {
        key_of(&self.keys, number)
    }
}

fn key_of(keys: &[PrivateKey], number: u64) -> &PrivateKey {
    &keys[(number % KEYS) as usize]
}

/// The number under which this certificate can be fetched: no order is seen in them, as caucase draws them.
pub(super) fn id(number: u64) -> u64 {
    (number + 1).wrapping_mul(SCATTER) & (u64::MAX >> 1)
}

/// What caucased makes at its first start.
struct Begun(Vec<(Prefix, Row)>);

async fn begin(caucased: &Path, folder: &Path) -> Result<Begun, Failure> {
    let port = process::free_ports()?;
    let mut command = Command::new(caucased);
    command.current_dir(folder).args(["--netloc", &format!("127.0.0.1:{port}")]);
    let served = Served::start("caucased", command, port, "/cas/crt/ca.crt.pem", folder).await?;
    served.stop().await?;
    let mut database = Database::open(&folder.join("caucase.sqlite")).map_err(Failure::authority)?;
    let mut rows = Vec::new();
    loop {
        let more = database.next_rows().map_err(Failure::authority)?;
        if more.is_empty() {
            return Ok(Begun(rows));
        }
        rows.extend(more);
    }
}

impl Begun {
    fn issuer(&self, of: Prefix) -> Result<Issuer, Failure> {
        let found = self.0.iter().find_map(|(prefix, row)| match row {
            Row::Issuer(row) if *prefix == of => Some(row),
            _ => None,
        });
        let IssuerRow { certificate, key, .. } = found.ok_or_else(|| Failure::Program {
            program: "caucased".into(),
            what: format!("made no CA certificate of `{}`", of.as_str()),
        })?;
        let key = std::str::from_utf8(key.expose()).map_err(Failure::authority)?;
        Ok(Issuer {
            certificate: Certificate::from_pem(certificate).map_err(Failure::authority)?,
            key: PrivateKey::from_pem(key).map_err(Failure::authority)?,
        })
    }
}

/// Makes the rows of the services.
struct Maker<'m> {
    issuer: &'m Issuer,
    keys: &'m [PrivateKey],
    now: Timestamp,
    certificates: u64,
    revoked: u64,
}

impl Maker<'_> {
    /// All cores sign, and one of them writes.
    fn write(&self, writer: &mut Writer) -> Result<(), Failure> {
        let (sender, rows) = sync_channel(ROWS_AHEAD);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores() as u64)
                .map(|first| {
                    let sender = sender.clone();
                    scope.spawn(move || self.make(first, &sender))
                })
                .collect();
            drop(sender);
            for row in rows {
                writer.push(Prefix::Services, &row).map_err(Failure::authority)?;
            }
            for thread in threads {
                thread
                    .join()
                    .expect("a thread that panics ends the measurement")
                    .map_err(Failure::authority)?;
            }
            Ok(())
        })
    }

    fn make(&self, first: u64, rows: &SyncSender<Row>) -> Result<(), x509::NameError> {
        for number in (first..self.certificates + PENDING).step_by(cores()) {
            for row in self.rows(number)? {
                // Nobody takes them any more when they could not be written.
                if rows.send(row).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn rows(&self, number: u64) -> Result<Vec<Row>, x509::NameError> {
        let key = key_of(self.keys, number);
        let name = format!("host-{number}.example.org");
        let asked = extension::subject_alt_name_dns(&name, false)?;
        let request = SigningRequest::build(key, &Name::from_common_name(&name)?, &[asked]);
        let mut row = CertificateRow {
            id: id(number),
            key_id: key.public().key_id().to_string(),
            drop_at: None,
            request: request.to_pem().into_bytes(),
            certificate: None,
        };
        if number >= self.certificates {
            return Ok(vec![Row::Certificate(row)]);
        }
        let made = certificate(self.issuer, key, &name, Some(&name), self.now)?;
        row.drop_at = Some(made.not_after().as_unix());
        row.certificate = Some(made.to_pem().into_bytes());
        let mut rows = vec![Row::Certificate(row)];
        if number < self.revoked {
            rows.push(Row::Revoked(RevokedRow {
                serial: made.serial().to_string(),
                at: self.now.as_unix(),
                expires_at: made.not_after().as_unix(),
            }));
        }
        Ok(rows)
    }
}

/// A certificate as caucase issues them.
fn certificate(
    issuer: &Issuer,
    key: &PrivateKey,
    name: &str,
    host: Option<&str>,
    now: Timestamp,
) -> Result<Certificate, x509::NameError> {
    let authority = issuer.certificate.subject_key_id().unwrap_or(issuer.certificate.public_key().key_id());
    let list = format!("http://127.0.0.1:8000/cas/crl/{}", authority.decimal());
    let mut extensions = vec![
        extension::basic_constraints(false, None),
        extension::subject_key_id(key.public().key_id()),
        extension::authority_key_id(authority),
        extension::crl_distribution_point(&[list])?,
    ];
    if let Some(host) = host {
        extensions.push(extension::subject_alt_name_dns(host, false)?);
    }
    let template = CertificateTemplate {
        serial: Serial::random(&Entropy::system()),
        issuer: issuer.certificate.subject().clone(),
        subject: Name::from_common_name(name)?,
        not_before: now - BACK_DATED,
        not_after: now - BACK_DATED + LIFE,
        public_key: key.public().clone(),
        extensions,
    };
    Ok(template.sign(&issuer.key))
}

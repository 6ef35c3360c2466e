//! What is in the database, and whether it fits together and with what clients were told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ca::record::{
    CertificateRecord, CrlRecord, IssuedRecord, LedgerRecord, PendingRecord, RequestRecord, RequestRefRecord,
    ReservedRecord, RevokedRecord,
};
use futures_executor::block_on;
use store::{Engine, History, Record, Sqlite, Table};
use x509::{Certificate, SigningRequest};

use super::client::Authority;
use super::told::Told;

/// The records of one authority.
pub struct Stored {
    at: Authority,
    request: BTreeMap<u64, RequestRecord>,
    pending: BTreeMap<u64, PendingRecord>,
    /// Serials that may be signed under, by number of reservation.
    reserved: BTreeMap<String, ReservedRecord>,
    /// Serials that were reserved and never used, in decimal.
    void: BTreeSet<String>,
    issued: BTreeMap<u64, IssuedRecord>,
    digest: BTreeMap<String, RequestRefRecord>,
    key: BTreeMap<String, RequestRefRecord>,
    certificate: BTreeMap<String, CertificateRecord>,
    revoked: BTreeMap<String, RevokedRecord>,
    ledger: LedgerRecord,
    crl: CrlRecord,
    /// What happened, and to what.
    happened: BTreeSet<(String, String)>,
}

/// The records in the data directory of a server that was killed. They are read from a copy: opening the
/// database would recover it, which is for the server to do.
pub fn copied(data: &Path) -> [Stored; 2] {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(data).unwrap() {
        let file = file.unwrap();
        if file.file_name().to_str().is_some_and(|name| name.starts_with("provost.db")) {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    read(copy.path())
}

/// The records in the data directory of a server that has ended.
pub fn read(data: &Path) -> [Stored; 2] {
    of(Arc::new(Sqlite::open(&data.join("provost.db")).unwrap()))
}

/// The records in a store that nobody writes to now. It is closed afterwards.
pub fn of(engine: Arc<dyn Engine>) -> [Stored; 2] {
    let history = block_on(history(engine.clone()));
    let both = Authority::BOTH.map(|at| block_on(Stored::read(at, engine.clone(), &history)));
    block_on(engine.close()).unwrap();
    both
}

/// The history of the whole house.
#[derive(Default)]
struct Happened {
    happened: BTreeSet<(String, String)>,
    void: BTreeSet<String>,
}

async fn history(engine: Arc<dyn Engine>) -> Happened {
    let history = History::new(engine).unwrap();
    let mut all = Happened::default();
    let mut after: Option<String> = None;
    loop {
        let page = history.page(after.as_deref(), 1_000).await.unwrap();
        let Some((last, _)) = page.entries.last() else { return all };
        after = Some(last.clone());
        for (_, event) in page.entries {
            let event = event.record;
            if let Some(serials) = event.facts.get("serials") {
                all.void.extend(serials.split(' ').map(str::to_owned));
            }
            all.happened.insert((event.what, event.about));
        }
    }
}

fn decimal(serial: &str) -> String {
    x509::Serial::from_hex(serial).unwrap().to_string()
}

impl Stored {
    async fn read(at: Authority, engine: Arc<dyn Engine>, history: &Happened) -> Self {
        let prefix = format!("/ca/{}/", name(at));
        Self {
            at,
            request: numbered(&engine, &format!("{prefix}request/")).await,
            pending: numbered(&engine, &format!("{prefix}pending/")).await,
            reserved: all(&engine, &format!("{prefix}reserved/")).await,
            void: history.void.clone(),
            issued: numbered(&engine, &format!("{prefix}issued/")).await,
            digest: all(&engine, &format!("{prefix}digest/")).await,
            key: all(&engine, &format!("{prefix}key/")).await,
            certificate: all(&engine, &format!("{prefix}certificate/")).await,
            revoked: all(&engine, &format!("{prefix}revoked/")).await,
            ledger: one(&engine, &prefix, "ledger").await,
            crl: one(&engine, &prefix, "crl").await,
            happened: history.happened.clone(),
        }
    }

    /// The reservations of the server that wrote this.
    pub fn reservations(&self) -> impl Iterator<Item = (&String, &ReservedRecord)> {
        self.reserved.iter()
    }

    /// That the serials which `server` had reserved when it was killed, and never used, are void now.
    pub fn check_voided(&self, reservations: &BTreeMap<String, ReservedRecord>) {
        for (id, reservation) in reservations {
            assert!(!self.reserved.contains_key(id), "{:?}: {id} is still reserved", self.at);
            for serial in reservation.serials.iter().filter(|serial| !self.certificate.contains_key(*serial))
            {
                assert!(self.void.contains(&decimal(serial)), "{:?}: {serial} is not void", self.at);
            }
        }
    }

    /// That the records fit together, whenever the server was killed.
    pub fn check(&self) {
        let at = self.at;
        assert_eq!(self.ledger.pending, self.pending.len() as u64, "{at:?}: the ledger's pending ones");
        for (id, request) in &self.request {
            let (is_pending, is_issued) = (self.pending.contains_key(id), self.issued.contains_key(id));
            assert!(is_pending != is_issued, "{at:?} {id}: pending {is_pending}, issued {is_issued}");
            let what = if is_pending { "request submitted" } else { "certificate issued" };
            assert!(self.has_happened(what, &format!("request {id}")), "{at:?} {id}");
            let digest = base::hex::encode(&base::sha256(request.csr.as_bytes()));
            assert_eq!(self.digest[&digest].request, *id, "{at:?}: these bytes are another request");
            let csr = SigningRequest::from_pem(request.csr.as_bytes()).unwrap();
            if at == Authority::Users {
                let key_id = csr.public_key().key_id().to_string();
                assert_eq!(self.key[&key_id].request, *id, "{at:?}: this key belongs to another request");
            }
        }
        let states = self.pending.keys().chain(self.issued.keys());
        let states: BTreeSet<u64> = states.copied().collect();
        assert_eq!(states, self.request.keys().copied().collect(), "{at:?}: a state without a request");
        assert_eq!(self.digest.len(), self.request.len(), "{at:?}: digests");
        let keys = if at == Authority::Users { self.request.len() } else { 0 };
        assert_eq!(self.key.len(), keys, "{at:?}: keys");
        self.check_certificates();
        for serial in self.revoked.keys() {
            let serial = x509::Serial::from_hex(serial).unwrap();
            assert!(self.has_happened("certificate revoked", &format!("serial {serial}")), "{at:?} {serial}");
        }
        // Each revocation counts the number up.
        assert!(self.crl.number >= self.revoked.len() as u64, "{at:?}: {:?}", self.crl);
    }

    fn check_certificates(&self) {
        let at = self.at;
        assert_eq!(self.certificate.len(), self.issued.len(), "{at:?}: a certificate without a record");
        for (id, issued) in &self.issued {
            let record = &self.certificate[&issued.serial];
            assert_eq!(record.request, *id, "{at:?}: whose certificate it is");
            let certificate = Certificate::from_pem(record.certificate.as_bytes()).unwrap();
            assert_eq!(certificate.serial().hex(), issued.serial, "{at:?} {id}");
            let csr = SigningRequest::from_pem(self.request[id].csr.as_bytes()).unwrap();
            assert_eq!(certificate.public_key(), csr.public_key(), "{at:?} {id}");
            assert!(self.has_happened("certificate issued", &format!("request {id}")), "{at:?} {id}");
        }
        for serial in self.certificate.keys() {
            assert!(!self.void.contains(&decimal(serial)), "{at:?}: {serial} is void and was used");
        }
    }

    /// That everything clients were told is there.
    pub fn check_told(&self, told: &Told) {
        let at = self.at;
        let of = |(of, _): &(Authority, _)| *of == at;
        for ((_, id), request) in told.requests.iter().filter(|((of, _), _)| *of == at) {
            let stored = self.request.get(id);
            if request.rejected {
                assert!(stored.is_none(), "{at:?} {id} was rejected");
            } else if !request.reject_asked {
                assert_eq!(stored.map(|stored| &stored.csr), Some(&request.csr), "{at:?} {id} was lost");
            }
            if request.approved {
                assert!(self.issued.contains_key(id), "{at:?} {id} was approved");
            }
        }
        for ((_, serial), pem) in told.seen.iter().filter(|((of, _), _)| *of == at) {
            let stored = self.certificate.get(serial).map(|record| &record.certificate);
            assert_eq!(stored, Some(pem), "{at:?}: a certificate without a record");
        }
        for (_, serial) in told.revoked.iter().filter(|revoked| of(revoked)) {
            assert!(self.revoked.contains_key(&serial.hex()), "{at:?}: the revocation of {serial} was lost");
        }
        let taken = told.requests.keys().filter(|(of, _)| *of == at).count() as u64;
        let unknown = told.unanswered.iter().filter(|(of, ..)| *of == at).count() as u64;
        let received = self.ledger.received;
        assert!((taken..=taken + unknown).contains(&received), "{at:?}: {received} of {taken} and {unknown}");
    }

    fn has_happened(&self, what: &str, about: &str) -> bool {
        self.happened.contains(&(what.to_owned(), format!("{} {about}", name(self.at))))
    }
}

fn name(at: Authority) -> &'static str {
    match at {
        Authority::Services => "services",
        Authority::Users => "users",
    }
}

async fn all<R: Record>(engine: &Arc<dyn Engine>, prefix: &str) -> BTreeMap<String, R> {
    let table = Table::new(engine.clone(), prefix).unwrap();
    table.all().await.unwrap().into_iter().map(|(id, loaded)| (id, loaded.record)).collect()
}

async fn numbered<R: Record>(engine: &Arc<dyn Engine>, prefix: &str) -> BTreeMap<u64, R> {
    all(engine, prefix).await.into_iter().map(|(id, record)| (id.parse().unwrap(), record)).collect()
}

async fn one<R: Record + Default>(engine: &Arc<dyn Engine>, prefix: &str, id: &str) -> R {
    let table = Table::new(engine.clone(), prefix).unwrap();
    table.get(id).await.unwrap().map(|loaded| loaded.record).unwrap_or_default()
}

use base::{Explain as _, Timestamp};
use tempfile::TempDir;
use x509::{CrlTemplate, KeySpec, Name, PrivateKey};

use super::*;

fn rows() -> Vec<(Prefix, Row)> {
    let mut rows = Vec::new();
    for prefix in Prefix::ALL {
        rows.push((
            prefix,
            Row::Issuer(IssuerRow {
                expires_at: 2_000_000_000,
                key: Secret::new(b"the key".to_vec()),
                certificate: prefix.as_str().into(),
            }),
        ));
        rows.push((
            prefix,
            Row::Revoked(RevokedRow { serial: "12345".into(), at: 1_000_000_000, expires_at: 2_000_000_000 }),
        ));
        rows.extend(
            [
                Count::Received(7),
                Count::CrlNumber(9),
                Count::Automatic(3),
                Count::CrlLastUpdate(1_700_000_000),
            ]
            .map(|count| (prefix, Row::Count(count))),
        );
    }
    for prefix in Prefix::ALL {
        for number in 0..200_u64 {
            let is_issued = number % 3 > 0;
            rows.push((
                prefix,
                Row::Certificate(CertificateRow {
                    id: number * 1_000_003,
                    key_id: format!("{number:040x}"),
                    drop_at: is_issued.then_some(1_800_000_000),
                    request: format!("request {number}").into_bytes(),
                    certificate: is_issued.then(|| format!("certificate {number}").into_bytes()),
                }),
            ));
        }
    }
    rows
}

/// Rows in an order of their own, as text.
fn told(rows: &[(Prefix, Row)]) -> Vec<String> {
    let mut told: Vec<_> = rows
        .iter()
        .map(|(prefix, row)| match row {
            Row::Issuer(row) => format!("{prefix:?} {row:?} {:?}", row.key.expose()),
            row => format!("{prefix:?} {row:?}"),
        })
        .collect();
    told.sort();
    told
}

fn read(path: &Path) -> Result<Vec<(Prefix, Row)>, DatabaseError> {
    let mut database = Database::open(path)?;
    let mut rows = Vec::new();
    loop {
        let page = database.next_rows()?;
        assert!(page.len() <= PAGE_ROWS);
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

struct Sample(TempDir);

impl Sample {
    fn new() -> Self {
        let sample = Self(tempfile::tempdir().unwrap());
        let mut writer = Writer::create(&sample.path()).unwrap();
        for (prefix, row) in rows() {
            writer.push(prefix, &row).unwrap();
        }
        writer.finish().unwrap();
        sample
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("caucase sqlite?#%")
    }

    fn change(&self, sql: &str) -> &Self {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
        self
    }

    /// Reads it, and leaves everything as it was.
    fn read(&self) -> Result<Vec<(Prefix, Row)>, DatabaseError> {
        let snapshot = || {
            let mut files: Vec<_> = std::fs::read_dir(self.0.path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .map(|path| {
                    (std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap(), path)
                })
                .collect();
            files.sort();
            files
        };
        let before = snapshot();
        let rows = read(&self.path());
        assert_eq!(snapshot(), before, "nothing was touched");
        rows
    }

    #[track_caller]
    fn is_refused(&self, expected: &str) {
        let error = match self.read() {
            Ok(_) => panic!("it was read, and not refused: {expected}"),
            Err(error) => error,
        };
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!matches!(error.kind(), base::Kind::Internal), "{error:?}");
    }
}

#[test]
fn what_was_written_is_read() {
    let sample = Sample::new();
    assert_eq!(nature(&sample.path()).unwrap(), Nature::Caucase);
    assert_eq!(told(&sample.read().unwrap()), told(&rows()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&sample.path().metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(sample.0.path()).unwrap().count(), 1);
    let error = Writer::create(&sample.path()).unwrap_err();
    assert!(error.to_string().starts_with("could not make "), "{error}");
    let issuers = rows().len() - 600;
    let is_certificate = |(_, row): &(Prefix, Row)| matches!(row, Row::Certificate(_));
    assert!(sample.read().unwrap()[issuers..].iter().all(is_certificate), "they come last");
}

#[test]
fn text_of_python_2_is_read_as_blobs_are() {
    let sample = Sample::new();
    for prefix in Prefix::ALL.map(Prefix::as_str) {
        sample.change(&format!(
            "UPDATE {prefix}ca SET key = CAST(key AS TEXT), crt = CAST(crt AS TEXT);
             UPDATE {prefix}crt SET key_id = CAST(key_id AS TEXT), csr = CAST(csr AS TEXT), crt = CAST(crt AS TEXT);"
        ));
    }
    assert_eq!(told(&sample.read().unwrap()), told(&rows()));
}

/// caucase 0.9.8 and before kept the lists and not their date.
#[test]
fn the_latest_list_of_the_older_layout_says_number_and_date() {
    let sample = Sample::new();
    let key = PrivateKey::generate(KeySpec::Ed25519).unwrap();
    let list = |number: u64, at: i64| {
        let name = Name::from_common_name("CA").unwrap();
        let list = CrlTemplate {
            issuer: &name,
            authority_key_id: key.public().key_id(),
            number,
            this_update: Timestamp::from_unix(at),
            next_update: Timestamp::from_unix(at + 1_000),
            revoked: &[],
        };
        list.sign(&key).to_pem()
    };
    sample.change("CREATE TABLE cascrl (expiration_date INTEGER, crl TEXT); DELETE FROM casconfig");
    let connection = Connection::open(sample.path()).unwrap();
    for (expires_at, pem) in
        [(1_600_002_000, list(9, 1_600_001_000)), (1_600_001_000, list(8, 1_600_000_000))]
    {
        connection.execute("INSERT INTO cascrl VALUES (?, ?)", rusqlite::params![expires_at, pem]).unwrap();
    }
    drop(connection);
    let of_services = || -> Vec<Count> {
        let rows = sample.read().unwrap();
        let count = |(prefix, row): &(Prefix, Row)| match row {
            Row::Count(count) if *prefix == Prefix::Services => Some(*count),
            _ => None,
        };
        rows.iter().filter_map(count).collect()
    };
    assert!(of_services().contains(&Count::CrlLastUpdate(1_600_001_000)));
    assert!(of_services().contains(&Count::CrlNumber(9)));
    sample.change("DELETE FROM cascounter WHERE name = 'crl_number'; INSERT INTO casconfig VALUES ('crl_last_update', '5')");
    assert!(of_services().contains(&Count::CrlLastUpdate(5)), "what was migrated counts");
    assert!(of_services().contains(&Count::CrlNumber(9)));
    sample.change("DELETE FROM cascrl");
    assert!(of_services().contains(&Count::NoList), "nobody has asked for a list yet");
}

#[test]
fn further_tables_are_named() {
    let sample = Sample::new();
    sample.change("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    assert_eq!(Database::open(&sample.path()).unwrap().others(), ["mine"]);
    assert_eq!(sample.read().unwrap().len(), rows().len());
}

/// caucase makes what is missing, empty: what was in it would be forgotten without a word.
#[test]
fn a_missing_table_is_named_and_refused() {
    for prefix in Prefix::ALL.map(Prefix::as_str) {
        for table in ["ca", "crt", "revoked", "counter", "config_once", "config"] {
            let sample = Sample::new();
            sample.change(&format!("DROP TABLE {prefix}{table}"));
            sample.is_refused(&format!("the table `{prefix}{table}` is missing, which has "));
            // Without its rows there is a table nevertheless.
            let sample = Sample::new();
            sample.change(&format!("DELETE FROM {prefix}{table}"));
            sample.read().unwrap();
        }
    }
    // Before there is a server, `caucased-manage` makes those of services alone.
    let all = |prefix: &str, what: &str| -> String {
        let tables = ["ca", "crt", "revoked", "counter", "config_once", "config"];
        tables.map(|table| format!("{what} {prefix}{table};")).concat()
    };
    let others = all("cau", "DROP TABLE") + &all("http_cas", "DROP TABLE");
    let sample = Sample::new();
    sample.change(&others).is_refused("the table `cauca` is missing");
    sample.change("DELETE FROM cascrt").is_refused("the table `cauca` is missing");
    sample.change("DELETE FROM cascounter WHERE name = 'received_csr'").read().unwrap();
    let sample = Sample::new();
    sample.change("DROP TABLE cauca; DROP TABLE casca; DROP TABLE http_casca");
    sample.is_refused("the table `cauca` is missing, which has the CA certificates and their keys");
}

#[test]
fn what_is_not_understood_is_refused() {
    for (sql, expected) in [
        ("ALTER TABLE casca ADD COLUMN more TEXT", "`casca` is not as caucase makes it: its columns are"),
        ("UPDATE casca SET key = NULL", "row 1 of the table `casca` cannot be understood: `key` is nothing"),
        ("UPDATE cascrt SET csr = NULL WHERE id = 1000003", "row 1000003 of the table `cascrt`"),
        ("UPDATE cascrt SET expiration_date = 'soon'", "`expiration_date` is text"),
        ("UPDATE cascrt SET expiration_date = NULL", "no date when it may be dropped"),
        ("UPDATE cascrt SET id = -id WHERE id = 1000003", "`id` is negative"),
        ("UPDATE caucrt SET csr = zeroblob(600000)", "`csr` is longer than 524288 bytes"),
        ("UPDATE caucounter SET value = 'x'", "`value` is text instead of a whole number"),
        ("INSERT INTO caucounter VALUES ('new', 1)", "nothing is known about `new`"),
        ("UPDATE casconfig SET value = 'noon'", "`value` is no whole number"),
        (
            "CREATE TABLE cascrl (expiration_date INTEGER, crl TEXT); INSERT INTO cascrl VALUES (1, 'x')",
            "`cascrl`",
        ),
        ("PRAGMA journal_mode = WAL", "write-ahead log"),
    ] {
        Sample::new().change(sql).is_refused(expected);
    }
}

#[test]
fn what_somebody_is_writing_to_is_refused() {
    let sample = Sample::new();
    let journal = sample.0.path().join("caucase sqlite?#%-journal");
    std::fs::write(&journal, [0; 512]).unwrap();
    sample.read().unwrap();
    // SQLite's own beginning of a journal that is to be played back.
    std::fs::write(&journal, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7").unwrap();
    sample.is_refused("caucase is writing to it, or died while it was");
    std::fs::remove_file(&journal).unwrap();
    // While it is read nobody commits.
    let database = Database::open(&sample.path()).unwrap();
    let writer = Connection::open(sample.path()).unwrap();
    writer.busy_timeout(Duration::ZERO).unwrap();
    assert!(writer.execute_batch("DELETE FROM cascrt").is_err());
    drop(database);
    writer.execute_batch("DELETE FROM cascrt").unwrap();
}

#[test]
fn what_is_damaged_is_refused() {
    let sample = Sample::new();
    let whole = std::fs::read(sample.path()).unwrap();
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x5a;
        std::fs::write(sample.path(), &bytes).unwrap();
        // Some bytes are only a row's own: those are for whoever looks at the PEM.
        let _ = sample.read();
    }
    std::fs::write(sample.path(), &whole[..whole.len() - 4096]).unwrap();
    sample.is_refused("damaged");
    let mut bytes = whole.clone();
    bytes[4096..8192].fill(0xff);
    std::fs::write(sample.path(), &bytes).unwrap();
    assert!(sample.read().is_err());
}

#[test]
fn other_files_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let nature = || nature(&path).unwrap();
    std::fs::write(&path, b"").unwrap();
    assert_eq!(nature(), Nature::Empty);
    for text in [&b"text"[..], &[b'x'; 4096]] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(nature(), Nature::NoDatabase);
        assert!(matches!(Database::open(&path), Err(DatabaseError::NotCaucase { .. })));
    }
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert_eq!(nature(), Nature::Other(vec!["theirs".into()]));
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 0x50525653").unwrap();
    assert_eq!(nature(), Nature::Provost);
    assert!(matches!(super::nature(directory.path()), Err(DatabaseError::File { .. })));
    assert_eq!(super::nature(&directory.path().join("none")).unwrap_err().kind(), base::Kind::NotFound);
}

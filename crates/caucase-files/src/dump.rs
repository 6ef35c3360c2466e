//! A database as SQL: what is inside a backup.
//!
//! Statements in UTF-8, each ended by one NUL, as Python's `iterdump` gives them: `BEGIN TRANSACTION;`, each table's
//! `CREATE` and its rows, `COMMIT;`. A row is `INSERT INTO "name" VALUES(…);`: numbers as they are, texts in quotes, and
//! PEM as the bytes that it is, `X'…'`.
//!
//! What is restored is foreign: it comes out of a file. So it is not run but let through: only what makes a table or an
//! index of one, or puts a row into one, and the first and the last statement; whatever else it says ends it.
//!
//! Source: the contract of caucase, sections 8 and 9.

use std::io::{self, Write};

use base::{Explain, Secret, hex};

use crate::row::{Count, Prefix, Row};
use crate::schema::Kind as Table;

#[cfg(feature = "database")]
pub use crate::restore::{RestoreError, Restorer};

/// How a dump begins.
pub(crate) const BEGIN: &str = "BEGIN TRANSACTION;";
/// How it ends.
pub(crate) const COMMIT: &str = "COMMIT;";

/// The longest statement that is read: requests have up to 10 MiB, twice that in hexadecimal digits, and what is certified
/// for one is somewhat longer.
const STATEMENT_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Writes rows as a dump has them. A table is made before its first row, and those without any at the end; rows that come
/// in the order of their tables' names give the very text that Python's `iterdump` would.
#[derive(Debug)]
pub struct Writer<W> {
    to: W,
    made: Vec<(Prefix, Table)>,
    /// There are private keys among the rows.
    line: Secret<Vec<u8>>,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn new(to: W) -> io::Result<Self> {
        let mut dump = Self { to, made: Vec::new(), line: Secret::new(Vec::new()) };
        dump.statement(BEGIN)?;
        Ok(dump)
    }

    fn statement(&mut self, statement: &str) -> io::Result<()> {
        self.to.write_all(statement.as_bytes())?;
        self.to.write_all(b"\0")
    }

    fn make(&mut self, prefix: Prefix, table: Table) -> io::Result<()> {
        if self.made.contains(&(prefix, table)) {
            return Ok(());
        }
        self.made.push((prefix, table));
        match table.create(prefix) {
            Some(create) => self.statement(&format!("{create};")),
            None => Ok(()),
        }
    }

    /// Writes a row of the authority of `prefix`.
    ///
    /// # Errors
    /// Those of what it is written to.
    pub fn row(&mut self, prefix: Prefix, row: &Row) -> io::Result<()> {
        if matches!(row, Row::Count(Count::NoList)) {
            return Ok(());
        }
        let table = Table::of(row);
        self.make(prefix, table)?;
        let line = self.line.expose_mut();
        line.clear();
        write!(line, "INSERT INTO \"{}\" VALUES(", table.table(prefix))?;
        match row {
            Row::Issuer(issuer) => {
                write!(line, "{},", issuer.expires_at)?;
                bytes(line, issuer.key.expose());
                line.push(b',');
                bytes(line, &issuer.certificate);
            }
            Row::Certificate(certificate) => {
                write!(line, "{},", certificate.id)?;
                bytes(line, certificate.key_id.as_bytes());
                match certificate.drop_at {
                    Some(at) => write!(line, ",{at},")?,
                    None => line.extend_from_slice(b",NULL,"),
                }
                bytes(line, &certificate.request);
                line.push(b',');
                match &certificate.certificate {
                    Some(pem) => bytes(line, pem),
                    None => line.extend_from_slice(b"NULL"),
                }
            }
            Row::Revoked(revoked) => {
                write!(line, "'{}',{},{}", quoted(&revoked.serial), revoked.at, revoked.expires_at)?;
            }
            Row::Count(Count::Received(count)) => write!(line, "'received_csr',{count}")?,
            Row::Count(Count::CrlNumber(number)) => write!(line, "'crl_number',{number}")?,
            Row::Count(Count::Automatic(count)) => write!(line, "'auto_sign_csr_amount','{count}'")?,
            Row::Count(Count::CrlLastUpdate(at)) => write!(line, "'crl_last_update','{at}'")?,
            // See above.
            Row::Count(Count::NoList) => {}
        }
        line.extend_from_slice(b");\0");
        self.to.write_all(self.line.expose())
    }

    /// Ends it, and gives back what it was written to.
    ///
    /// # Errors
    /// Those of what it is written to.
    pub fn finish(mut self) -> io::Result<W> {
        let all = Prefix::ALL.into_iter().flat_map(|prefix| Table::ALL.map(|table| (prefix, table)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(prefix, table)| table.table(*prefix));
        for (prefix, table) in all {
            self.make(prefix, table)?;
        }
        self.statement(COMMIT)?;
        Ok(self.to)
    }
}

/// `X'…'`, in capitals, as SQLite quotes bytes.
fn bytes(line: &mut Vec<u8>, bytes: &[u8]) {
    let digits = Secret::new(hex::encode(bytes));
    line.reserve(digits.expose().len() + 3);
    line.extend_from_slice(b"X'");
    line.extend(digits.expose().bytes().map(|digit| digit.to_ascii_uppercase()));
    line.push(b'\'');
}

fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

/// What was read is no dump.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DumpError {
    /// A statement goes on for longer than any.
    #[error("statement {number} of the dump is longer than any")]
    TooLong {
        /// Which, from 1.
        number: u64,
    },
    /// A statement is not UTF-8.
    #[error("statement {number} of the dump is not UTF-8")]
    NotText {
        /// Which, from 1.
        number: u64,
    },
    /// It does not begin like one.
    #[error("the dump does not begin like one")]
    Beginning,
    /// Something follows its end.
    #[error("something follows the dump's end")]
    AfterItsEnd,
    /// It ends in the middle of a statement, or before its last.
    #[error("Short read, backup truncated ?")]
    CutOff,
}

impl Explain for DumpError {
    fn kind(&self) -> base::Kind {
        base::Kind::Invalid
    }
}

/// Which part of a dump a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its first.
    Begin,
    /// One in between.
    Within,
    /// Its last.
    Commit,
}

/// Cuts a dump into statements, however it comes in pieces.
#[derive(Debug)]
pub struct Statements {
    rest: Secret<Vec<u8>>,
    number: u64,
    ended: bool,
}

impl Default for Statements {
    fn default() -> Self {
        Self { rest: Secret::new(Vec::new()), number: 0, ended: false }
    }
}

impl Statements {
    /// The number of the statement that was given out last, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Takes a piece, and gives out each statement that it ends, without the NUL.
    ///
    /// # Errors
    /// [`DumpError`], or the first error of `each`.
    pub fn feed<E: From<DumpError>>(
        &mut self,
        mut piece: &[u8],
        mut each: impl FnMut(Part, &str, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(0, piece) {
            let (statement, after) = (&piece[..end], &piece[end + 1..]);
            piece = after;
            self.number += 1;
            if self.rest.expose().is_empty() {
                let (part, text) = self.part(statement)?;
                each(part, text, self.number)?;
                self.ended = part == Part::Commit;
            } else {
                self.keep(statement)?;
                let whole = std::mem::replace(&mut self.rest, Secret::new(Vec::new()));
                let (part, text) = self.part(whole.expose())?;
                each(part, text, self.number)?;
                self.ended = part == Part::Commit;
            }
        }
        self.keep(piece).map_err(E::from)
    }

    fn keep(&mut self, piece: &[u8]) -> Result<(), DumpError> {
        let rest = self.rest.expose_mut();
        if rest.len() + piece.len() > STATEMENT_BYTES_MAX {
            return Err(DumpError::TooLong { number: self.number + 1 });
        }
        rest.extend_from_slice(piece);
        Ok(())
    }

    fn part<'a>(&self, statement: &'a [u8]) -> Result<(Part, &'a str), DumpError> {
        let number = self.number;
        if self.ended {
            return Err(DumpError::AfterItsEnd);
        }
        let text = std::str::from_utf8(statement).map_err(|_| DumpError::NotText { number })?;
        match (number, text) {
            (1, BEGIN) => Ok((Part::Begin, text)),
            (1, _) => Err(DumpError::Beginning),
            (_, COMMIT) => Ok((Part::Commit, text)),
            _ => Ok((Part::Within, text)),
        }
    }

    /// Nothing follows any more.
    ///
    /// # Errors
    /// [`DumpError::CutOff`] when something should.
    pub fn end(self) -> Result<(), DumpError> {
        if self.ended && self.rest.expose().is_empty() { Ok(()) } else { Err(DumpError::CutOff) }
    }
}

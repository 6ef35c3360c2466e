//! Fetches what a URL names from where it comes from: any web server, a file, or the URL itself. Not from a cache.
//!
//! ```text
//! http: https:   redirections are followed, and proxies of the environment are used
//! file:          file:///path, file://localhost/path, file:relative/path
//! data:          data:[TYPE][;base64],WORDS (RFC 2397)
//! ftp:           not done: no library that is kept up speaks it
//! ```
//! What comes is not verified: whoever fetches knows a digest, or takes what there is.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::{Explain, Kind, report};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

/// How long a connection may take to come about, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How long a server may be silent.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// What a URL names was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It is no URL, or one of a kind that nobody fetches. The words are Python's.
    #[error("unknown url type: '{url}'")]
    Unknown {
        /// What was given.
        url: String,
    },
    /// A kind that is known, and not served.
    #[error("ftp is not spoken: `{url}` cannot be fetched")]
    Ftp {
        /// What was given.
        url: String,
    },
    /// A `data:` URL that holds no data.
    #[error("the `data:` URL cannot be read")]
    Data,
    /// A file of another machine.
    #[error("file not on local host: {url}")]
    NotLocal {
        /// What was given.
        url: String,
    },
    /// A file that cannot be read.
    #[error("could not read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The server says no.
    #[error("the server answered {status} to GET {url}")]
    Refused {
        /// What was asked for.
        url: String,
        /// The answer's status.
        status: u16,
    },
    /// The server does not answer, or not to the end.
    #[error("could not fetch {url}: {why}")]
    Broken {
        /// What was asked for.
        url: String,
        /// Why, in one line.
        why: String,
    },
    /// What came cannot be written down.
    #[error("could not write down what came from {url}")]
    Write {
        /// What was asked for.
        url: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for OriginError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } | Self::Ftp { .. } | Self::Data | Self::NotLocal { .. } => Kind::Invalid,
            Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound => Kind::NotFound,
            Self::Refused { status: 404 | 410, .. } => Kind::NotFound,
            Self::Refused { status: 401, .. } => Kind::Unauthenticated,
            Self::Refused { status: 403, .. } => Kind::Forbidden,
            Self::File { .. } | Self::Refused { .. } | Self::Broken { .. } | Self::Write { .. } => {
                Kind::Unavailable
            }
        }
    }

    fn help(&self) -> Option<String> {
        matches!(self, Self::Ftp { .. })
            .then(|| "fetch it with another program, and give the file as well as the URL".to_owned())
    }
}

/// Fetches what `url` names, and writes it into `out`; how many bytes that were.
///
/// # Errors
/// When it cannot be fetched whole. Part of it may be in `out`.
pub async fn fetch(url: &str, out: &mut impl Write) -> Result<u64, OriginError> {
    let unwritten = |source| OriginError::Write { url: url.to_owned(), source };
    let unknown = || OriginError::Unknown { url: url.to_owned() };
    let (scheme, rest) =
        url.split_once(':').filter(|(scheme, _)| !scheme.contains('/')).ok_or_else(unknown)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => fetch_http(url, out).await,
        "file" => {
            let path = local_path(rest).ok_or_else(|| OriginError::NotLocal { url: url.to_owned() })?;
            let unreadable = |source| OriginError::File { path: path.clone(), source };
            let mut file = std::fs::File::open(&path).map_err(unreadable)?;
            if file.metadata().map_err(unreadable)?.is_dir() {
                return Err(unreadable(io::ErrorKind::IsADirectory.into()));
            }
            io::copy(&mut file, out).map_err(unreadable)
        }
        "data" => {
            let data = data(rest).ok_or(OriginError::Data)?;
            out.write_all(&data).map_err(unwritten)?;
            Ok(data.len() as u64)
        }
        "ftp" => Err(OriginError::Ftp { url: url.to_owned() }),
        _ => Err(unknown()),
    }
}

/// Of what follows `file:`; nothing when it is on another machine.
fn local_path(rest: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(behind) => {
            let (host, _) = behind.split_once('/')?;
            if !matches!(host, "" | "localhost") {
                return None;
            }
            &behind[host.len()..]
        }
    };
    let path = path.split(['#', '?']).next().unwrap_or_default();
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    Some(Path::new(std::ffi::OsStr::from_bytes(&bytes)).to_owned())
}

/// Of what follows `data:`.
fn data(rest: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let (kind, words) = rest.split_once(',')?;
    let mut data: Vec<u8> = percent_decode_str(words).collect();
    if kind.ends_with(";base64") {
        data.retain(|byte| !byte.is_ascii_whitespace());
        data = LENIENT.decode(data).ok()?;
    }
    Some(data)
}

async fn fetch_http(url: &str, out: &mut impl Write) -> Result<u64, OriginError> {
    let broken = |error: reqwest::Error| {
        let why = report(&error.without_url());
        OriginError::Broken { url: url.to_owned(), why }
    };
    let silent = |_| {
        let why = format!("it was silent for {} s", SILENT_MAX.as_secs());
        OriginError::Broken { url: url.to_owned(), why }
    };
    let http = client(url).map_err(broken)?;
    let mut response = timeout(SILENT_MAX, http.get(url).send()).await.map_err(silent)?.map_err(broken)?;
    if !response.status().is_success() {
        return Err(OriginError::Refused { url: url.to_owned(), status: response.status().as_u16() });
    }
    let mut bytes = 0;
    while let Some(piece) = timeout(SILENT_MAX, response.chunk()).await.map_err(silent)?.map_err(broken)? {
        out.write_all(&piece).map_err(|source| OriginError::Write { url: url.to_owned(), source })?;
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}

fn client(url: &str) -> Result<reqwest::Client, reqwest::Error> {
    // Somebody else in this process may have chosen the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let builder = || {
        reqwest::Client::builder()
            .user_agent(concat!("provost/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
    };
    match builder().build() {
        // A machine without any authorities can still speak plain HTTP.
        Err(_) if !url.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("https:")) => {
            builder().tls_certs_only([]).build()
        }
        built => built,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use super::*;

    fn fetched(url: &str) -> Result<Vec<u8>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut out = Vec::new();
        let bytes = runtime.block_on(fetch(url, &mut out)).map_err(|error| error.to_string())?;
        assert_eq!(bytes, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn a_url_may_hold_what_it_names() {
        for (url, expected) in [
            ("data:,", Some("")),
            ("data:text/plain,hi%20x", Some("hi x")),
            ("DATA:text/plain;charset=utf-8,a,b#c", Some("a,b#c")),
            ("data:;base64,aGk=", Some("hi")),
            ("data:;base64,aG%6B", Some("hi")),
            ("data:;base64,aGk", Some("hi")),
            ("data:;base64,a", None),
            ("data:x", None),
        ] {
            let data = fetched(url).ok().map(|data| String::from_utf8(data).unwrap().replace('k', "i"));
            assert_eq!(data.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn files_of_this_machine_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        std::fs::write(&path, "hello").unwrap();
        let url = format!("{}/a%20b", directory.path().display());
        for prefix in ["file:", "file://", "FILE://localhost"] {
            assert_eq!(fetched(&format!("{prefix}{url}")).unwrap(), b"hello");
        }
        for (url, expected) in [
            (format!("file://elsewhere{url}"), "file not on local host: "),
            (format!("file:{}", directory.path().display()), "could not read "),
            ("file:/nonexistent".into(), "could not read /nonexistent"),
            ("folder".into(), "unknown url type: 'folder'"),
            ("a/b:c".into(), "unknown url type: 'a/b:c'"),
            ("gopher://a".into(), "unknown url type: 'gopher://a'"),
            ("ftp://a/b".into(), "ftp is not spoken"),
            ("http://".into(), "could not fetch http://"),
        ] {
            let error = fetched(&url).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    /// A web server that gives these answers, one after another.
    fn server(answers: &[String]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn web_servers_may_redirect_and_must_finish() {
        let answer = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
        let elsewhere = answer("302 Found\r\nLocation: /there\r\nContent-Length: 0", "");
        let whole = answer("200 OK\r\nContent-Length: 5", "hello");
        assert_eq!(fetched(&server(&[elsewhere, whole])), Ok(b"hello".to_vec()));
        for (head, expected) in [("404 Not Found", "the server answered 404"), ("200 OK", "could not fetch ")]
        {
            let url = server(&[answer(&format!("{head}\r\nContent-Length: 9"), "hello")]);
            let error = fetched(&url).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

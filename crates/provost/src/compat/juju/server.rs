//! The CA certificates of a Provost server, which a provider hands on: asked for as caucase's clients ask, over HTTPS, from
//! a server that proves who it is.
//!
//! What was answered last is kept beside the charm, so that a server that is away changes nothing, and a hook asks only
//! when everything is looked at anew.

use std::path::Path;
use std::time::Duration;

use base::{Explain as _, Timestamp, hex, report, sha256};
use client::compat::caucase::{self, Authority, BadAuthority, Unusable};
use client::{BadEndpoint, BuildError, Client, Credentials, Endpoint, Request, SendError, Trust};
use serde::{Deserialize, Serialize};
use trust::{Certificates, Level};
use x509::Certificate;

use super::{CharmError, outputs, tools};

/// How long a server is waited for, with all that is asked of it: the other hooks of the machine wait for this one.
const WITHIN: Duration = Duration::from_secs(10);
/// The longest answer that is taken: far more certificates than an authority ever has.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The file beside the charm for what was answered last.
const FILE: &str = "server.json";

/// The options do not name a server that could be asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// It is no URL of one.
    #[error("option `server`: {0}")]
    Endpoint(#[from] BadEndpoint),
    /// Nobody knows who answers.
    #[error(
        "option `server`: `{0}` proves nothing about who answers; give the https:// URL, one port above that of HTTP"
    )]
    Plain(Endpoint),
    /// There is no such authority.
    #[error("option `authorities`: {0}")]
    Authority(#[from] BadAuthority),
    /// What is to prove who the server is proves nothing.
    #[error("option `server-ca` is not PEM of CA certificates{0}")]
    Ca(String),
}

/// A server did not say what its CA certificates are.
#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("it did not answer within {} s", WITHIN.as_secs())]
    Late,
    #[error("it answered {status} to GET {path}, as no Provost server does")]
    Status { status: u16, path: String },
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("could not ask")]
    Runtime(#[source] std::io::Error),
}

impl AskError {
    /// In one line; where nobody answered, with why.
    fn said(&self) -> String {
        let help = match self {
            Self::Send(error) => error.help(),
            Self::Build(_) | Self::Late | Self::Status { .. } | Self::Unusable(_) | Self::Runtime(_) => None,
        };
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}{help}", report(self))
    }
}

/// Whom the options name.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    endpoint: Endpoint,
    authorities: Vec<Authority>,
    /// What it proves itself by; where there is nothing, whom the system trusts.
    ca: Vec<Certificate>,
}

/// What is known of a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// What it answered last; `None` where it never has.
    pub certificates: Option<Certificates>,
    /// Why this is not what it says now.
    pub trouble: Option<String>,
}

/// What is kept of a server between two hooks.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Which one it is: a digest of what the options say.
    server: String,
    /// What is handed on.
    certificates: Certificates,
    /// Why this is not what it says now.
    trouble: Option<String>,
}

impl Server {
    /// The server that these options name, if they do.
    pub fn of(url: &str, ca: &str, authorities: &str) -> Result<Option<Self>, BadServer> {
        if url.is_empty() {
            return Ok(None);
        }
        let endpoint: Endpoint = url.parse()?;
        if !endpoint.is_https() {
            return Err(BadServer::Plain(endpoint));
        }
        let mut named = authorities
            .split([',', ' ', '\n'])
            .filter(|name| !name.is_empty())
            .map(str::parse)
            .collect::<Result<Vec<Authority>, _>>()?;
        if named.is_empty() {
            named.push(Authority::Services);
        }
        named.sort_unstable();
        named.dedup();
        let anchors = Certificate::all_from_pem(ca.as_bytes())
            .map_err(|error| BadServer::Ca(format!(": {}", report(&error))))?;
        if anchors.is_empty() && !ca.is_empty() {
            // Whom the system trusts was not meant.
            return Err(BadServer::Ca(String::new()));
        }
        Ok(Some(Self { endpoint, authorities: named, ca: anchors }))
    }

    /// What is known of it: `afresh`, or where nothing is, it is asked.
    pub fn look(&self, charm: &Path, now: Timestamp, afresh: bool) -> Result<Known, CharmError> {
        let kept = self.kept(charm);
        if let (Some(kept), false) = (&kept, afresh) {
            let certificates = Some(kept.certificates.clone());
            return Ok(Known { certificates, trouble: kept.trouble.clone() });
        }
        let kept = match self.ask(now) {
            Ok(answered) => answered,
            Err(error) => {
                let trouble = format!("{} is not heard: {}", self.endpoint, error.said());
                tools::log(Level::Warning, &format!("{trouble}; what was handed on stays"));
                let Some(kept) = kept else {
                    return Ok(Known { certificates: None, trouble: Some(trouble) });
                };
                Kept { trouble: Some(trouble), ..kept }
            }
        };
        let text = serde_json::to_string(&kept).expect("texts under names are JSON");
        outputs::replace(&charm.join(FILE), text.as_bytes())?;
        Ok(Known { certificates: Some(kept.certificates), trouble: kept.trouble })
    }

    /// What was answered last, if this server did. What cannot be read is nothing: it is asked for again.
    fn kept(&self, charm: &Path) -> Option<Kept> {
        let text = std::fs::read(charm.join(FILE)).ok()?;
        let kept: Kept = serde_json::from_slice(&text).ok()?;
        (kept.server == self.name()).then_some(kept)
    }

    /// A digest of what the options say: of another server, or of one that is believed for another reason, nothing is known.
    fn name(&self) -> String {
        let authorities: Vec<_> = self.authorities.iter().map(|authority| authority.name()).collect();
        let whole = format!("{}\n{}\n{}", self.endpoint, authorities.join(","), self.ca_pem());
        hex::encode(&sha256(whole.as_bytes()))
    }

    fn ask(&self, now: Timestamp) -> Result<Kept, AskError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(AskError::Runtime)?;
        let asked = runtime.block_on(async {
            match tokio::time::timeout(WITHIN, self.exchange(now)).await {
                Ok(answered) => answered,
                Err(_) => Err(AskError::Late),
            }
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        asked
    }

    async fn exchange(&self, now: Timestamp) -> Result<Kept, AskError> {
        let trust = match self.ca.is_empty() {
            true => Trust::System,
            false => Trust::Only(self.ca_pem().into_bytes()),
        };
        let client = Client::new(vec![self.endpoint.clone()], &trust, &Credentials::default())?
            .with_answers_up_to(ANSWER_BYTES_MAX);
        let mut certificates = Certificates::new();
        for authority in &self.authorities {
            let oldest = get(&client, &caucase::oldest(*authority)).await?;
            let chain = get(&client, &caucase::chain(*authority)).await?;
            let read = caucase::certificates(&oldest, &chain, now)?;
            certificates.extend(read.iter().map(|one| one.to_pem().trim_end().to_owned()));
        }
        Ok(Kept { server: self.name(), certificates, trouble: None })
    }

    fn ca_pem(&self) -> String {
        self.ca.iter().map(Certificate::to_pem).collect()
    }
}

/// Forgets what was kept, where no server is named any more.
pub fn forget(charm: &Path) -> Result<(), CharmError> {
    outputs::remove(&charm.join(FILE))
}

async fn get(client: &Client, request: &Request) -> Result<Vec<u8>, AskError> {
    let answer = client.send(request, |_, _| {}).await?;
    if answer.status != 200 {
        return Err(AskError::Status { status: answer.status, path: request.path().to_owned() });
    }
    Ok(answer.body)
}

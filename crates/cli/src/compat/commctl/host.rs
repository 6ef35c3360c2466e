//! `commctl host`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use client::compat::commissaire::{self as v0, Resource};
use client::{Answer, Request, Segment};
use serde::Deserialize;
use serde_json::json;

use super::answers;
use super::error::CommandError;
use crate::input::{File, Input};
use crate::ssh::Session;

#[derive(Subcommand)]
#[command(disable_help_subcommand = true)]
pub(super) enum Command {
    /// Register a host
    Create {
        /// A name is resolved to its IPv4 address first, here and wherever an address is asked for
        address: String,
        /// The file with the private key to sign in with; `-` for standard input
        keyfile: File,
        /// The cluster to join at once
        #[arg(short, long)]
        cluster: Option<String>,
    },
    /// Delete hosts
    Delete {
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
    },
    /// Show a host
    Get { address: String },
    /// List hosts, all or those of a cluster
    List { cluster: Option<Segment> },
    /// Make a host a member of a cluster
    Join { address: String, cluster: Segment },
    /// End a host's membership of a cluster
    Unjoin { address: String, cluster: Segment },
    /// Show whether a host is well
    Status { address: String },
    /// Sign in at a host
    Ssh(Ssh),
}

/// What the server says about signing in.
#[derive(Deserialize)]
struct HostCredentials {
    #[serde(default)]
    ssh_priv_key: String,
    #[serde(default)]
    remote_user: String,
}

/// `commctl host ssh`.
#[derive(Args)]
#[command(disable_help_flag = true)]
pub(super) struct Ssh {
    /// The host, as the server knows it
    host: Segment,
    /// Options for ssh, or a command to run
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Command {
    /// The requests of every command but `ssh`, whose one request is [`Ssh::request`].
    pub(super) async fn requests(&self, input: &mut Input) -> Result<Vec<Request>, CommandError> {
        Ok(match self {
            Self::Create { address, keyfile, cluster } => {
                let address = resolve(address).await?;
                let key = Secret::new(input.read(keyfile).await?);
                check_key(key.expose(), &keyfile.to_string())?;
                let mut body = json!({"ssh_priv_key": STANDARD.encode(key.expose())});
                if let Some(cluster) = cluster {
                    body["cluster"] = json!(cluster);
                }
                vec![v0::create(Resource::Host, &address, body)]
            }
            Self::Delete { addresses } => {
                let mut requests = Vec::new();
                for address in addresses {
                    requests.push(v0::delete(Resource::Host, &resolve(address).await?));
                }
                requests
            }
            Self::Get { address } => vec![v0::show(Resource::Host, &resolve(address).await?)],
            Self::List { cluster: None } => vec![v0::list(Resource::Host)],
            Self::List { cluster: Some(cluster) } => vec![v0::members(cluster)],
            Self::Join { address, cluster } => vec![v0::join(cluster, &resolve(address).await?)],
            Self::Unjoin { address, cluster } => vec![v0::leave(cluster, &resolve(address).await?)],
            Self::Status { address } => vec![v0::host_status(&resolve(address).await?)],
            Self::Ssh(ssh) => vec![ssh.request()],
        })
    }
}

impl Ssh {
    /// Asks how to sign in.
    pub(super) fn request(&self) -> Request {
        v0::host_credentials(&self.host)
    }

    /// The session that the answer makes possible.
    pub(super) fn session(self, answer: &Answer) -> Result<Session, CommandError> {
        match answer.status {
            200 => {
                let found: HostCredentials =
                    serde_json::from_slice(&answer.body).map_err(CommandError::Malformed)?;
                let key = STANDARD.decode(found.ssh_priv_key.trim());
                let key = key.map_err(|_| CommandError::NotBase64 { host: self.host.to_string() })?;
                let (host, user) = (self.host.as_str(), &found.remote_user);
                Ok(Session::new(host, user, Secret::new(key), self.arguments)?)
            }
            404 => Err(CommandError::NoSuchHost(self.host.to_string())),
            _ => Err(answers::refusal(&v0::host_credentials(&self.host), answer)),
        }
    }
}

/// Refuses what is certainly no private key. Whether it is one that ssh takes is for ssh to say.
fn check_key(key: &[u8], file: &str) -> Result<(), CommandError> {
    const PUBLIC: [&str; 5] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2 PUBLIC KEY"];
    let text = String::from_utf8_lossy(key);
    let first = text.trim_start().lines().next().unwrap_or_default();
    if first.is_empty() {
        return Err(CommandError::Argument(format!("there is no private key in {file}: it is empty")));
    }
    let is_pem = first.starts_with("-----BEGIN") && first.contains("PUBLIC KEY-----");
    if is_pem || PUBLIC.iter().any(|start| first.starts_with(start)) {
        return Err(CommandError::Argument(format!(
            "what is in {file} is a public key, not the private one"
        )));
    }
    Ok(())
}

/// The address by which the server knows a host: IPv4, as the original asks for it. An IPv6 address that is
/// written as such stays what it is.
async fn resolve(address: &str) -> Result<Segment, CommandError> {
    let unresolvable = || CommandError::Unresolvable(address.to_owned());
    let written = address.split('%').next().unwrap_or_default();
    let resolved = if let Ok(IpAddr::V6(_)) = written.parse() {
        address.to_owned()
    } else {
        let mut found = tokio::net::lookup_host((address, 0)).await.map_err(|_| unresolvable())?;
        found.find(SocketAddr::is_ipv4).ok_or_else(unresolvable)?.ip().to_string()
    };
    resolved.parse().map_err(|_| unresolvable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certainly_no_private_key_is_refused() {
        for (key, expected) in [
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", true),
            ("-----BEGIN RSA PRIVATE KEY-----\n", true),
            ("dummy", true),
            ("\u{0}\u{1}", true),
            ("", false),
            (" \n\n", false),
            ("ssh-ed25519 AAAAC3 me@here\n", false),
            ("\nssh-rsa AAAAB3", false),
            ("ecdsa-sha2-nistp256 AAAAE2", false),
            ("sk-ssh-ed25519@openssh.com AAAA", false),
            ("---- BEGIN SSH2 PUBLIC KEY ----", false),
            ("-----BEGIN PUBLIC KEY-----", false),
            ("-----BEGIN RSA PUBLIC KEY-----", false),
        ] {
            assert_eq!(check_key(key.as_bytes(), "the file").is_ok(), expected, "{key:?}");
        }
    }

    #[test]
    fn addresses_become_ipv4_where_they_can() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (address, expected) in [
            ("10.0.0.1", Some("10.0.0.1")),
            ("localhost", Some("127.0.0.1")),
            ("fe80::1%eth0", Some("fe80::1%eth0")),
            ("::1", Some("::1")),
            ("host.invalid", None),
            ("", None),
            ("..", None),
            ("a b", None),
        ] {
            let resolved = runtime.block_on(resolve(address)).ok();
            assert_eq!(resolved.as_ref().map(Segment::as_str), expected, "{address}");
        }
    }
}

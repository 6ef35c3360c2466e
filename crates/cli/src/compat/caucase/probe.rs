//! `caucase-probe` (caucase contract, 7.4): whether a server answers at both of its ports, and the same.

use clap::{ArgAction, Parser};
use client::compat::caucase::{Authority, Server, ServerUrl};
use x509::Certificate;

use super::VERSION;
use super::error::CommandError;
use crate::holder::HolderError;

/// Look whether a certificate authority's server works, over HTTP and over HTTPS
#[derive(Parser)]
#[command(name = "caucase-probe", infer_long_args = true, args_override_self = true)]
#[command(version = VERSION, disable_version_flag = true)]
pub(super) struct Line {
    /// The server, without /cas: http://HOST[:PORT]
    #[arg(value_name = "CA_URL")]
    ca_url: ServerUrl,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Line {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let server = Server::new(self.ca_url.clone())?;
        let before = server.oldest(Authority::Services).await?;
        let over_tls = server.oldest_over_tls(Authority::Services).await?;
        // It may have become another one in between.
        let after = server.oldest(Authority::Services).await?;
        Certificate::from_pem(&over_tls).map_err(HolderError::NoCertificate)?;
        if over_tls == before || over_tls == after { Ok(0) } else { Err(CommandError::Differs(self.ca_url)) }
    }
}

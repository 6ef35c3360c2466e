//! Somebody who writes all the time while others are measured.

use std::time::Duration;

use crate::Failure;
use crate::http::Client;
use crate::load::{self, Done, Worker};
use crate::process::Served;
use crate::signed_in::request;

/// Takes in a host and lets it go again, over and over, so that there are as many as before in the end. Each of the two
/// is a commit, after which every answer is made anew.
struct Writer {
    client: Client,
    is_there: bool,
}

impl Worker for Writer {
    async fn turn(&mut self) -> Result<bool, Failure> {
        const PATH: &str = "/api/v0/host/comes-and-goes";
        let (expected, request) = if self.is_there {
            (200, request("DELETE", PATH, None))
        } else {
            (201, request("PUT", PATH, Some(b"{\"ssh_priv_key\": \"dGVzdAo=\"}")))
        };
        self.client.expect(expected, &request).await?;
        self.is_there = !self.is_there;
        Ok(true)
    }
}

/// Writes for a while, over one connection.
pub(super) async fn write(served: &Served, duration: Duration) -> Result<Done, Failure> {
    let writer = Writer { client: Client::new(served.address), is_there: false };
    let (done, mut writers) = load::run(vec![writer], duration).await?;
    for writer in &mut writers {
        if writer.is_there {
            writer.turn().await?;
        }
    }
    Ok(done)
}

//! What an API server is asked about a node.

use std::time::Duration;

use base::Clock;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::ask::{Answer, Asker, JSON, Question, STRATEGIC_MERGE_PATCH};
use crate::error::{Action, Error};
use crate::node::{Node, NodeObject, Readiness};
use crate::node_name::NodeName;
use crate::settings::{Settings, SettingsError};

/// Speaks with one API server. Connections are kept for the next request.
#[derive(Debug)]
pub struct Client {
    pub(crate) asker: Asker,
}

/// Whether there was something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was done now.
    Made,
    /// It was so already.
    Unneeded,
}

impl Client {
    /// A client; nothing is asked yet. `clock` says which certificates are valid.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(settings: &Settings, clock: &Clock) -> Result<Self, SettingsError> {
        if settings.credentials.token.is_some() && !settings.server.is_https() {
            tracing::warn!(server = %settings.server, "a token is sent over plain HTTP");
        }
        Ok(Self { asker: Asker::new(settings, clock)? })
    }

    /// Makes the node known; its kubelet does the rest.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn register(&self, node: &NodeName) -> Result<Change, Error> {
        let body = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": node.as_str()}});
        let answer = self.ask("create", node, Method::POST, "/api/v1/nodes", Some((JSON, body))).await?;
        if answer.status == StatusCode::CONFLICT {
            return Ok(Change::Unneeded);
        }
        answer.done().map(|()| Change::Made)
    }

    /// Whether the node is known.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn node_registered(&self, node: &NodeName) -> Result<bool, Error> {
        let answer = self.get(node).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        answer.done().map(|()| true)
    }

    /// What is known of the node.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is not known; see [`Error`].
    pub async fn node(&self, node: &NodeName) -> Result<Node, Error> {
        let object = self.get(node).await?.object()?;
        self.read(node, "get", object)
    }

    /// The whole object that stands for the node (Commissaire's `get_node_status`).
    ///
    /// # Errors
    /// As for [`Self::node`].
    pub async fn node_object(&self, node: &NodeName) -> Result<Value, Error> {
        self.get(node).await?.object()
    }

    /// Lets the cluster forget the node.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove(&self, node: &NodeName) -> Result<Change, Error> {
        let answer = self.ask("delete", node, Method::DELETE, &path(node), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Change::Unneeded);
        }
        answer.done().map(|()| Change::Made)
    }

    /// Keeps new pods from the node. What it is afterwards.
    ///
    /// Whether somebody else had done so before, and does not want it undone, [`Self::node`] says beforehand.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cordon(&self, node: &NodeName) -> Result<Node, Error> {
        self.set_unschedulable(node, true).await
    }

    /// Lets new pods on the node again. What it is afterwards.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn uncordon(&self, node: &NodeName) -> Result<Node, Error> {
        self.set_unschedulable(node, false).await
    }

    /// Waits until the node is ready, for as long as `within`, with a look each `pause`. With `boot_id`, until it is
    /// ready in that boot of its machine: for some time after a restart a node still counts as ready from before. An
    /// API server that is away for a while is waited for.
    ///
    /// # Errors
    /// [`Error::NotReady`], and what will not pass by itself ([`Error::may_pass`]); that the node is not known may.
    pub async fn wait_ready(
        &self,
        node: &NodeName,
        boot_id: Option<&str>,
        within: Duration,
        pause: Duration,
    ) -> Result<Node, Error> {
        let begun = Instant::now();
        loop {
            let why = match self.node(node).await {
                Ok(found) if found.readiness != Readiness::Ready => found.readiness.to_string(),
                Ok(found) if boot_id.is_some_and(|id| found.boot_id.as_deref() != Some(id)) => {
                    "it has not reported since its machine was started".to_owned()
                }
                Ok(found) => return Ok(found),
                // A kubelet registers its node itself when it starts.
                Err(error) if error.may_pass() || matches!(error, Error::NotFound { .. }) => {
                    base::report(&error)
                }
                Err(error) => return Err(error),
            };
            let left = within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(Error::NotReady { node: node.clone(), within, why });
            }
            sleep(pause.min(left)).await;
        }
    }

    async fn get(&self, node: &NodeName) -> Result<Answer, Error> {
        self.ask("get", node, Method::GET, &path(node), None).await
    }

    async fn set_unschedulable(&self, node: &NodeName, is_unschedulable: bool) -> Result<Node, Error> {
        let patch = json!({"spec": {"unschedulable": is_unschedulable}});
        let body = Some((STRATEGIC_MERGE_PATCH, patch));
        let object = self.ask("patch", node, Method::PATCH, &path(node), body).await?.object()?;
        self.read(node, "patch", object)
    }

    /// The node in an answer, which must be the one that was asked about.
    fn read(&self, node: &NodeName, verb: &'static str, object: NodeObject) -> Result<Node, Error> {
        if object.name() == node.as_str() {
            Ok(object.node(|text| self.asker.clean(text)))
        } else {
            let action = Action { verb, resource: "nodes", name: node.to_string() };
            Err(self.asker.malformed(action, "it speaks of another node"))
        }
    }

    async fn ask(
        &self,
        verb: &'static str,
        node: &NodeName,
        method: Method,
        path: &str,
        body: Option<(&'static str, Value)>,
    ) -> Result<Answer, Error> {
        let action = Action { verb, resource: "nodes", name: node.to_string() };
        self.asker.ask(Question { action, method, path, body, within: self.asker.deadline }).await
    }
}

/// Where a node is. A name has nothing that would need to be escaped.
fn path(node: &NodeName) -> String {
    format!("/api/v1/nodes/{node}")
}

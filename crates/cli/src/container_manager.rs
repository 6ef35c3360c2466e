//! `provost container-manager`.

use clap::ValueEnum;
use client::v1::{self, List};
use client::{Request, Segment};
use serde_json::{Map, Value};
use wire::{ContainerManager, ContainerManagerKind, NewContainerManager};

use crate::definition::{self, Definition};

pub(crate) type Command = definition::Command<ContainerManager>;

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// OpenShift; `--option server_url=URL` says where it is
    OpenShift,
    /// Kubernetes; `--option server_url=URL` says where it is
    Kubernetes,
    /// One that takes every host and does nothing with it
    Trivial,
}

impl Definition for ContainerManager {
    const NOUN: &'static str = "container manager";
    const OPTION: &'static str = "--container-manager";
    const KIND: &'static str = "What kind it is";
    const LIST: List<'static> = List::ContainerManagers;
    type Kind = Kind;

    fn get(name: &Segment) -> Request {
        v1::container_manager(name)
    }

    fn put(name: &Segment, kind: Kind, options: Map<String, Value>) -> Request {
        let kind = match kind {
            Kind::OpenShift => ContainerManagerKind::OpenShift,
            Kind::Kubernetes => ContainerManagerKind::Kubernetes,
            Kind::Trivial => ContainerManagerKind::Trivial,
        };
        v1::put_container_manager(name, &NewContainerManager { kind, options })
    }

    fn delete(name: &Segment) -> Request {
        v1::delete_container_manager(name)
    }
}

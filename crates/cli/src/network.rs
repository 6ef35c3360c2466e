//! `provost network`.

use clap::ValueEnum;
use client::v1::{self, List};
use client::{Request, Segment};
use serde_json::{Map, Value};
use wire::{Network, NetworkKind, NewNetwork};

use crate::definition::{self, Definition};

pub(crate) type Command = definition::Command<Network>;

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// flannel, which keeps its state in etcd
    FlannelEtcd,
    /// flannel, which asks a flannel server; `--option address=HOST:PORT` says where
    FlannelServer,
}

impl Definition for Network {
    const NOUN: &'static str = "network";
    const OPTION: &'static str = "--network";
    const KIND: &'static str = "How it works";
    const LIST: List<'static> = List::Networks;
    type Kind = Kind;

    fn get(name: &Segment) -> Request {
        v1::network(name)
    }

    fn put(name: &Segment, kind: Kind, options: Map<String, Value>) -> Request {
        let kind = match kind {
            Kind::FlannelEtcd => NetworkKind::FlannelEtcd,
            Kind::FlannelServer => NetworkKind::FlannelServer,
        };
        v1::put_network(name, &NewNetwork { kind, options })
    }

    fn delete(name: &Segment) -> Request {
        v1::delete_network(name)
    }
}

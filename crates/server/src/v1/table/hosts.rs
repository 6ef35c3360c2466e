//! The routes of hosts.

use fleet::{AcceptHostKey, AddHost, DeleteHost, LabelHost, ReadCredentials, ReadHosts, RegisterHost};
use http::Method;
use wire::Page;

use super::{Call, Conditions, Parameter, Row};

const HOST_QUERY: &[Parameter] = &[
    Parameter::Limit,
    Parameter::After,
    Parameter::Label,
    Parameter::Status,
    Parameter::Cluster,
    Parameter::Os,
];

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get("/hosts", Call::Hosts, "listHosts", "Hosts, a page at a time")
            .may::<ReadHosts>()
            .query(HOST_QUERY)
            .answers::<Page<wire::Host>>(200)
            .or(&[422]),
        Row::post(
            "/hosts",
            Call::RegisterHost,
            "registerHost",
            "Add whoever asks as a host, under the address that they come from",
        )
        .may::<RegisterHost>()
        .takes::<wire::NewHost>()
        .answers::<wire::Host>(200)
        .answers::<wire::Host>(201)
        .or(&[409, 422]),
        Row::get("/hosts/{address}", Call::Host, "getHost", "A host")
            .may::<ReadHosts>()
            .answers::<wire::Host>(200)
            .or(&[404]),
        Row::put("/hosts/{address}", Call::PutHost, "putHost", "Add a host")
            .may::<AddHost>()
            .takes::<wire::NewHost>()
            .answers::<wire::Host>(200)
            .answers::<wire::Host>(201)
            .or(&[409, 422]),
        Row::new(
            Method::PATCH,
            "/hosts/{address}",
            Call::PatchHost,
            "patchHost",
            "Change a host's labels",
            Conditions::Write,
        )
        .may::<LabelHost>()
        .takes::<wire::HostPatch>()
        .answers::<wire::Host>(200)
        .or(&[404, 422]),
        Row::delete(
            "/hosts/{address}",
            Call::DeleteHost,
            "deleteHost",
            "Forget a host, its credentials and its place in a cluster",
        )
        .may::<DeleteHost>()
        .or(&[404]),
        Row::get("/hosts/{address}/status", Call::HostReport, "getHostStatus", "How a host is doing")
            .may::<ReadHosts>()
            .answers::<wire::HostReport>(200)
            .or(&[404]),
        Row::get(
            "/hosts/{address}/credentials",
            Call::Credentials,
            "getHostCredentials",
            "How to get into a host",
        )
        .may::<ReadCredentials>()
        .answers::<wire::Credentials>(200)
        .or(&[404])
        .unconditional(),
        Row::get(
            "/hosts/{address}/host-key",
            Call::HostKey,
            "getHostKey",
            "The key that a host has to prove",
        )
        .may::<ReadHosts>()
        .answers::<wire::HostKeys>(200)
        .or(&[404]),
        Row::put(
            "/hosts/{address}/host-key",
            Call::AcceptHostKey,
            "acceptHostKey",
            "Accept the key that a host offered instead of the known one",
        )
        .may::<AcceptHostKey>()
        .takes::<wire::AcceptedKey>()
        .answers::<wire::HostKeys>(200)
        .or(&[404, 409]),
    ]
}

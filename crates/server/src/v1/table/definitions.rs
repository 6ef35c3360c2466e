//! The routes of networks and container managers.

use fleet::{
    DeleteContainerManager, DeleteNetwork, PutContainerManager, PutNetwork, ReadContainerManagers,
    ReadNetworks, ReadSecretOptions,
};
use wire::Page;

use super::{Call, PAGED, Row};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::get("/networks", Call::Networks, "listNetworks", "Networks, a page at a time")
            .may::<ReadNetworks>()
            .query(PAGED)
            .answers::<Page<wire::Network>>(200)
            .or(&[422]),
        Row::get("/networks/{name}", Call::Network, "getNetwork", "A network")
            .may::<ReadNetworks>()
            .answers::<wire::Network>(200)
            .or(&[404]),
        Row::put("/networks/{name}", Call::PutNetwork, "putNetwork", "Make a network")
            .may::<PutNetwork>()
            .takes::<wire::NewNetwork>()
            .answers::<wire::Network>(200)
            .answers::<wire::Network>(201)
            .or(&[409, 422]),
        Row::delete(
            "/networks/{name}",
            Call::DeleteNetwork,
            "deleteNetwork",
            "Delete a network that no cluster uses",
        )
        .may::<DeleteNetwork>()
        .or(&[404, 409]),
        Row::get(
            "/networks/{name}/secrets",
            Call::NetworkSecrets,
            "getNetworkSecrets",
            "The options of a network, with those that are secret",
        )
        .may::<ReadSecretOptions>()
        .answers::<wire::Secrets>(200)
        .or(&[404])
        .unconditional(),
        Row::get(
            "/container-managers",
            Call::ContainerManagers,
            "listContainerManagers",
            "Container managers, a page at a time",
        )
        .may::<ReadContainerManagers>()
        .query(PAGED)
        .answers::<Page<wire::ContainerManager>>(200)
        .or(&[422]),
        Row::get(
            "/container-managers/{name}",
            Call::ContainerManager,
            "getContainerManager",
            "A container manager",
        )
        .may::<ReadContainerManagers>()
        .answers::<wire::ContainerManager>(200)
        .or(&[404]),
        Row::put(
            "/container-managers/{name}",
            Call::PutContainerManager,
            "putContainerManager",
            "Make a container manager",
        )
        .may::<PutContainerManager>()
        .takes::<wire::NewContainerManager>()
        .answers::<wire::ContainerManager>(200)
        .answers::<wire::ContainerManager>(201)
        .or(&[409, 422]),
        Row::delete(
            "/container-managers/{name}",
            Call::DeleteContainerManager,
            "deleteContainerManager",
            "Delete a container manager that no cluster uses",
        )
        .may::<DeleteContainerManager>()
        .or(&[404, 409]),
        Row::get(
            "/container-managers/{name}/secrets",
            Call::ContainerManagerSecrets,
            "getContainerManagerSecrets",
            "The options of a container manager, with those that are secret",
        )
        .may::<ReadSecretOptions>()
        .answers::<wire::Secrets>(200)
        .or(&[404])
        .unconditional(),
    ]
}

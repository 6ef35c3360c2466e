//! Playbooks that an operator has changed, and Ansible that is not as it should be.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::{HostPlan, wait_until};

use crate::hands::{Transport, World};
use crate::houses::ended_without_a_fault;
use crate::program::PROVOST;

/// Writes the playbooks that come with the program into `folder`, as an operator does.
fn write_playbooks(folder: &Path) -> String {
    let mut command = Command::new(PROVOST);
    command.args(["config", "playbooks"]).arg(folder).env_clear();
    let ran = testkit::run(&mut command);
    assert_eq!(ran.ok(), "");
    ran.stderr
}

fn change(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn an_operators_playbook_and_role_take_the_place_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let said = write_playbooks(folder.path());
    assert!(said.contains("bootstrap.yml") && said.lines().count() == 8, "{said}");
    // A role beside it, and a task that uses each of the contract's variables.
    let bootstrap = folder.path().join("bootstrap.yml");
    let role = folder.path().join("roles/greeting/tasks");
    std::fs::create_dir_all(&role).unwrap();
    let variables = [
        "commissaire_bootstrap_ip",
        "commissaire_docker_registry_host",
        "commissaire_docker_registry_port",
        "commissaire_flannel_key",
        "commissaire_docker_config_local",
        "commissaire_flanneld_config_local",
        "commissaire_docker_config",
        "commissaire_flanneld_config",
        "commissaire_install_libselinux_python",
        "commissaire_install_flannel",
        "commissaire_install_docker",
        "commissaire_flannel_service",
        "commissaire_docker_service",
        "commissaire_enable_pkg_repos",
        "commissaire_etcd_server_url",
        "commissaire_etcd_ca_path",
        "commissaire_etcd_ca_path_local",
        "commissaire_etcd_client_cert_path",
        "commissaire_etcd_client_cert_path_local",
        "commissaire_etcd_client_key_path",
        "commissaire_etcd_client_key_path_local",
    ];
    let lines: String = variables.map(|name| format!("{name}={{{{ {name} }}}};")).concat();
    let task =
        format!("- name: greet\n  ansible.builtin.copy:\n    content: '{lines}'\n    dest: /tmp/greeting\n");
    std::fs::write(role.join("main.yml"), task).unwrap();
    change(&bootstrap, "  tasks:\n", "  roles: [greeting]\n  tasks:\n");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ca, certificate, key) =
        (file("ca.pem", "CA"), file("crt.pem", "CERTIFICATE"), file("key.pem", "KEY"));
    let options = [
        ("fleet-profile", "containers"),
        ("fleet-flannel-etcd-url", "https://10.0.0.1:2379"),
        ("fleet-flannel-etcd-ca-file", ca.as_str()),
        ("fleet-flannel-etcd-certificate-file", &certificate),
        ("fleet-flannel-etcd-key-file", &key),
        ("fleet-ansible-playbooks-folder", folder.path().to_str().unwrap()),
    ];
    let world = World::new(Transport::Ansible, vec![HostPlan::new().os("fedora", "41")], &options);
    let host = &world.hosts[0];
    world.add(host, &world.hosts.key(), "admin");
    world.until(host, "disassociated");
    let greeting = std::fs::read_to_string(host.path("/tmp/greeting")).unwrap();
    let values: std::collections::BTreeMap<&str, &str> =
        greeting.split_terminator(';').filter_map(|line| line.split_once('=')).collect();
    for name in variables {
        let value = values[name];
        let expected = match name {
            "commissaire_bootstrap_ip" => host.address(),
            "commissaire_docker_registry_host" => "127.0.0.1",
            "commissaire_docker_registry_port" => "8080",
            "commissaire_flannel_key" => "/atomic01/network",
            "commissaire_docker_config" => "/etc/sysconfig/docker",
            "commissaire_flanneld_config" => "/etc/sysconfig/flanneld",
            "commissaire_install_libselinux_python" => "dnf install -y python3-libselinux",
            "commissaire_install_flannel" => "dnf install -y flannel",
            "commissaire_install_docker" => "dnf install -y docker",
            "commissaire_flannel_service" => "flanneld",
            "commissaire_docker_service" => "docker",
            "commissaire_enable_pkg_repos" => "true",
            "commissaire_etcd_server_url" => "https://10.0.0.1:2379",
            "commissaire_etcd_ca_path" => "/etc/etcd/cacert.pem",
            "commissaire_etcd_client_cert_path" => "/etc/etcd/client.crt",
            "commissaire_etcd_client_key_path" => "/etc/etcd/key.crt",
            local => {
                assert!(local.ends_with("_local") && value.starts_with('/'), "{local}: {value}");
                assert!(!Path::new(value).exists(), "{value} is gone with the run");
                continue;
            }
        };
        assert_eq!(value, expected, "{name}");
    }
    ended_without_a_fault(world.house);
}

#[test]
fn a_playbook_that_fails_or_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    write_playbooks(folder.path());
    let options = [("fleet-ansible-playbooks-folder", folder.path().to_str().unwrap())];
    change(&folder.path().join("look.yml"), "hosts: all", "hosts: [");
    let plans = vec![HostPlan::new(), HostPlan::new()];
    let world = World::new(Transport::Ansible, plans, &options);
    let key = world.hosts.key();
    world.add(&world.hosts[0], &key, "root");
    let reason = world.reason(&world.hosts[0]);
    assert!(reason.contains("the playbook look.yml could not be run"), "{reason}");
    assert!(reason.contains("`ansible-playbook --syntax-check` shows more"), "{reason}");
    // It is read anew each time, and one that is removed is ours again.
    std::fs::remove_file(folder.path().join("look.yml")).unwrap();
    world.add(&world.hosts[1], &key, "root");
    world.until(&world.hosts[1], "disassociated");
    wait_until("nothing to be left", || world.is_tidy());
    ended_without_a_fault(world.house);
}

/// Ansible keeps in memory what hosts say.
#[test]
fn a_host_that_talks_too_much_to_ansible_is_told_of() {
    let talks = ["ForceCommand yes", "ForceCommand yes | head -c 10000000"];
    let mut plans: Vec<HostPlan> = talks.map(|talks| HostPlan::new().sshd(talks)).into();
    plans.push(HostPlan::new());
    let world = World::new(Transport::Ansible, plans, &[("fleet-ansible-said-mib-max", "12")]);
    for host in world.hosts.all() {
        world.add(host, &world.hosts.key(), "root");
    }
    world.until(&world.hosts[2], "disassociated");
    let reason = world.reason(&world.hosts[0]);
    let words = "said more than 12 MiB; see what prints without end there, or which task";
    assert!(reason.contains(words), "{reason}");
    let reason = world.reason(&world.hosts[1]);
    assert!(reason.contains("it said more than 1 MiB"), "{reason}");
    wait_until("nothing to be left", || world.is_tidy());
    ended_without_a_fault(world.house);
}

/// Whoever kills what Ansible takes for ssh does not leave the real one behind.
#[test]
fn ssh_ends_with_what_relays_it() {
    let folder = tempfile::tempdir().unwrap();
    let ssh = folder.path().join("ssh");
    std::fs::write(&ssh, "#!/bin/sh\necho $$ \"$@\"\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(PROVOST);
    command.arg0("provost-ssh").args(["-l", "root", "host"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut relay = command.env_clear().env("PATH", path).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let (process, arguments) = said.trim().split_once(' ').unwrap();
    assert_eq!(arguments, "-l root host");
    // Of one that has ended there may be an entry left for a while, but nothing in it.
    let command_line = Path::new("/proc").join(process).join("cmdline");
    let is_there = || std::fs::read(&command_line).is_ok_and(|line| !line.is_empty());
    assert!(is_there());
    relay.kill().unwrap();
    relay.wait().unwrap();
    wait_until("ssh to be gone", || !is_there());
}

/// A server begins without it: whoever installs it later needs no restart.
#[test]
fn that_there_is_no_ansible_is_told() {
    let options =
        [("fleet-transport", "ansible"), ("fleet-ansible-program", "/nonexistent/ansible-playbook")];
    let world = World::new(Transport::Ssh, vec![HostPlan::new()], &options);
    world.add(&world.hosts[0], &world.hosts.key(), "root");
    let reason = world.reason(&world.hosts[0]);
    assert!(reason.contains("could not start /nonexistent/ansible-playbook"), "{reason}");
    assert!(reason.contains("install ansible-core"), "{reason}");
    ended_without_a_fault(world.house);
}

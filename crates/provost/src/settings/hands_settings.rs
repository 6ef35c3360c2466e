//! How hosts are looked at and made ready.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base::Span;
use fleet::bootstrap::Profile;

use super::reader::Reader;
use super::{Ansible, FlannelEtcd, Hands, Jump};
use crate::hands;

/// The files for flannel's etcd: its authorities, a certificate for it, and that one's key.
const ETCD_FILES: [&str; 3] =
    ["fleet.flannel.etcd.ca_file", "fleet.flannel.etcd.certificate_file", "fleet.flannel.etcd.key_file"];

const PLAYBOOKS: &str = "fleet.ansible.playbooks_folder";

/// The machine that hosts are reached through, and the key for it.
const JUMP: &str = "fleet.ssh.jump";
const JUMP_KEY: &str = "fleet.ssh.jump_key_file";

/// More hosts at once have no use: each needs its connection.
const HOSTS_MAX: u64 = 1_000;
/// The most that a host may say to one task of a playbook, in MiB: Ansible takes several times as much memory for it.
const SAID_MIB_MAX: u64 = 1_024;
/// The longest that one host may take, in seconds.
const SECONDS_MAX: f64 = 86_400.0;

/// See [`super::Settings::from`].
pub fn hands(reader: &mut Reader<'_>) -> Option<Hands> {
    let investigate = reader.switch("fleet.investigate");
    // Who does not look at hosts does nothing else with them, unless asked to.
    let mut as_investigate = |key| if reader.is_said(key) { reader.switch(key) } else { investigate };
    let (operations, watch) = (as_investigate("fleet.operations"), as_investigate("fleet.watch"));
    let watch_seconds = reader.whole("fleet.watch_seconds", 1..=86_400);
    let profile = reader.choice("fleet.profile");
    let commands_file = commands_file(reader);
    let templates_folder = templates_folder(reader);
    let ansible = ansible(reader);
    let port = reader.whole("fleet.ssh.port", 1..=u64::from(u16::MAX));
    let jump = jump(reader, matches!(ansible, Some(Some(_))));
    let hosts_max = reader.whole("fleet.ssh.hosts_max", 1..=HOSTS_MAX);
    let connect = reader.positive("fleet.ssh.connect_seconds", SECONDS_MAX);
    let host = reader.positive("fleet.ssh.host_seconds", SECONDS_MAX);
    let etcd = etcd(reader);
    Some(Hands {
        investigate: investigate?,
        operations: operations?,
        watch_period: watch?.then_some(Span::seconds(i64::try_from(watch_seconds?).ok()?)),
        profile: if profile? == "containers" { Profile::Containers } else { Profile::None },
        commands_file,
        templates_folder,
        ansible: ansible?,
        port: u16::try_from(port?).ok()?,
        jump: jump?,
        hosts_max: usize::try_from(hosts_max?).ok()?,
        connect: Duration::from_secs_f64(connect?),
        host: Duration::from_secs_f64(host?),
        etcd: etcd?,
    })
}

/// A path that need not be said.
fn named(reader: &mut Reader<'_>, name: &str) -> Option<PathBuf> {
    if reader.is_said(name) { reader.path(name) } else { None }
}

/// A file that is there has to be right already.
fn commands_file(reader: &mut Reader<'_>) -> Option<PathBuf> {
    const NAME: &str = "fleet.commands_file";
    let path = named(reader, NAME)?;
    if path.exists()
        && let Err(error) = hands::commands(&path)
    {
        reader.wrong(NAME, base::report(&error));
    }
    Some(path)
}

/// The same of a folder with templates.
fn templates_folder(reader: &mut Reader<'_>) -> Option<PathBuf> {
    const NAME: &str = "fleet.templates_folder";
    let path = named(reader, NAME)?;
    if path.exists()
        && let Err(error) = hands::templates(&path)
    {
        reader.wrong(NAME, base::report(&error));
    }
    Some(path)
}

/// The playbooks, where they are what works on hosts.
fn ansible(reader: &mut Reader<'_>) -> Option<Option<Ansible>> {
    let transport = reader.choice("fleet.transport");
    let program = named(reader, "fleet.ansible.program");
    let playbooks_folder = named(reader, PLAYBOOKS);
    let said_mib_max = reader.whole("fleet.ansible.said_mib_max", 1..=SAID_MIB_MAX);
    // Found on the PATH.
    let program = program.unwrap_or_else(|| "ansible-playbook".into());
    let ansible = Ansible { program, playbooks_folder, said_mib_max: said_mib_max? };
    Some((transport? == "ansible").then_some(ansible))
}

/// `USER@HOST:PORT`; the port may be left out.
struct Login {
    user: String,
    address: ssh::Address,
}

impl FromStr for Login {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not USER@HOST:PORT");
        let (user, place) = text.rsplit_once('@').ok_or_else(bad)?;
        // An IPv6 address stands in brackets where there is a port.
        let (host, port) = match (place.strip_prefix('['), place.rsplit_once(':')) {
            (Some(rest), _) => {
                let (host, port) = rest.split_once(']').ok_or_else(bad)?;
                (host, if port.is_empty() { "22" } else { port.strip_prefix(':').ok_or_else(bad)? })
            }
            (None, Some((host, port))) if !host.contains(':') => (host, port),
            (None, _) => (place, "22"),
        };
        let port: u16 = port.parse().map_err(|_| bad())?;
        let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic());
        if !is_word(user) || !is_word(host) || port == 0 {
            return Err(bad());
        }
        Ok(Self { user: user.to_owned(), address: ssh::Address::new(host, port) })
    }
}

/// The machine that hosts are reached through, if there is one.
fn jump(reader: &mut Reader<'_>, is_ansible: bool) -> Option<Option<Jump>> {
    const HOST_KEY: &str = "fleet.ssh.jump_host_key";
    if !reader.is_said(JUMP) {
        if let Some(said) = [HOST_KEY, JUMP_KEY].into_iter().find(|name| reader.is_said(name)) {
            reader.wrong(JUMP, format!("is needed where `{said}` is given"));
            return None;
        }
        return Some(None);
    }
    let login: Option<Login> = reader.parsed(JUMP);
    if is_ansible {
        let what =
            "is not for `fleet.transport` as ansible: put `ssh_args = -J ...` into its ansible.cfg instead";
        reader.wrong(JUMP, what.to_owned());
        return None;
    }
    if !reader.is_said(HOST_KEY) {
        let what = format!(
            "is needed where `{JUMP}` is given; `ssh-keyscan` shows it, and somebody there confirms it"
        );
        reader.wrong(HOST_KEY, what);
        return None;
    }
    let host_key = reader.parsed(HOST_KEY);
    let key_file = named(reader, JUMP_KEY);
    let Login { user, address } = login?;
    Some(Some(Jump { user, address, host_key: host_key?, key_file }))
}

/// The etcd that flannel on hosts asks.
fn etcd(reader: &mut Reader<'_>) -> Option<Option<FlannelEtcd>> {
    const URL: &str = "fleet.flannel.etcd.url";
    let [ca, certificate, key] = ETCD_FILES.map(|name| named(reader, name));
    let [_, certificate_name, key_name] = ETCD_FILES;
    for (said, missing) in [(certificate_name, key_name), (key_name, certificate_name)] {
        if reader.is_said(said) && !reader.is_said(missing) {
            reader.wrong(missing, format!("is needed where `{said}` is given"));
        }
    }
    if !reader.is_said(URL) {
        if let Some(said) = ETCD_FILES.into_iter().find(|name| reader.is_said(name)) {
            reader.wrong(URL, format!("is needed where `{said}` is given"));
        }
        return Some(None);
    }
    let url = reader.text(URL)?;
    let is_url = |url: &str| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && c != '"'))
    };
    if !url.split(',').all(is_url) {
        reader.wrong(URL, format!("`{url}` is no URL with http:// or https:// and a host"));
        return None;
    }
    Some(Some(FlannelEtcd { url, ca, client: certificate.zip(key) }))
}

/// The files that have to be there, by the settings that name them.
pub fn files(hands: &Hands) -> impl Iterator<Item = (&'static str, &PathBuf)> {
    let etcd = hands.etcd.as_ref();
    let client = etcd.and_then(|etcd| etcd.client.as_ref());
    let [ca_name, certificate_name, key_name] = ETCD_FILES;
    [
        ("fleet.commands_file", hands.commands_file.as_ref()),
        ("fleet.templates_folder", hands.templates_folder.as_ref()),
        (JUMP_KEY, hands.jump.as_ref().and_then(|jump| jump.key_file.as_ref())),
        (PLAYBOOKS, hands.ansible.as_ref().and_then(|ansible| ansible.playbooks_folder.as_ref())),
        (ca_name, etcd.and_then(|etcd| etcd.ca.as_ref())),
        (certificate_name, client.map(|(certificate, _)| certificate)),
        (key_name, client.map(|(_, key)| key)),
    ]
    .into_iter()
    .filter_map(|(name, path)| Some((name, path?)))
}

#[cfg(test)]
mod tests {
    use super::super::check::of_text;
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let told = of_text(text).map(|_| ()).unwrap_err();
        let told = told.iter();
        told.map(|problem| format!("{}: {}", problem.key.as_deref().unwrap_or_default(), problem.what))
            .collect()
    }

    #[test]
    fn nothing_is_installed_that_nobody_asked_for() {
        let hands = of_text("").unwrap().fleet.hands;
        assert!(hands.investigate && hands.profile == Profile::None && hands.etcd.is_none());
        assert_eq!((hands.port, hands.hosts_max), (22, 50));
        assert!(hands.ansible.is_none());
    }

    #[test]
    fn a_jump_is_a_user_at_a_machine() {
        const KEY: &str =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICs4S4OEBWkd3NCUIIk1YF3SNktnfhsZRSCNXxzJZFqO root@bastion";
        assert!(of_text("").unwrap().fleet.hands.jump.is_none());
        for (text, user, at) in [
            ("me@bastion:2222", "me", "bastion:2222"),
            ("me@bastion", "me", "bastion:22"),
            ("me@192.0.2.1:22", "me", "192.0.2.1:22"),
            ("me@[2001:db8::1]:22", "me", "[2001:db8::1]:22"),
            ("me@[2001:db8::1]", "me", "[2001:db8::1]:22"),
            ("me@2001:db8::1", "me", "[2001:db8::1]:22"),
        ] {
            let text =
                format!("[fleet.ssh]\njump = '{text}'\njump_host_key = '{KEY}'\njump_key_file = 'key'");
            let jump = of_text(&text).unwrap().fleet.hands.jump.unwrap();
            assert_eq!((jump.user.as_str(), jump.address.to_string().as_str()), (user, at));
            assert_eq!(jump.key_file, Some("/etc/key".into()));
            let told = wrong(&format!("[fleet]\ntransport = 'ansible'\n{text}"));
            assert!(
                told[0].starts_with("fleet.ssh.jump: is not for `fleet.transport` as ansible"),
                "{told:?}"
            );
        }
    }

    #[test]
    fn playbooks_are_for_those_who_ask_for_them() {
        let of = |text: &str| of_text(text).unwrap().fleet.hands.ansible;
        assert!(of("[fleet.ansible]\nplaybooks_folder = '/etc/playbooks'").is_none());
        let asked = of("[fleet]\ntransport = 'ansible'").unwrap();
        let is_asked = (asked.program, asked.playbooks_folder, asked.said_mib_max);
        assert_eq!(is_asked, ("ansible-playbook".into(), None, ansible::SAID_MIB_MAX));
        let said = of(
            "[fleet]\ntransport = 'ansible'\n[fleet.ansible]\nprogram = 'bin/ap'\nplaybooks_folder = '/p'\nsaid_mib_max = 64",
        );
        let said = said.unwrap();
        let is_said = (said.program, said.playbooks_folder, said.said_mib_max);
        assert_eq!(is_said, ("/etc/bin/ap".into(), Some("/p".into()), 64));
    }

    #[test]
    fn who_leaves_hosts_alone_does_not_operate_on_them_unless_asked_to() {
        for (text, expected) in [
            ("", true),
            ("[fleet]\noperations = false", false),
            ("[fleet]\ninvestigate = false", false),
            ("[fleet]\ninvestigate = false\noperations = true", true),
        ] {
            assert_eq!(of_text(text).unwrap().fleet.hands.operations, expected, "{text}");
        }
    }

    #[test]
    fn who_does_not_look_at_hosts_does_not_watch_them_unless_asked_to() {
        for (text, expected) in [
            ("", Some(60)),
            ("[fleet]\nwatch_seconds = 300", Some(300)),
            ("[fleet]\nwatch = false", None),
            ("[fleet]\ninvestigate = false", None),
            ("[fleet]\ninvestigate = false\nwatch = true", Some(60)),
        ] {
            let period = of_text(text).unwrap().fleet.hands.watch_period;
            assert_eq!(period, expected.map(Span::seconds), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        for (text, expected) in [
            ("[fleet.ssh]\nhosts_max = 0", "fleet.ssh.hosts_max: must be between 1 and 1000, not 0"),
            ("[fleet]\nwatch_seconds = 0", "fleet.watch_seconds: must be between 1 and 86400, not 0"),
            (
                "[fleet.ssh]\njump = 'bastion'\njump_host_key = 'x'",
                "fleet.ssh.jump: `bastion` is not USER@HOST:PORT|fleet.ssh.jump_host_key: this is not an SSH public key \
                 (`ssh-ed25519 AAAA…`)",
            ),
            (
                "[fleet.ssh]\njump_key_file = 'k'",
                "fleet.ssh.jump: is needed where `fleet.ssh.jump_key_file` is given",
            ),
            (
                "[fleet.ssh]\njump = 'me@bastion'",
                "fleet.ssh.jump_host_key: is needed where `fleet.ssh.jump` is given; `ssh-keyscan` shows it, and \
                 somebody there confirms it",
            ),
            ("[fleet.ssh]\nport = 70000", "fleet.ssh.port: must be between 1 and 65535, not 70000"),
            ("[fleet]\nprofile = 'all'", "fleet.profile: must be one of none, containers, not `all`"),
            (
                "[fleet.flannel.etcd]\nurl = 'a:1'",
                "fleet.flannel.etcd.url: `a:1` is no URL with http:// or https:// and a host",
            ),
            (
                "[fleet.flannel.etcd]\nca_file = 'a'",
                "fleet.flannel.etcd.url: is needed where `fleet.flannel.etcd.ca_file` is given",
            ),
        ] {
            assert_eq!(wrong(text).join("|"), expected);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commands.toml");
        std::fs::write(&path, "[fedora]\nupgrad = 'x'\n").unwrap();
        let told = wrong(&format!("[fleet]\ncommands_file = '{}'", path.display()));
        assert!(told[0].contains("line 2"), "{told:?}");
        std::fs::write(folder.path().join("docker.j2"), "{{ x ").unwrap();
        let told = wrong(&format!("[fleet]\ntemplates_folder = '{}'", folder.path().display()));
        assert!(told[0].contains("the template of `docker` cannot be used"), "{told:?}");
        std::fs::remove_file(folder.path().join("docker.j2")).unwrap();
        let told = wrong(&format!("[fleet]\ntemplates_folder = '{}'", folder.path().display()));
        assert!(told[0].contains("flanneld.j2"), "{told:?}");
        let notes = of_text("[fleet]\ncommands_file = 'nowhere'").unwrap().notes;
        assert!(notes[0].to_string().ends_with("there is no file /etc/nowhere"), "{notes:?}");
    }
}

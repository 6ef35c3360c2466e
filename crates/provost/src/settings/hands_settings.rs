//! How hosts are looked at and made ready.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Secret;
use fleet::bootstrap::{EtcdAccess, Profile};
use fleet::{OsCommands, Templates};

use super::Hands;
use super::reader::Reader;

/// More hosts at once have no use: each needs its connection.
const HOSTS_MAX: u64 = 1_000;
/// The longest that one host may take, in seconds.
const SECONDS_MAX: f64 = 86_400.0;

/// See [`super::Settings::from`].
pub fn hands(reader: &mut Reader<'_>) -> Option<Hands> {
    let investigate = reader.switch("fleet.investigate");
    let profile = reader.choice("fleet.profile");
    let commands = commands(reader);
    let templates = templates(reader);
    let port = reader.whole("fleet.ssh.port", 1..=u64::from(u16::MAX));
    let hosts_max = reader.whole("fleet.ssh.hosts_max", 1..=HOSTS_MAX);
    let connect = reader.positive("fleet.ssh.connect_seconds", SECONDS_MAX);
    let host = reader.positive("fleet.ssh.host_seconds", SECONDS_MAX);
    let etcd = etcd(reader);
    Some(Hands {
        investigate: investigate?,
        profile: if profile? == "containers" { Profile::Containers } else { Profile::None },
        commands: commands?,
        templates: templates?,
        port: u16::try_from(port?).ok()?,
        hosts_max: usize::try_from(hosts_max?).ok()?,
        connect: Duration::from_secs_f64(connect?),
        host: Duration::from_secs_f64(host?),
        etcd: etcd?,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|_| format!("{} is no text", path.display()))
}

fn commands(reader: &mut Reader<'_>) -> Option<OsCommands> {
    const NAME: &str = "fleet.commands_file";
    let standard = OsCommands::standard();
    if !reader.is_said(NAME) {
        return Some(standard);
    }
    let path = reader.path(NAME)?;
    let with = |text: String| standard.with(&text).map_err(|error| format!("{}: {error}", path.display()));
    reader.or_wrong(NAME, read_text(&path).and_then(with))
}

/// Those of the folder's files that are there, and ours for the rest.
fn templates(reader: &mut Reader<'_>) -> Option<Templates> {
    const NAME: &str = "fleet.templates_folder";
    let mut templates = Templates::default();
    if !reader.is_said(NAME) {
        return Some(templates);
    }
    let folder = reader.path(NAME)?;
    let mut found = false;
    for (name, template) in [("flanneld.j2", &mut templates.flanneld), ("docker.j2", &mut templates.docker)] {
        let path = folder.join(name);
        if path.exists() {
            found = true;
            *template = reader.or_wrong(NAME, read_text(&path))?;
        }
    }
    if !found {
        let what = format!("there is neither flanneld.j2 nor docker.j2 in {}", folder.display());
        reader.wrong(NAME, what);
        return None;
    }
    Some(templates)
}

/// The etcd that flannel on hosts asks.
fn etcd(reader: &mut Reader<'_>) -> Option<Option<EtcdAccess>> {
    const URL: &str = "fleet.flannel.etcd.url";
    const FILES: [&str; 3] =
        ["fleet.flannel.etcd.ca_file", "fleet.flannel.etcd.certificate_file", "fleet.flannel.etcd.key_file"];
    let [ca, certificate, key] = FILES.map(|name| content(reader, name));
    let [_, certificate_name, key_name] = FILES;
    for (said, missing) in [(certificate_name, key_name), (key_name, certificate_name)] {
        if reader.is_said(said) && !reader.is_said(missing) {
            reader.wrong(missing, format!("is needed where `{said}` is given"));
        }
    }
    if !reader.is_said(URL) {
        if let Some(said) = FILES.into_iter().find(|name| reader.is_said(name)) {
            reader.wrong(URL, format!("is needed where `{said}` is given"));
        }
        return Some(None);
    }
    let server_url = reader.text(URL)?;
    let is_url = |url: &str| {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && c != '"'))
    };
    if !server_url.split(',').all(is_url) {
        reader.wrong(URL, format!("`{server_url}` is no URL with http:// or https:// and a host"));
        return None;
    }
    let client = certificate?.zip(key?).map(|(certificate, key)| (certificate, Secret::new(key)));
    Some(Some(EtcdAccess { server_url, ca: ca?, client }))
}

/// What is in the file that `name` names, if it names one.
fn content(reader: &mut Reader<'_>, name: &str) -> Option<Option<Vec<u8>>> {
    if !reader.is_said(name) {
        return Some(None);
    }
    let path: PathBuf = reader.path(name)?;
    reader.or_wrong(name, read(&path)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::check::of_text;
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let told = of_text(text).map(|_| ()).unwrap_err();
        told.iter()
            .map(|problem| format!("{}: {}", problem.key.as_deref().unwrap_or_default(), problem.what))
            .collect()
    }

    #[test]
    fn nothing_is_installed_that_nobody_asked_for() {
        let hands = of_text("").unwrap().fleet.hands;
        assert!(hands.investigate && hands.profile == Profile::None && hands.etcd.is_none());
        assert_eq!((hands.port, hands.hosts_max), (22, 50));
    }

    #[test]
    fn an_operators_files_take_the_place_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let at = folder.path().display();
        write("commands.toml", "[fedora]\nupgrade = 'dnf5 upgrade -y'\n");
        write("docker.j2", "mine\n");
        write("key.pem", "KEY");
        let said = format!(
            "[fleet]\nprofile = 'containers'\ncommands_file = '{at}/commands.toml'\ntemplates_folder = '{at}'\n\
             [fleet.flannel.etcd]\nurl = 'https://10.0.0.1:2379,https://10.0.0.2:2379'\n\
             certificate_file = '{at}/key.pem'\nkey_file = '{at}/key.pem'\n"
        );
        let hands = of_text(&said).unwrap().fleet.hands;
        assert!(hands.profile == Profile::Containers && hands.commands != OsCommands::standard());
        assert_eq!(hands.templates, Templates { docker: "mine\n".into(), ..Templates::default() });
        assert_eq!(hands.etcd.unwrap().client.unwrap().1.expose(), b"KEY");
        write("commands.toml", "[fedora]\nupgrad = 'x'\n");
        assert!(wrong(&said)[0].contains("line 2"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_told() {
        for (text, expected) in [
            ("[fleet.ssh]\nhosts_max = 0", "fleet.ssh.hosts_max: must be between 1 and 1000, not 0"),
            ("[fleet.ssh]\nport = 70000", "fleet.ssh.port: must be between 1 and 65535, not 70000"),
            ("[fleet]\nprofile = 'all'", "fleet.profile: must be one of none, containers, not `all`"),
            (
                "[fleet.flannel.etcd]\nurl = 'a:1'",
                "fleet.flannel.etcd.url: `a:1` is no URL with http:// or https:// and a host",
            ),
            (
                "[fleet]\ncommands_file = '/nowhere/c'",
                "fleet.commands_file: /nowhere/c: No such file or directory (os error 2)",
            ),
            (
                "[fleet]\ntemplates_folder = '/nowhere'",
                "fleet.templates_folder: there is neither flanneld.j2 nor docker.j2 in /nowhere",
            ),
        ] {
            assert_eq!(wrong(text), [expected]);
        }
    }
}

//! `commctl user-data`: what a new machine is given, so that it registers itself.
//!
//! ```text
//! multipart/mixed
//!   text/cloud-config          the operator's, or one that says goodbye
//!   text/part-handler          part_handler.py, which knows what to do with the next
//!   text/x-commissaire-host    JSON: where to register, and how
//! ```
//! cloud-init takes the parts in their order, so the handler comes before what it handles. The result holds a
//! password where one is asked for: whoever can read a machine's user-data can read it. Source: commissaire,
//! sections 12.6 and 12.7.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base::{Entropy, Secret, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::Endpoint;
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::configuration;
use super::error::CommandError;
use crate::input::{File, Input};

const PART_HANDLER: &str = include_str!("part_handler.py");

/// What cloud-init is told when the operator has nothing to say. It says so whether the server took the machine or not.
const CLOUD_CONFIG: &str = "#cloud-config\nfinal_message: \"cloud-init is done. Whether this machine has registered \
                            itself as a host is in /var/log/cloud-init.log.\"\n";

/// The longest name of a user, useradd(8).
const USER_BYTES_MAX: usize = 32;
/// The longest name of a cluster.
const CLUSTER_BYTES_MAX: usize = 200;

/// Characters on a line of base64 (RFC 2045 §6.8).
const BASE64_LINE: usize = 76;

#[derive(Args)]
pub(super) struct Arguments {
    /// The server to register with
    #[arg(short, long, value_name = "URL")]
    endpoint: Endpoint,
    /// The cluster to join
    #[arg(short, long)]
    cluster: Option<String>,
    /// The user to register as
    #[arg(short, long)]
    username: Option<String>,
    /// Ask for that user's password
    #[arg(short, long)]
    password: bool,
    /// The user that the server signs in as
    #[arg(short, long, default_value = "root")]
    remote_user: String,
    /// The private key on the machine; it is made where it is missing
    #[arg(short, long, value_name = "PATH", default_value = "/root/.ssh/id_rsa")]
    ssh_key_path: String,
    /// The machine's list of keys that may sign in [default: /root/.ssh/authorized_keys, or that of --remote-user]
    #[arg(short, long, value_name = "PATH")]
    authorized_keys_path: Option<String>,
    /// Your own cloud-config to go with it
    #[arg(short = 'C', long, value_name = "FILE")]
    cloud_init: Option<File>,
    /// Certificates to verify the server with, PEM, where the machine's own authorities do not know it
    #[arg(long, value_name = "FILE")]
    ca_file: Option<File>,
    /// The file to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    outfile: Option<PathBuf>,
    /// The same
    #[arg(value_name = "OUTFILE", conflicts_with = "outfile")]
    outfile_as_in_the_manual: Option<PathBuf>,
}

/// What the part handler is told.
#[derive(Serialize)]
struct Registration {
    endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    remote_user: String,
    ssh_key_path: String,
    authorized_keys_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificates: Option<String>,
}

impl Arguments {
    /// Writes the file that was asked for, and gives what goes to standard output.
    /// `configuration` is the file that says how `commctl` itself reaches servers.
    pub(super) async fn make(
        self,
        input: &mut Input,
        entropy: &Entropy,
        configuration: Option<&Path>,
    ) -> Result<String, CommandError> {
        self.check()?;
        let password = if self.password { Some(input.ask_hidden("Password: ").await?) } else { None };
        let cloud_config = match &self.cloud_init {
            Some(file) => {
                let text = input.text(file).await?;
                // Keys among other things are something that cloud-init knows: the machine's host keys.
                if text.trim_start().starts_with("-----BEGIN") {
                    refuse_private_key(&text, file)?;
                }
                text
            }
            None => CLOUD_CONFIG.to_owned(),
        };
        let configured = configuration::ca_file(configuration)?.map(File::Path);
        let ca_certificates = match self.ca_file.as_ref().or(configured.as_ref()) {
            Some(file) => {
                let text = input.text(file).await?;
                refuse_private_key(&text, file)?;
                Some(text)
            }
            None => None,
        };
        let outfile = self.outfile.clone().or_else(|| self.outfile_as_in_the_manual.clone());
        let registration = self.registration(password, ca_certificates);
        let made = user_data(&cloud_config, &json(&registration), &hex::encode(&entropy.bytes::<16>()));
        match outfile {
            None => Ok(made),
            Some(path) => {
                write(&path, &made).map_err(|source| CommandError::Unwritable { path, source })?;
                Ok(String::new())
            }
        }
    }

    /// What the server or the new machine would refuse, when nobody looks any more.
    fn check(&self) -> Result<(), CommandError> {
        let refused = |why: String| Err(CommandError::Argument(why));
        if !is_user(&self.remote_user) {
            return refused(format!("`{}` is not the name of a user", self.remote_user));
        }
        if let Some(cluster) = self.cluster.as_deref().filter(|name| !is_cluster(name)) {
            return refused(format!("`{cluster}` is not the name of a cluster"));
        }
        if self.username.as_deref().is_some_and(|name| name.is_empty() || name.contains(':')) {
            return refused("the user to register as has a name, and no `:` in it".to_owned());
        }
        let authorized = self.authorized_keys_path.as_deref().unwrap_or("/");
        for path in [self.ssh_key_path.as_str(), authorized] {
            if !path.starts_with(['/', '~']) || path.chars().any(char::is_control) {
                return refused(format!("`{}` is not a path from the root or a home", path.escape_debug()));
            }
        }
        Ok(())
    }

    fn registration(self, password: Option<Secret<String>>, ca_certificates: Option<String>) -> Registration {
        // The original says root's list for everybody, where sshd would look for nobody else's keys.
        let authorized_keys_path =
            self.authorized_keys_path.unwrap_or_else(|| match self.remote_user.as_str() {
                "root" => "/root/.ssh/authorized_keys".to_owned(),
                user => format!("~{user}/.ssh/authorized_keys"),
            });
        Registration {
            endpoint: self.endpoint.to_string(),
            username: self.username,
            password: password.map(|password| password.expose().clone()),
            cluster: self.cluster,
            remote_user: self.remote_user,
            ssh_key_path: self.ssh_key_path,
            authorized_keys_path,
            ca_certificates,
        }
    }
}

/// Everybody who sees a machine's user-data would see it.
fn refuse_private_key(text: &str, file: &File) -> Result<(), CommandError> {
    if !text.contains("PRIVATE KEY-----") {
        return Ok(());
    }
    Err(CommandError::Argument(format!("there is a private key in {file}, which must not go into user-data")))
}

/// A name that `useradd` takes, in whatever distribution.
fn is_user(name: &str) -> bool {
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    match name.as_bytes() {
        [first, rest @ ..] => {
            (first.is_ascii_alphabetic() || *first == b'_')
                && rest.len() < USER_BYTES_MAX
                && rest.iter().copied().all(goes_on)
        }
        [] => false,
    }
}

/// A name that the server takes (commissaire, section 2.3).
fn is_cluster(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=CLUSTER_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// For the owner alone: there may be a password in it. A file that is there may be open to others, also to those
/// who have opened it already, so another one takes its place.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file()) {
        std::fs::remove_file(path)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn json(registration: &Registration) -> String {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    registration.serialize(&mut serializer).expect("strings serialise, and memory does not refuse them");
    String::from_utf8(text).expect("JSON is UTF-8")
}

fn user_data(cloud_config: &str, registration: &str, unique: &str) -> String {
    // No line of base64 begins with two dashes, so the boundary cannot occur in a part.
    let boundary = format!("==============={unique}==");
    let parts = [
        ("text/cloud-config", "cloud-config.txt", cloud_config),
        ("text/part-handler", "part-handler.py", PART_HANDLER),
        ("text/x-commissaire-host", "commissaire-host.json", registration),
    ];
    let mut made = format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n");
    for (media_type, name, text) in parts {
        made += &format!(
            "--{boundary}\nMIME-Version: 1.0\nContent-Type: {media_type}; charset=\"utf-8\"\n\
             Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=\"{name}\"\n\n"
        );
        let encoded = STANDARD.encode(text);
        for line in encoded.as_bytes().chunks(BASE64_LINE) {
            made.extend(line.iter().copied().map(char::from));
            made.push('\n');
        }
        made.push('\n');
    }
    made + &format!("--{boundary}--\n")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn registration(options: &str, password: Option<&str>) -> String {
        let line = Line::try_parse_from(["user-data"].into_iter().chain(options.split(' '))).unwrap();
        json(&line.arguments.registration(password.map(|text| Secret::new(text.to_owned())), None))
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        assert_eq!(
            registration("-e http://a:8000/", None),
            "{\n \"endpoint\": \"http://a:8000\",\n \"remote_user\": \"root\",\n \
             \"ssh_key_path\": \"/root/.ssh/id_rsa\",\n \"authorized_keys_path\": \"/root/.ssh/authorized_keys\"\n}"
        );
        assert_eq!(
            registration("-e http://a -u u -c c -r fedora -s /k", Some("p")),
            "{\n \"endpoint\": \"http://a\",\n \"username\": \"u\",\n \"password\": \"p\",\n \"cluster\": \"c\",\n \
             \"remote_user\": \"fedora\",\n \"ssh_key_path\": \"/k\",\n \
             \"authorized_keys_path\": \"~fedora/.ssh/authorized_keys\"\n}"
        );
    }

    #[test]
    fn what_would_be_refused_later_is_refused_now() {
        for (more, expected) in [
            (&["-r", "fedora", "-c", "web-1_a", "-u", "machine"][..], true),
            (&["-r", "_apt.2-x"], true),
            (&["-r", "root;id"], false),
            (&["-r", ""], false),
            (&["-r-x"], false),
            (&["-r", "a b"], false),
            (&["-r", "a\nb"], false),
            (&["-c", "../etc"], false),
            (&["-c", ""], false),
            (&["-c", "a.b"], false),
            (&["-u", "a:b"], false),
            (&["-u", ""], false),
            (&["-s", "~fedora/.ssh/id_rsa"], true),
            (&["-s", "id_rsa"], false),
            (&["-a", "/a\nb"], false),
        ] {
            let line = ["user-data", "-e", "http://a"].iter().chain(more);
            let checked = Line::try_parse_from(line).unwrap().arguments.check();
            assert_eq!(checked.is_ok(), expected, "{more:?}");
        }
    }

    #[test]
    fn the_handler_comes_before_what_it_handles() {
        let made = user_data(CLOUD_CONFIG, "{}", "00");
        let types: Vec<&str> = made.lines().filter_map(|line| line.strip_prefix("Content-Type: ")).collect();
        assert_eq!(
            types,
            [
                "multipart/mixed; boundary=\"===============00==\"",
                "text/cloud-config; charset=\"utf-8\"",
                "text/part-handler; charset=\"utf-8\"",
                "text/x-commissaire-host; charset=\"utf-8\"",
            ]
        );
        assert!(made.lines().all(|line| line.len() <= BASE64_LINE), "{made}");
        assert!(made.ends_with("\ne30=\n\n--===============00==--\n"), "{made}");
    }
}

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

use super::error::CommandError;
use super::input::{File, Input};

const PART_HANDLER: &str = include_str!("part_handler.py");

/// What cloud-init is told when the operator has nothing to say.
const CLOUD_CONFIG: &str =
    "#cloud-config\nfinal_message: \"This machine has registered itself as a host.\"\n";

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
    pub(super) async fn make(self, input: &mut Input, entropy: &Entropy) -> Result<String, CommandError> {
        let password = if self.password { Some(input.ask_hidden("Password: ").await?) } else { None };
        let cloud_config = match &self.cloud_init {
            Some(file) => text(input, file).await?,
            None => CLOUD_CONFIG.to_owned(),
        };
        let ca_certificates = match &self.ca_file {
            Some(file) => Some(text(input, file).await?),
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

async fn text(input: &mut Input, file: &File) -> Result<String, CommandError> {
    let what = match file {
        File::StandardInput => "standard input".to_owned(),
        File::Path(path) => path.display().to_string(),
    };
    String::from_utf8(input.read(file).await?).map_err(|_| CommandError::NotText(what))
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

//! `caucase` (caucase contract, 7.2): its options, and what is done in which order.

use std::ffi::OsString;
use std::path::PathBuf;

use base::{Clock, Span};
use clap::{ArgAction, Parser};
use client::compat::caucase::ServerUrl;
use x509::Serial;

use super::error::CommandError;
use super::work::Work;
use super::{Mode, VERSION, days, key_bits, python, share_no_file};
use crate::hook;
use crate::output;

/// Exit codes for whoever asks what went wrong: something did, something has yet to come, or the hook did.
const ERROR: u8 = 1;
const WARNING: u8 = 2;
const HOOK_FAILED: u8 = 3;

/// Ask a certificate authority for certificates and look after them; approve requests and revoke certificates as a user
///
/// Paths of CA certificates and revocation lists name a folder if there is one, or if there is nothing and the name has no
/// extension; a file otherwise. In a folder each has a file of its own.
///
/// Exit codes: 0; 1 something went wrong; 2 a certificate is still pending, or wrong usage; 3 the hook failed.
#[derive(Parser)]
#[command(name = "caucase", infer_long_args = true, args_override_self = true)]
#[command(version = VERSION, disable_version_flag = true)]
pub(super) struct Line {
    /// The server, without /cas, as in `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    pub(super) ca_url: ServerUrl,
    /// The CA certificates of services, kept up to date
    #[arg(long, value_name = "CRT_PATH", default_value = "cas.crt.pem")]
    pub(super) ca_crt: PathBuf,
    /// The CA certificates of users
    #[arg(long, value_name = "CRT_PATH", default_value = "cau.crt.pem")]
    pub(super) user_ca_crt: PathBuf,
    /// The revocation lists of services, kept up to date
    #[arg(long, value_name = "CRL_PATH", default_value = "cas.crl.pem")]
    pub(super) crl: PathBuf,
    /// The revocation lists of users
    #[arg(long, value_name = "CRL_PATH", default_value = "cau.crl.pem")]
    pub(super) user_crl: PathBuf,
    /// Renew a certificate when less of its life is left
    #[arg(long, value_name = "DAYS", default_value = "31", value_parser = days, allow_negative_numbers = true)]
    pub(super) threshold: Span,
    /// How long the RSA keys are that renewals make
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = key_bits)]
    pub(super) key_len: u32,
    /// A command for the shell, run when CA certificates, revocation lists or a renewed certificate were written
    #[arg(long, value_name = "COMMAND")]
    pub(super) on_renew: Option<String>,
    /// Certificate and private key of the user who asks, in one file
    #[arg(long, value_name = "KEY_PATH")]
    pub(super) user_key: Option<PathBuf>,
    /// Whose certificates it is about
    #[arg(long, value_enum, default_value = "service")]
    pub(super) mode: Mode,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Ask for certificates; prints each request's number and its path
    #[arg(long, value_name = "CSR_PATH", num_args = 1.., action = ArgAction::Set, help_heading = "Actions of everybody")]
    pub(super) send_csr: Vec<PathBuf>,
    /// Fetch the certificate of a request, behind its key if that is in the file
    #[arg(long, value_names = ["CSR_ID", "CRT_PATH"], num_args = 2, action = ArgAction::Append, allow_negative_numbers = true)]
    #[arg(help_heading = "Actions of everybody")]
    pub(super) get_crt: Vec<OsString>,
    /// Fetch a request, behind what is in the file
    #[arg(long, value_names = ["CSR_ID", "CSR_PATH"], num_args = 2, action = ArgAction::Append, allow_negative_numbers = true)]
    #[arg(help_heading = "Actions of everybody")]
    pub(super) get_csr: Vec<OsString>,
    /// Revoke a certificate whose key one has; KEY_PATH does not matter if the key is beside the certificate
    #[arg(long, value_names = ["CRT_PATH", "KEY_PATH"], num_args = 2, action = ArgAction::Append)]
    #[arg(help_heading = "Actions of everybody")]
    pub(super) revoke_crt: Vec<OsString>,
    /// Renew a certificate, with a new key, if it is due; KEY_PATH does not matter if the key is beside the certificate
    #[arg(long, value_names = ["CRT_PATH", "KEY_PATH"], num_args = 2, action = ArgAction::Append)]
    #[arg(help_heading = "Actions of everybody")]
    pub(super) renew_crt: Vec<OsString>,
    /// Keep the CA certificates and revocation lists of users up to date as well
    #[arg(long, help_heading = "Actions of everybody")]
    pub(super) update_user: bool,

    /// List the requests that wait
    #[arg(long, help_heading = "Actions of users, with --user-key")]
    pub(super) list_csr: bool,
    /// Approve requests
    #[arg(long, value_name = "CSR_ID", num_args = 1.., action = ArgAction::Set, allow_negative_numbers = true)]
    #[arg(help_heading = "Actions of users, with --user-key")]
    pub(super) sign_csr: Vec<String>,
    /// Approve a request with the subject and the extensions of another one
    #[arg(long, value_names = ["CSR_ID", "CSR_PATH"], num_args = 2, action = ArgAction::Append, allow_negative_numbers = true)]
    #[arg(help_heading = "Actions of users, with --user-key")]
    pub(super) sign_csr_with: Vec<OsString>,
    /// Reject requests
    #[arg(long, value_name = "CSR_ID", num_args = 1.., action = ArgAction::Set, allow_negative_numbers = true)]
    #[arg(help_heading = "Actions of users, with --user-key")]
    pub(super) reject_csr: Vec<String>,
    /// Revoke certificates without their keys
    #[arg(long, value_name = "CRT_PATH", num_args = 1.., action = ArgAction::Set)]
    #[arg(help_heading = "Actions of users, with --user-key")]
    pub(super) revoke_other_crt: Vec<PathBuf>,
    /// Revoke certificates by their serial numbers; nobody notices a wrong one
    #[arg(long, value_name = "SERIAL", num_args = 1.., action = ArgAction::Set, value_parser = serial)]
    #[arg(allow_negative_numbers = true, help_heading = "Actions of users, with --user-key")]
    pub(super) revoke_serial: Vec<Serial>,
}

/// A serial number as Python reads integers.
fn serial(text: &str) -> Result<Serial, String> {
    let number = python::integer(text).ok_or_else(|| "it is no integer".to_owned())?;
    Serial::from_decimal(&number).ok_or_else(|| "no certificate can have this serial number".to_owned())
}

/// An option's values, two by two.
pub(super) fn pairs(values: &[OsString]) -> impl Iterator<Item = (&OsString, PathBuf)> {
    values.chunks_exact(2).filter_map(|pair| match pair {
        [first, second] => Some((first, PathBuf::from(second))),
        _ => None,
    })
}

impl Line {
    pub(super) async fn run(self, clock: &Clock) -> Result<u8, CommandError> {
        let authorities = [&self.ca_crt, &self.user_ca_crt];
        share_no_file(&authorities, &[&self.crl, &self.user_crl])?;
        if self.decides_twice() {
            output::note(
                "A given CSR_ID cannot be in more than one of --sign-csr, --sign-csr-with and --reject-csr",
            );
            return Ok(ERROR);
        }
        let mut work = Work::new(&self, clock)?;
        let done = work.all().await;
        // Whatever else went wrong: who uses a file is to know that it is another one.
        let told = match &self.on_renew {
            Some(command) if work.has_written => Some(hook::call(command).await),
            _ => None,
        };
        done?;
        let told = told.transpose().map_err(CommandError::Hook)?;
        let hook_failed = told.is_some_and(|status| !status.success());
        Ok(match work {
            _ if hook_failed => HOOK_FAILED,
            Work { has_error: true, .. } => ERROR,
            Work { has_warning: true, .. } => WARNING,
            _ => 0,
        })
    }

    /// Whether a request is to be approved and rejected, or approved as it is and otherwise.
    fn decides_twice(&self) -> bool {
        let number = |text: &str| python::integer(text).unwrap_or_else(|| text.to_owned());
        let lists: [Vec<String>; 3] = [
            self.sign_csr.iter().map(|id| number(id)).collect(),
            pairs(&self.sign_csr_with).map(|(id, _)| number(&id.to_string_lossy())).collect(),
            self.reject_csr.iter().map(|id| number(id)).collect(),
        ];
        let [as_asked, otherwise, rejected] = &lists;
        as_asked.iter().any(|id| otherwise.contains(id) || rejected.contains(id))
            || otherwise.iter().any(|id| rejected.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from([&["caucase", "--ca-url", "http://ca:8000"], words].concat())
    }

    #[test]
    fn options_are_read_as_argparse_reads_them() {
        let read = line(&[
            "--send-csr",
            "a",
            "b",
            "--thr=-0.5",
            "--get-crt",
            "1",
            "x",
            "--get-crt",
            "2",
            "y",
            "--renew-crt",
            "c",
            "",
            "--send",
            "c",
            "--sign-csr",
            "1",
            "2",
            "--list",
            "--mode=user",
            "--revoke-serial",
            "1_0",
            "+5",
        ]);
        let read = read.unwrap();
        assert_eq!(read.send_csr, [PathBuf::from("c")], "the last one counts");
        assert_eq!(read.threshold, Span::seconds(-43_200));
        let gotten: Vec<_> = pairs(&read.get_crt).map(|(id, path)| (id.clone(), path)).collect();
        assert_eq!(gotten, [("1".into(), "x".into()), ("2".into(), PathBuf::from("y"))]);
        assert_eq!(read.renew_crt, ["c", ""]);
        assert_eq!(
            (read.sign_csr, read.list_csr, read.mode),
            (vec!["1".into(), "2".into()], true, Mode::User)
        );
        let serials: Vec<_> = read.revoke_serial.iter().map(ToString::to_string).collect();
        assert_eq!(serials, ["10", "5"]);
    }

    #[test]
    fn wrong_usage_is_refused() {
        for words in [
            &["--get", "1", "x"][..],
            &["--get-crt", "1"],
            &["--get-crt", "1", "--list-csr"],
            &["--renew-crt", "1"],
            &["--send-csr"],
            &["--mode", "users"],
            &["--threshold", "abc"],
            &["--key-len", "1024"],
            &["--revoke-serial", "0x10"],
            &["--revoke-serial", "-7"],
            &["word"],
            &["--unknown"],
        ] {
            assert!(line(words).is_err_and(|error| error.exit_code() == 2), "{words:?}");
        }
        assert!(Line::try_parse_from(["caucase", "--list-csr"]).is_err(), "no server");
        assert!(
            Line::try_parse_from(["caucase", "--ca-url", "https://ca:8001"]).is_err(),
            "not the plain port"
        );
    }

    #[test]
    fn nothing_is_decided_twice() {
        for (words, expected) in [
            (&["--sign-csr", "1", "1"][..], false),
            (&["--sign-csr", "1", "--reject-csr", "2"], false),
            (&["--sign-csr", "1", "--reject-csr", "3", "01"], true),
            (&["--sign-csr", "1", "--sign-csr-with", "1", "f"], true),
            (&["--sign-csr-with", "1", "f", "--reject-csr", "1"], true),
            (&["--sign-csr-with", "1", "f", "--sign-csr-with", "1", "g"], false),
        ] {
            assert_eq!(line(words).unwrap().decides_twice(), expected, "{words:?}");
        }
    }
}

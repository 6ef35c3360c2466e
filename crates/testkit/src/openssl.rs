//! The `openssl` command.

use std::path::Path;
use std::process::Command;

use crate::process::{Process, Ran, run};

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(directory);
    command
}

/// `openssl` with `arguments` in `directory`, without input.
#[track_caller]
pub fn openssl(directory: &Path, arguments: &[&str]) -> Ran {
    run(&mut command(directory, arguments))
}

/// What `openssl` says on standard output; it must end with 0.
#[track_caller]
pub fn openssl_ok(directory: &Path, arguments: &[&str]) -> String {
    openssl(directory, arguments).ok().to_owned()
}

/// `openssl` with `arguments` in `directory` and `input`.
#[track_caller]
pub fn openssl_with_input(directory: &Path, arguments: &[&str], input: &[u8]) -> Ran {
    let mut process = Process::spawn(&mut command(directory, arguments));
    process.say(input);
    process.wait()
}

/// Makes the key `NAME.key.pem` and the signing request `NAME.csr.pem` in `directory`, by `openssl req`
/// with `options` for the rest: subject, extensions. RSA with 2048 bits, unless they say otherwise.
#[track_caller]
pub fn key_and_request(directory: &Path, name: &str, options: &[&str]) {
    let (key, csr) = (format!("{name}.key.pem"), format!("{name}.csr.pem"));
    let new_key: &[&str] = if options.contains(&"-newkey") { &[] } else { &["-newkey", "rsa:2048"] };
    let fixed = ["req", "-new", "-nodes", "-keyout", &key, "-out", &csr];
    openssl(directory, &[&fixed, new_key, options].concat()).ok();
}

//! moto, from PyPI: a server that speaks S3 and keeps everything in memory.
//!
//! What it cannot show: that what was answered is durable, and how a server behaves that is full, slow, or far away.
//! Unless it is [`Moto::strict`], it looks at no signature.

use std::path::PathBuf;
use std::process::Command;

use reqwest::blocking::Client;
use tempfile::TempDir;

use crate::http::{anybody, trusting};
use crate::openssl::openssl_ok;
use crate::process::{Process, run};
use crate::wait::wait_for;
use crate::witness::witness;

/// Makes a user who may do everything with objects, and says their access key; then lets in nobody else. Amazon's own
/// library signs the requests, and it is with that library that moto then checks signatures.
const STRICT: &str = r#"
import json, sys, boto3
endpoint = sys.argv[1]
iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1",
                   aws_access_key_id="anybody", aws_secret_access_key="anything")
everything = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}
iam.create_user(UserName="somebody")
iam.put_user_policy(UserName="somebody", PolicyName="everything",
                    PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}))
key = iam.create_access_key(UserName="somebody")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
"#;

/// A moto that serves. Dropping it ends it, and what it kept.
#[derive(Debug)]
pub struct Moto {
    server: Process,
    url: String,
    client: Client,
    /// Where its certificate is.
    directory: TempDir,
}

impl Moto {
    /// Starts it, on a port of its own.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::spawn(tempfile::tempdir().unwrap(), &[], anybody())
    }

    /// The same, with TLS and a certificate of its own, which [`Moto::certificate`] is.
    #[must_use]
    #[track_caller]
    pub fn tls() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files = ["-keyout", "key.pem", "-out", "moto.pem", "-days", "2", "-subj", "/CN=moto"];
        let names =
            ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        openssl_ok(directory.path(), &[&request[..], &files, &names].concat());
        let client = trusting(&directory.path().join("moto.pem"));
        Self::spawn(directory, &["--ssl", "--ssl-cert", "moto.pem", "--ssl-key", "key.pem"], client)
    }

    #[track_caller]
    fn spawn(directory: TempDir, options: &[&str], client: Client) -> Self {
        let mut command = Command::new(witness("moto_server"));
        command.current_dir(directory.path()).args(["--host", "127.0.0.1", "--port", "0"]).args(options);
        let server = Process::spawn(&mut command);
        let url = wait_for("moto to say where it is", || {
            let said = server.stdout() + &server.stderr();
            let (_, url) = said.split_once("Running on ")?;
            let (url, _) = url.split_once('\n')?;
            Some(url.trim().to_owned())
        });
        Self { server, url, client, directory }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The file with its certificate, where it has one.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("moto.pem")
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.server
    }

    /// Makes a bucket.
    #[track_caller]
    pub fn bucket(&self, name: &str) {
        self.put(name, "");
    }

    /// Puts an object, or a bucket, there.
    #[track_caller]
    pub fn put(&self, path: &str, bytes: &'static str) {
        let put = self.client.put(format!("{}/{path}", self.url)).body(bytes).send().unwrap();
        assert!(put.status().is_success(), "{put:?}");
    }

    /// The keys in a bucket.
    #[must_use]
    #[track_caller]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let xml = self.ask(&format!("{bucket}?list-type=2"));
        xml.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
    }

    /// How many uploads were begun in a bucket and not ended.
    #[must_use]
    #[track_caller]
    pub fn unended(&self, bucket: &str) -> usize {
        self.ask(&format!("{bucket}?uploads")).matches("<UploadId>").count()
    }

    #[track_caller]
    fn ask(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}/{path}", self.url)).send().unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().unwrap()
    }

    /// From now on, lets in only who signs with the key that this gives: its name and its secret.
    #[must_use]
    #[track_caller]
    pub fn strict(&self) -> (String, String) {
        let ran = run(Command::new(witness("python")).args(["-c", STRICT, &self.url]));
        let (name, secret) = ran.ok().trim().split_once(' ').unwrap();
        let set = self.client.post(format!("{}/moto-api/reset-auth", self.url)).body("0").send().unwrap();
        assert!(set.status().is_success(), "{set:?}");
        (name.to_owned(), secret.to_owned())
    }
}

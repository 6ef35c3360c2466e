//! How a container manager is spoken to, by its options (commissaire contract, section 9.6).
//!
//! ```text
//! server_url, or apiserver                  https://host:port
//! token                                     a bearer token
//! certificate_path, certificate_key_path    a client certificate and its key, on this machine
//! ca_path                                   the certificates of those who vouch for it, on this machine
//! verify                                    `false`: whoever answers is believed
//! kubeconfig                                a file on this machine that says all of that, in place of it
//! ```
//! `commctl` sends every value as a text, so `verify` may be one.

use std::path::Path;

use base::Secret;
use fleet::{ContainerManager, Options};
use kube::{ClientCertificate, Settings, Trust};
use serde_json::Value;

use super::error::Unusable;

/// How `manager` is spoken to. Reads the files that it names.
pub(super) fn settings(manager: &ContainerManager) -> Result<Settings, Unusable> {
    manager.check()?;
    let options = &manager.options;
    if let Some(path) = text(options, "kubeconfig")? {
        return Ok(kube::kubeconfig(Path::new(path))?);
    }
    let url = manager.server_url().unwrap_or_default();
    let mut settings = Settings::new(url.parse()?);
    // One that comes from a file may have its end of line.
    let token = text(options, "token")?.map(str::trim).filter(|token| !token.is_empty());
    settings.credentials.token = token.map(|token| Secret::new(token.to_owned()));
    let certificate = text(options, "certificate_path")?.zip(text(options, "certificate_key_path")?);
    if let Some((chain, key)) = certificate {
        let certificate = ClientCertificate::read(Path::new(chain), Path::new(key))?;
        settings.credentials.certificate = Some(certificate);
    }
    settings.trust = trust(options)?;
    Ok(settings)
}

fn trust(options: &Options) -> Result<Trust, Unusable> {
    let is_verified = match options.as_map().get("verify") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(verify)) => *verify,
        Some(Value::String(verify)) if verify == "true" => true,
        Some(Value::String(verify)) if verify == "false" => false,
        Some(_) => return Err(Unusable::Option { name: "verify", what: "`true` or `false`" }),
    };
    match text(options, "ca_path")? {
        _ if !is_verified => Ok(Trust::Anyone),
        Some(path) => Ok(Trust::read(Path::new(path))?),
        None => Ok(Trust::System),
    }
}

/// An option that is a text, if it is there and says something.
fn text<'a>(options: &'a Options, name: &'static str) -> Result<Option<&'a str>, Unusable> {
    match options.as_map().get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Unusable::Option { name, what: "a text" }),
    }
}

#[cfg(test)]
mod tests {
    use fleet::ContainerManagerKind;
    use serde_json::json;

    use super::*;

    fn manager(options: &Value) -> ContainerManager {
        ContainerManager {
            name: "k8s".parse().unwrap(),
            kind: ContainerManagerKind::OpenShift,
            options: Options::new(options.as_object().unwrap().clone()),
        }
    }

    #[test]
    fn options_say_how_it_is_spoken_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for name in ["ca", "certificate", "key"] {
            std::fs::write(at(name), name).unwrap();
        }
        let said = settings(&manager(&json!({
            "server_url": "https://k8s:6443/api/v1", "token": "t\n", "ca_path": at("ca"),
            "certificate_path": at("certificate"), "certificate_key_path": at("key"),
        })))
        .unwrap();
        assert_eq!(said.server.to_string(), "https://k8s:6443");
        assert_eq!(said.credentials.token.unwrap().expose(), "t");
        let certificate = said.credentials.certificate.unwrap();
        assert_eq!(
            (&certificate.chain[..], &certificate.key.expose()[..]),
            (&b"certificate"[..], &b"key"[..])
        );
        assert!(matches!(said.trust, Trust::Only(pem) if pem == b"ca"));

        for (options, is_anyone) in [
            (json!({"apiserver": "http://k8s/api/"}), false),
            (json!({"server_url": "https://k8s", "verify": true, "token": "", "ca_path": null}), false),
            (json!({"server_url": "https://k8s", "verify": "false"}), true),
            (json!({"server_url": "https://k8s", "verify": false, "ca_path": "/nowhere"}), true),
        ] {
            let said = settings(&manager(&options)).unwrap();
            assert_eq!(matches!(said.trust, Trust::Anyone), is_anyone, "{options}");
            assert!(said.credentials.token.is_none() && said.credentials.certificate.is_none());
        }
    }

    #[test]
    fn a_kubeconfig_says_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let config = json!({
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://k8s:6443"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        let said = settings(&manager(&json!({"kubeconfig": path}))).unwrap();
        assert_eq!(
            (said.server.to_string(), said.credentials.token.unwrap().expose().as_str()),
            ("https://k8s:6443".into(), "t")
        );
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (options, expected) in [
            (json!({}), "a container manager needs the option `server_url`"),
            (json!({"server_url": "https://me:S3CRET@k8s"}), "the option `server_url` cannot be used"),
            (json!({"server_url": "https://k8s", "token": 7}), "the option `token` is not a text"),
            (json!({"server_url": "https://k8s", "verify": "S3CRET"}), "the option `verify` is not `true`"),
            (json!({"server_url": "https://k8s", "ca_path": "/nowhere/ca"}), "could not read /nowhere/ca"),
            (json!({"kubeconfig": "/nowhere/config"}), "could not read /nowhere/config"),
            (
                json!({"kubeconfig": "/nowhere", "token": "S3CRET"}),
                "the option `kubeconfig` says all about the way there, so `token`",
            ),
        ] {
            let error = settings(&manager(&options)).unwrap_err();
            let report = base::report(&error);
            assert!(report.contains(expected) && !report.contains("S3CRET"), "{report}");
        }
    }
}

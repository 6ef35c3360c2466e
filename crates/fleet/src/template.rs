//! The files that bootstrapping writes, as templates in Jinja2's language.
//!
//! Ansible renders the same files with the same variables (commissaire contract, section 11.2), so that an operator
//! who replaces one has replaced it for both. Whatever a template asks for and is not there is an error, not an empty
//! text. Block tags leave no lines behind, as with Ansible.

use std::collections::BTreeMap;

use base::{Explain, Kind};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Value;

use crate::commands::Software;

/// The variables of templates and playbooks, by name.
pub type Variables = BTreeMap<&'static str, Value>;

/// The most steps a template may take (minijinja's fuel): thousands of lines, and no loop without end.
const STEPS_MAX: u64 = 100_000;
const DELIMITERS: &str = "the usual delimiters are fair ones";

/// The templates: those that come with the program, or an operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templates {
    /// Of flannel's configuration.
    pub flanneld: String,
    /// Of docker's configuration.
    pub docker: String,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            flanneld: include_str!("../data/templates/flanneld.j2").to_owned(),
            docker: include_str!("../data/templates/docker.j2").to_owned(),
        }
    }
}

/// Why a template does not give a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template of `{name}` cannot be used: {reason}")]
pub struct BadTemplate {
    /// Whose.
    pub name: &'static str,
    /// What is wrong, and where.
    pub reason: String,
}

impl Explain for BadTemplate {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }
}

impl Templates {
    /// The configuration of `software` where `variables` are these.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub(crate) fn render(&self, software: Software, variables: &Variables) -> Result<String, BadTemplate> {
        let (name, text) = match software {
            Software::Flannel => ("flanneld", &self.flanneld),
            Software::Docker => ("docker", &self.docker),
        };
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_syntax(
            SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build().expect(DELIMITERS),
        );
        environment.set_fuel(Some(STEPS_MAX));
        environment
            .render_named_str(name, text, Serde(variables))
            .map_err(|error| BadTemplate { name, reason: format!("{error:#}") })
    }
}

#[cfg(test)]
mod alike;

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&'static str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| (*name, Value::from(*value))).collect()
    }

    /// Commissaire contract, section 11.2.
    #[test]
    fn flanneld_is_told_of_etcd_or_of_its_server() {
        let templates = Templates::default();
        let key = ("commissaire_flannel_key", "/atomic01/network");
        for (given, expected) in [
            (
                vec![key, ("commissaire_etcd_server_url", "http://10.0.0.1:2379")],
                "FLANNEL_ETCD=\"http://10.0.0.1:2379\"\nFLANNEL_ETCD_KEY=\"/atomic01/network\"\n\
                 FLANNEL_ETCD_ENDPOINTS=\"http://10.0.0.1:2379\"\nFLANNEL_ETCD_PREFIX=\"/atomic01/network\"\n",
            ),
            (
                vec![key, ("commissaire_flanneld_server", "10.0.0.2:8888")],
                "FLANNEL_OPTIONS=\"--remote=10.0.0.2:8888\"\n",
            ),
            (
                vec![
                    key,
                    ("commissaire_flanneld_server", "10.0.0.2:8888"),
                    ("commissaire_etcd_client_key_path", "/etc/etcd/key.crt"),
                    ("commissaire_etcd_client_cert_path", "/etc/etcd/client.crt"),
                    ("commissaire_etcd_ca_path", "/etc/etcd/cacert.pem"),
                ],
                "FLANNEL_OPTIONS=\"--remote=10.0.0.2:8888 --remote-keyfile=/etc/etcd/key.crt \
                 --remote-certfile=/etc/etcd/client.crt --etcd-cafile=/etc/etcd/cacert.pem\"\n",
            ),
            (vec![key], ""),
        ] {
            let rendered = templates.render(Software::Flannel, &variables(&given)).unwrap();
            let (comment, settings) = rendered.split_once('\n').unwrap();
            assert!(comment.starts_with('#'), "{comment}");
            assert_eq!(settings, expected, "{given:?}");
        }
    }

    #[test]
    fn docker_is_told_of_its_mirror() {
        let given = variables(&[
            ("commissaire_docker_registry_host", "127.0.0.1"),
            ("commissaire_docker_registry_port", "8080"),
        ]);
        let rendered = Templates::default().render(Software::Docker, &given).unwrap();
        assert_eq!(
            rendered.split_once('\n').unwrap().1,
            "OPTIONS='--registry-mirror=http://127.0.0.1:8080 --selinux-enabled --log-driver=journald'\n\
             DOCKER_CERT_PATH=/etc/docker\n"
        );
    }

    #[test]
    fn what_an_operator_wrote_wrong_is_told() {
        for (docker, expected) in [
            ("{{ commissaire_dokcer }}", "undefined"),
            ("{% if %}", "syntax error"),
            ("{% for x in range(9999) %}{% for y in range(9999) %}x{% endfor %}{% endfor %}", "fuel"),
        ] {
            let templates = Templates { docker: docker.into(), ..Templates::default() };
            let refused = templates.render(Software::Docker, &variables(&[])).unwrap_err();
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }
}

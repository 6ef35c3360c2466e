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
    /// Whether both can be used at all; whether all that they ask for is there shows only where they are.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn check(&self) -> Result<(), BadTemplate> {
        for software in [Software::Flannel, Software::Docker] {
            let (name, text) = self.of(software);
            let environment = environment();
            let compiled = environment.template_from_named_str(name, text);
            compiled.map_err(|error| BadTemplate { name, reason: format!("{error:#}") })?;
        }
        Ok(())
    }

    fn of(&self, software: Software) -> (&'static str, &str) {
        match software {
            Software::Flannel => ("flanneld", &self.flanneld),
            Software::Docker => ("docker", &self.docker),
        }
    }

    /// The configuration of `software` where `variables` are these.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub(crate) fn render(&self, software: Software, variables: &Variables) -> Result<String, BadTemplate> {
        let (name, text) = self.of(software);
        environment()
            .render_named_str(name, text, Serde(variables))
            .map_err(|error| BadTemplate { name, reason: format!("{error:#}") })
    }
}

/// Jinja2 as Ansible has it.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).keep_trailing_newline(true).build().expect(DELIMITERS),
    );
    environment.set_fuel(Some(STEPS_MAX));
    environment
}

#[cfg(test)]
mod tests;

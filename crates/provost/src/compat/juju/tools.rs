//! Juju's hook commands: the only way in which a charm sees and changes anything (certificate_transfer contract,
//! sections 8.4 to 8.6).

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;
use trust::{Changes, Databag, Level, Note};

/// The longest argument that is handed to a command: Linux takes 128 KiB.
pub const ARGUMENT_BYTES_MAX: usize = 120 * 1024;

/// A command did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It was not started, or not heard.
    #[error("could not run `{tool}`")]
    Start {
        /// The command.
        tool: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It says no.
    #[error("`{tool}` failed, {status}: {said}")]
    Failed {
        /// The command.
        tool: &'static str,
        /// How it ended; 2 is a wrong use, such as a relation that is not known.
        status: ExitStatus,
        /// Its first line on standard error.
        said: String,
    },
    /// It printed something else than what it is documented to.
    #[error("`{tool}` printed what is not understood")]
    Odd {
        /// The command.
        tool: &'static str,
    },
}

/// A relation: its endpoint and its number, as `receive-ca-cert:3`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelationId {
    /// As Juju writes it.
    pub text: String,
    /// The number alone.
    pub number: u64,
}

impl RelationId {
    /// Reads what Juju wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (_, number) = text.rsplit_once(':')?;
        Some(Self { text: text.to_owned(), number: number.parse().ok()? })
    }
}

/// Relations of `endpoint`, in order of their numbers.
pub fn relations(endpoint: &str) -> Result<Vec<RelationId>, ToolError> {
    const TOOL: &str = "relation-ids";
    let printed = json(TOOL, &[endpoint, "--format=json"])?;
    let mut ids = list(TOOL, &printed)?
        .iter()
        .map(|text| RelationId::parse(text).ok_or(ToolError::Odd { tool: TOOL }))
        .collect::<Result<Vec<_>, _>>()?;
    ids.sort_by_key(|id| id.number);
    Ok(ids)
}

/// The units on the other side that have joined.
pub fn remote_units(relation: &RelationId) -> Result<Vec<String>, ToolError> {
    const TOOL: &str = "relation-list";
    list(TOOL, &json(TOOL, &["--format=json", "-r", &relation.text])?)
}

/// The application on the other side; none where Juju does not say (any more).
pub fn remote_application(relation: &RelationId) -> Result<Option<String>, ToolError> {
    const TOOL: &str = "relation-list";
    match json(TOOL, &["--format=json", "--app", "-r", &relation.text])? {
        Value::String(name) if !name.is_empty() => Ok(Some(name)),
        Value::String(_) | Value::Null => Ok(None),
        _ => Err(ToolError::Odd { tool: TOOL }),
    }
}

/// The bag of an application in a relation. Its own one is for the leader alone to read.
pub fn application_bag(relation: &RelationId, application: &str) -> Result<Databag, ToolError> {
    texts("relation-get", &["--format=json", "-r", &relation.text, "--app", "-", application])
}

/// The bag of a unit in a relation.
pub fn unit_bag(relation: &RelationId, unit: &str) -> Result<Databag, ToolError> {
    texts("relation-get", &["--format=json", "-r", &relation.text, "-", unit])
}

/// Writes into the application's own bag, as its leader. Kept when the hook ends well.
pub fn write_application(relation: &RelationId, changes: &Changes) -> Result<(), ToolError> {
    write("relation-set", &["-r", &relation.text, "--app", "--file", "-"], changes)
}

/// Writes into the unit's own bag.
pub fn write_unit(relation: &RelationId, changes: &Changes) -> Result<(), ToolError> {
    write("relation-set", &["-r", &relation.text, "--file", "-"], changes)
}

/// Whether this unit leads its application, for the next 30 seconds.
pub fn is_leader() -> Result<bool, ToolError> {
    const TOOL: &str = "is-leader";
    json(TOOL, &["--format=json"])?.as_bool().ok_or(ToolError::Odd { tool: TOOL })
}

/// All options that have a value.
pub fn options() -> Result<BTreeMap<String, Value>, ToolError> {
    object("config-get", &["--format=json"])
}

/// What this unit remembers.
pub fn state() -> Result<Databag, ToolError> {
    texts("state-get", &["--format=json"])
}

/// Remembers these. Kept when the hook ends well.
pub fn remember(changes: &Changes) -> Result<(), ToolError> {
    write("state-set", &["--file", "-"], changes)
}

/// Forgets this.
pub fn forget(key: &str) -> Result<(), ToolError> {
    run("state-delete", &[key], None).map(drop)
}

/// What an action was asked for.
pub fn action_parameters() -> Result<BTreeMap<String, Value>, ToolError> {
    object("action-get", &["--format=json"])
}

/// What came of an action. `false`: it is too long to be handed over.
pub fn set_result(name: &str, text: &str) -> Result<bool, ToolError> {
    if text.len() > ARGUMENT_BYTES_MAX {
        return Ok(false);
    }
    run("action-set", &[&format!("{name}={text}")], None).map(|_| true)
}

/// Says that an action failed.
pub fn fail_action(why: &str) -> Result<(), ToolError> {
    run("action-fail", &["--", why], None).map(drop)
}

/// Says how this unit is: `active`, `waiting` or `blocked`.
pub fn set_status(status: &str, message: &str) -> Result<(), ToolError> {
    run("status-set", &["--application=False", status, "--", message], None).map(drop)
}

/// Says which version this is.
pub fn set_version(version: &str) -> Result<(), ToolError> {
    run("application-version-set", &["--", version], None).map(drop)
}

/// Tells of an event, in Juju's log: who waits for the line has it, or the hook fails and is sent again.
pub fn tell(line: &str) -> Result<(), ToolError> {
    run("juju-log", &["--log-level", "INFO", "--", line], None).map(drop)
}

/// Says a line in Juju's log. What cannot be said is said on standard error, which goes there as well.
pub fn log(level: Level, line: &str) {
    let name = match level {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
    };
    if run("juju-log", &["--log-level", name, "--", line], None).is_err() {
        crate::output::note(format_args!("{name} {line}"));
    }
}

/// Says what was noticed of a relation.
pub fn log_note(relation: &RelationId, note: &Note) {
    log(note.level(), &format!("relation {}: {note}", relation.text));
}

fn write(tool: &'static str, arguments: &[&str], changes: &Changes) -> Result<(), ToolError> {
    if changes.is_empty() {
        return Ok(());
    }
    run(tool, arguments, Some(&yaml_safe(changes))).map(drop)
}

/// JSON that a YAML reader takes as well: characters as they are, but for controls of the second range and DEL, which it
/// refuses, and which JSON may have escaped.
fn yaml_safe(changes: &Changes) -> String {
    let json = serde_json::to_string(changes).expect("texts under texts are JSON");
    let is_refused =
        |character: char| matches!(character, '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' | '\u{feff}');
    if !json.contains(is_refused) {
        return json;
    }
    let escape = |character: char| match is_refused(character) {
        true => format!("\\u{:04x}", u32::from(character)),
        false => character.to_string(),
    };
    json.chars().map(escape).collect()
}

fn list(tool: &'static str, printed: &Value) -> Result<Vec<String>, ToolError> {
    let odd = || ToolError::Odd { tool };
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(odd);
    match printed {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(text).collect(),
        _ => Err(odd()),
    }
}

fn object(tool: &'static str, arguments: &[&str]) -> Result<BTreeMap<String, Value>, ToolError> {
    match json(tool, arguments)? {
        Value::Null => Ok(BTreeMap::new()),
        Value::Object(members) => Ok(members.into_iter().collect()),
        _ => Err(ToolError::Odd { tool }),
    }
}

fn texts(tool: &'static str, arguments: &[&str]) -> Result<Databag, ToolError> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(ToolError::Odd { tool }),
    };
    object(tool, arguments)?.into_iter().map(text).collect()
}

fn json(tool: &'static str, arguments: &[&str]) -> Result<Value, ToolError> {
    let printed = run(tool, arguments, None)?;
    serde_json::from_slice(&printed).map_err(|_| ToolError::Odd { tool })
}

fn run(tool: &'static str, arguments: &[&str], input: Option<&str>) -> Result<Vec<u8>, ToolError> {
    let failed = |source| ToolError::Start { tool, source };
    let mut command = Command::new(tool);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(failed)?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // One that does not want to read says why.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default().to_owned();
    Err(ToolError::Failed { tool, status: output.status, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_have_numbers() {
        assert_eq!(RelationId::parse("a:b:12").unwrap().number, 12);
        for text in ["", "a", "a:", "a:x", "a:-1"] {
            assert_eq!(RelationId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_json_that_yaml_takes() {
        let changes = Changes::from([("k".into(), "é😀\n\"\\u00e9\" \u{7f}\u{85}\u{9f}\u{a0}".into())]);
        let written = yaml_safe(&changes);
        assert_eq!(written, "{\"k\":\"é😀\\n\\\"\\\\u00e9\\\" \\u007f\\u0085\\u009f\u{a0}\"}");
        assert_eq!(serde_json::from_str::<Changes>(&written).unwrap(), changes);
    }
}

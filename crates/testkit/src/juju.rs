//! A model of Juju for charms of `certificate_transfer`, written from its contract: hooks are run one after the other, with
//! the hook commands of `juju/tool.py`, and what they wrote counts when they end well. It knows relations, bags, leaders,
//! options, actions and a unit's state, and in which order events come; not machines, secrets, or anything else.

mod charm;
mod scenario;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::Process;
pub use charm::{CharmBy, charm, charm_sources};
pub use scenario::in_scenario;

const TOOL: &str = include_str!("juju/tool.py");

/// A hook command: asks the one process that knows the model, since to start Python for each takes far longer.
const COMMAND: &str = r#"#!/bin/bash
exec 3<>/dev/tcp/127.0.0.1/PORT
if [[ " $* " == *" --file - "* ]]; then input=$(cat); fi
printf '%s\0' "$0" "$JUJU_UNIT_NAME" "$JUJU_RELATION_ID" "$JUJU_REMOTE_UNIT" "$MODEL" "$LOG" "$FAULT" "$input" "$#" "$@" >&3
IFS= read -r -d '' code <&3
if [ "$code" = kill ]; then kill -9 "$PPID"; exit 1; fi
if [ "$code" = run ]; then exec "/usr/sbin/${0##*/}" "$@"; fi
IFS= read -r -d '' err <&3
if [ "$code" = 0 ]; then exec cat <&3; fi
printf '%s' "$err" >&2
exit "$code"
"#;

/// The names of the hook commands, and of a program of the machine's that charms run.
const TOOLS: [&str; 17] = [
    "relation-ids",
    "relation-list",
    "relation-get",
    "relation-set",
    "is-leader",
    "config-get",
    "state-get",
    "state-set",
    "state-delete",
    "action-get",
    "action-set",
    "action-fail",
    "juju-log",
    "status-set",
    "status-get",
    "application-version-set",
    "update-ca-certificates",
];

/// What goes wrong in a hook. Commands are counted from 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This command of the hook fails.
    Fails(usize),
    /// The charm is killed as it calls this one.
    Killed(usize),
}

/// A model with its applications.
#[derive(Debug)]
pub struct Juju {
    folder: TempDir,
    _server: Process,
    model: Value,
    /// Where each application's charm is unpacked, and its units.
    applications: BTreeMap<String, (PathBuf, Vec<String>)>,
    /// Which bag each unit was told of last: by relation, unit and owner.
    told: BTreeMap<(String, String, String), Value>,
    relations: u64,
    /// What goes wrong in the next hook.
    fault: Option<Fault>,
    /// Who leads before the next hook ends.
    usurper: Option<String>,
    hooks: usize,
}

/// What a hook or an action came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// What it set.
    pub results: Map<String, Value>,
    /// Why it failed, if it says so.
    pub failed: Option<String>,
}

impl Juju {
    /// An empty one. `python` has PyYAML.
    #[must_use]
    pub fn new(python: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join("tools");
        std::fs::create_dir(&tools).unwrap();
        let server = Process::spawn(Command::new(python).args(["-I", "-c", TOOL]));
        let port =
            server.wait_for_stdout(|said| said.ends_with('\n')).unwrap_or_else(|said| panic!("{said}"));
        let text = COMMAND.replace("PORT", port.trim());
        for name in TOOLS {
            let path = tools.join(name);
            std::fs::write(&path, &text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let model = json!({
            "relations": {}, "leaders": {}, "config": {}, "state": {}, "parameters": {}, "results": {}, "failed": null,
            "status": {}, "lists_broken": false,
        });
        Self {
            folder,
            _server: server,
            model,
            applications: BTreeMap::new(),
            told: BTreeMap::new(),
            relations: 0,
            fault: None,
            usurper: None,
            hooks: 0,
        }
    }

    /// Deploys the charm in `charm` with so many units, of which the first leads.
    pub fn deploy(&mut self, name: &str, charm: &Path, units: usize, config: Value) {
        let units: Vec<_> = (0..units).map(|at| format!("{name}/{at}")).collect();
        self.model["leaders"][name] = json!(units[0]);
        self.model["config"][name] = config;
        self.applications.insert(name.to_owned(), (charm.to_owned(), units.clone()));
        for unit in &units {
            for hook in ["install", "config-changed", "start"] {
                self.hook(unit, hook, &[]);
            }
        }
    }

    /// Relates two endpoints; gives the relation's number when nothing is left to be told.
    pub fn relate(&mut self, one: (&str, &str), other: (&str, &str)) -> u64 {
        let number = self.announce(one, other);
        self.settle();
        number
    }

    /// The same, before anybody has joined.
    pub fn announce(&mut self, one: (&str, &str), other: (&str, &str)) -> u64 {
        self.relations += 1;
        let number = self.relations.to_string();
        let mut bags = Map::new();
        for (at, unit) in self.units_of(one.0).into_iter().chain(self.units_of(other.0)).enumerate() {
            let address = format!("10.0.0.{}", at + 1);
            let subnets = format!("{address}/32");
            bags.insert(
                unit,
                json!({"private-address": address, "ingress-address": address, "egress-subnets": subnets}),
            );
        }
        self.model["relations"][&number] =
            json!({"ends": {one.0: one.1, other.0: other.1}, "joined": {}, "bags": bags, "broken": false});
        for (near, far) in [(one, other), (other, one)] {
            for unit in self.units_of(near.0) {
                self.relation_hook(&unit, &number, "created", far.0, "");
            }
        }
        self.relations
    }

    /// Tells everybody of everything, until nothing is left to be told.
    pub fn settle(&mut self) {
        for _ in 0..100 {
            if !self.tell_one() {
                return;
            }
        }
        panic!("the charms wake each other for ever");
    }

    /// Tells one unit of one thing, if there is anything to be told.
    fn tell_one(&mut self) -> bool {
        let relations = self.model["relations"].as_object().unwrap().clone();
        for (number, relation) in relations {
            for (near, far) in ends(&relation) {
                for unit in self.units_of(&near) {
                    // What the other application wrote can come before any unit has joined.
                    let bag = relation["bags"].get(&far).cloned();
                    if let Some(bag) = bag.filter(|bag| self.is_news(&number, &unit, &far, bag)) {
                        self.told.insert((number.clone(), unit.clone(), far.clone()), bag);
                        self.relation_hook(&unit, &number, "changed", &far, "");
                        return true;
                    }
                    for remote in self.units_of(&far) {
                        let bag = relation["bags"][&remote].clone();
                        let joined = relation["joined"][&unit].as_array().cloned().unwrap_or_default();
                        if !joined.contains(&json!(remote)) {
                            let mut joined = joined;
                            joined.push(json!(remote));
                            self.model["relations"][&number]["joined"][&unit] = json!(joined);
                            self.relation_hook(&unit, &number, "joined", &far, &remote);
                        } else if !self.is_news(&number, &unit, &remote, &bag) {
                            continue;
                        }
                        self.told.insert((number.clone(), unit.clone(), remote.clone()), bag);
                        self.relation_hook(&unit, &number, "changed", &far, &remote);
                        return true;
                    }
                }
            }
        }
        false
    }

    fn is_news(&self, number: &str, unit: &str, owner: &str, bag: &Value) -> bool {
        self.told.get(&(number.to_owned(), unit.to_owned(), owner.to_owned())) != Some(bag)
    }

    /// Ends a relation.
    pub fn unrelate(&mut self, number: u64) {
        let number = number.to_string();
        let relation = self.model["relations"][&number].clone();
        for (near, far) in ends(&relation) {
            for unit in self.units_of(&near) {
                for remote in self.units_of(&far) {
                    let joined = &mut self.model["relations"][&number]["joined"][&unit];
                    let left: Vec<_> = joined.as_array().cloned().unwrap_or_default();
                    *joined = left.into_iter().filter(|one| *one != json!(remote)).collect();
                    self.relation_hook(&unit, &number, "departed", &far, &remote);
                }
                self.model["relations"][&number]["broken"] = json!(true);
                self.relation_hook(&unit, &number, "broken", &far, "");
                self.model["relations"][&number]["broken"] = json!(false);
            }
        }
        self.model["relations"].as_object_mut().unwrap().remove(&number);
    }

    /// From now on, a relation is listed while it breaks, as some versions of Juju do.
    pub fn list_broken(&mut self) {
        self.model["lists_broken"] = json!(true);
    }

    /// Lets this go wrong in the next hook.
    pub fn interrupt(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Whether it did, since this was asked last: a hook may be over before.
    pub fn was_interrupted(&mut self) -> bool {
        std::fs::remove_file(self.log_file().with_extension("interrupted")).is_ok()
    }

    /// Lets `unit` lead its application before the next hook ends: what that hook wrote as a leader is not committed.
    pub fn usurp(&mut self, unit: &str) {
        self.usurper = Some(unit.to_owned());
    }

    /// All that counts of what charms wrote, to be compared.
    #[must_use]
    pub fn committed(&self) -> Value {
        json!([self.model["relations"], self.model["state"]])
    }

    /// Gives an application other options, before anybody is told.
    pub fn set_options(&mut self, application: &str, config: Value) {
        self.model["config"][application] = config;
    }

    /// Gives an application other options.
    pub fn configure(&mut self, application: &str, config: Value) {
        self.set_options(application, config);
        for unit in self.units_of(application) {
            self.hook(&unit, "config-changed", &[]);
        }
        self.settle();
    }

    /// Lets another unit lead.
    pub fn elect(&mut self, unit: &str) {
        let application = unit.split('/').next().unwrap();
        self.model["leaders"][application] = json!(unit);
        self.hook(unit, "leader-elected", &[]);
        for other in self.units_of(application) {
            self.hook(&other, "update-status", &[]);
        }
        self.settle();
    }

    /// Runs an action, and tells everybody what came of it.
    pub fn act(&mut self, unit: &str, action: &str, parameters: Value) -> Acted {
        self.model["parameters"] = parameters;
        self.model["results"] = json!({});
        self.model["failed"] = Value::Null;
        let path = format!("actions/{action}");
        let variables =
            [("JUJU_DISPATCH_PATH", path.as_str()), ("JUJU_HOOK_NAME", ""), ("JUJU_ACTION_NAME", action)];
        self.dispatch(unit, &variables).unwrap_or_else(|said| panic!("{unit} {action}: {said}"));
        let acted = Acted {
            results: self.model["results"].as_object().unwrap().clone(),
            failed: self.model["failed"].as_str().map(str::to_owned),
        };
        self.settle();
        acted
    }

    /// Runs a hook of a unit, which ends well.
    pub fn hook(&mut self, unit: &str, name: &str, more: &[(&str, &str)]) {
        self.try_hook(unit, name, more).unwrap_or_else(|said| panic!("{unit} {name}: {said}"));
    }

    /// Runs a hook; `Err` is what it said, when nothing of it counts.
    ///
    /// # Errors
    /// As said.
    pub fn try_hook(&mut self, unit: &str, name: &str, more: &[(&str, &str)]) -> Result<(), String> {
        let path = format!("hooks/{name}");
        let mut variables = vec![("JUJU_DISPATCH_PATH", path.as_str()), ("JUJU_HOOK_NAME", name)];
        variables.extend_from_slice(more);
        self.dispatch(unit, &variables)
    }

    fn relation_hook(&mut self, unit: &str, number: &str, what: &str, remote: &str, remote_unit: &str) {
        let application = unit.split('/').next().unwrap();
        let endpoint = self.model["relations"][number]["ends"][application].as_str().unwrap().to_owned();
        let (name, id) = (format!("{endpoint}-relation-{what}"), format!("{endpoint}:{number}"));
        self.hook(
            unit,
            &name,
            &[
                ("JUJU_RELATION", &endpoint),
                ("JUJU_RELATION_ID", &id),
                ("JUJU_REMOTE_APP", remote),
                ("JUJU_REMOTE_UNIT", remote_unit),
            ],
        );
    }

    /// The process that runs a hook, for who starts it himself; what it writes counts when it is
    /// [committed](Juju::commit).
    #[must_use]
    pub fn prepare(&mut self, unit: &str, name: &str, more: &[(&str, &str)]) -> Command {
        let path = format!("hooks/{name}");
        let mut variables = vec![("JUJU_DISPATCH_PATH", path.as_str()), ("JUJU_HOOK_NAME", name)];
        variables.extend_from_slice(more);
        self.command(unit, &variables)
    }

    /// Keeps what the hook that was prepared last wrote, since it ended well.
    pub fn commit(&mut self) {
        self.model = serde_json::from_str(&std::fs::read_to_string(self.pending()).unwrap()).unwrap();
    }

    fn pending(&self) -> PathBuf {
        self.folder.path().join("pending.json")
    }

    fn command(&mut self, unit: &str, variables: &[(&str, &str)]) -> Command {
        let application = unit.split('/').next().unwrap();
        let (charm, _) = &self.applications[application];
        let home = self.home(unit);
        if !home.exists() {
            // Each unit has the charm unpacked for itself.
            let copied = Command::new("cp").arg("-a").arg(charm).arg(&home).status().unwrap();
            assert!(copied.success(), "cp -a {}", charm.display());
        }
        std::fs::write(self.pending(), self.model.to_string()).unwrap();
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.folder.path().join("tools").display());
        self.hooks += 1;
        let fault = match self.fault.take() {
            None => String::new(),
            Some(Fault::Fails(which)) => format!("{}:fail:{which}", self.hooks),
            Some(Fault::Killed(which)) => format!("{}:kill:{which}", self.hooks),
        };
        let mut command = Command::new(home.join("dispatch"));
        command
            .current_dir(&home)
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("MODEL", self.pending())
            .env("LOG", self.log_file())
            .env("FAULT", fault)
            .env("JUJU_UNIT_NAME", unit)
            .env("JUJU_CHARM_DIR", &home)
            .env("CHARM_DIR", &home)
            .env("JUJU_VERSION", "3.6.9")
            .env("JUJU_MODEL_NAME", "model")
            .env("JUJU_MODEL_UUID", "6e2a1e7a-0000-4000-8000-000000000000")
            .env("JUJU_MACHINE_ID", "0")
            .envs(variables.iter().copied());
        command
    }

    fn dispatch(&mut self, unit: &str, variables: &[(&str, &str)]) -> Result<(), String> {
        let output = self.command(unit, variables).output().unwrap();
        let application = unit.split('/').next().unwrap();
        let before = self.model.clone();
        self.commit();
        let written = |model: &Value| -> Vec<Value> {
            let relations = model["relations"].as_object().unwrap().values();
            relations.map(|relation| relation["bags"][application].clone()).collect()
        };
        let is_refused = match self.usurper.take() {
            Some(usurper) => {
                self.model["leaders"][application] = json!(usurper);
                written(&self.model) != written(&before)
            }
            None => false,
        };
        if output.status.success() && !is_refused {
            return Ok(());
        }
        // Nothing of it counts but how the unit is, which was said at once.
        let after = std::mem::replace(&mut self.model, before);
        for lasting in ["status", "leaders"] {
            self.model[lasting] = after[lasting].clone();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}{said}\n{}", if is_refused { "it does not lead any more\n" } else { "" }, self.log()))
    }

    /// A bag, of an application or a unit.
    #[must_use]
    pub fn bag(&self, relation: u64, owner: &str) -> BTreeMap<String, String> {
        let bag = &self.model["relations"][relation.to_string()]["bags"][owner];
        let members = bag.as_object().cloned().unwrap_or_default();
        members.into_iter().map(|(key, text)| (key, text.as_str().unwrap().to_owned())).collect()
    }

    /// Writes into a bag what somebody else may have written; the empty text removes a key.
    pub fn write(&mut self, relation: u64, owner: &str, key: &str, text: &str) {
        let bags = &mut self.model["relations"][relation.to_string()]["bags"];
        if bags[owner].is_null() {
            bags[owner] = json!({});
        }
        let bag = bags[owner].as_object_mut().unwrap();
        if text.is_empty() {
            bag.remove(key);
        } else {
            bag.insert(key.to_owned(), json!(text));
        }
    }

    /// How a unit is: the word, and why.
    #[must_use]
    pub fn status(&self, unit: &str) -> Vec<String> {
        let words = self.model["status"][unit].as_array().cloned().unwrap_or_default();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    /// Where a unit's charm is unpacked.
    #[must_use]
    pub fn home(&self, unit: &str) -> PathBuf {
        self.folder.path().join(unit.replace('/', "-"))
    }

    /// What was logged: a JSON list of unit, level and line, each on a line.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The lines that `unit` logged at `level`.
    #[must_use]
    pub fn logged(&self, unit: &str, level: &str) -> Vec<String> {
        let line = |line: &str| -> Option<String> {
            let [by, at, text]: [String; 3] = serde_json::from_str(line).unwrap();
            (by == unit && at == level).then_some(text)
        };
        self.log().lines().filter_map(line).collect()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn units_of(&self, application: &str) -> Vec<String> {
        self.applications[application].1.clone()
    }
}

/// Both ends, each seen from the other.
fn ends(relation: &Value) -> Vec<(String, String)> {
    let names: Vec<_> = relation["ends"].as_object().unwrap().keys().cloned().collect();
    vec![(names[0].clone(), names[1].clone()), (names[1].clone(), names[0].clone())]
}

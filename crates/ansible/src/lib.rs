//! Runs playbooks with the real `ansible-playbook`, and reads what came of them, host by host.
//!
//! ```text
//! Ansible     which program, and the private folder it works in
//! Play        what to run: a playbook, hosts, variables, files, and how long it may take
//! Run         one process: tells which tags are done as they are, and in the end a Report
//! Report      host by host: what a playbook gave back, the host key that was proved, and the Trouble
//! Trouble     which task did not succeed, and why; of a host that was not reached, as a Reason
//! relay       what Ansible runs instead of ssh, so that no host fills its memory
//! ```
//! Each run has a folder of its own (mode 0700), which is gone when the run is: the inventory, the variables, the
//! known hosts, the files for hosts. A private key is in no file at all, but in memory that has a path. All of it is
//! gone too when this program is killed, but for the folder, which the next start clears.
//!
//! A playbook gives results back with `ansible.builtin.set_stats` and `per_host: true`.
//!
//! What is said is bounded twice: by the relay what a host says to a task, which Ansible keeps, and by the run what
//! Ansible says to us. A run that is late is ended with all of its processes, whichever sessions they are in.
//!
//! **Invariant:** no secret is part of an argument or of the environment; no value is ever taken for a template;
//! when a run is over, or dropped, or late, no process of it is left on this machine.

mod begin;
mod error;
mod inventory;
mod literal;
mod marked;
mod play;
mod relay;
mod report;
mod run;
mod trouble;

pub use begin::{Ansible, FORKS, Settings};
pub use error::Error;
pub use inventory::{Host, KnownKey};
pub use play::{Play, Playbook};
pub use relay::{RELAY, RELAYED, SAID_MIB_MAX, relay, relayed};
pub use report::{HostReport, Report};
pub use run::{Done, Run};
pub use trouble::{Reason, Trouble};

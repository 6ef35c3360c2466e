//! The program from outside: what it takes, what it says, how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(unreachable_pub, reason = "in a program `pub` is what a module offers to the other modules")]

mod caucased;
mod config;
mod life;
mod links;
mod names;
mod program;
mod sigkill;
mod up;

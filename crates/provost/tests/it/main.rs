//! The program from outside: what it takes, what it says, how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(unreachable_pub, reason = "in a program `pub` is what a module offers to the other modules")]

mod audit;
mod broken;
mod browser;
mod ca_commands;
mod ca_watch;
mod cache;
mod caucase_clients;
mod caucase_programs;
mod caucase_tools;
mod caucased;
mod charms;
mod cloud_init;
mod commctl;
mod commissaire_server;
mod config;
mod config_import;
mod cors;
mod drained;
mod fleet;
mod fleet_commands;
mod handed_on;
mod hands;
mod hanging;
mod house;
mod houses;
mod http_abuse;
mod http_contract;
mod jump;
mod keys;
mod life;
mod links;
mod looked_after;
mod names;
mod openssl;
mod operations;
mod pkilint;
mod playbooks;
mod program;
mod rollover;
mod several;
mod sigkill;
mod sign_in;
mod slapos_profile;
mod systemd_units;
mod tls;
mod trust_commands;
mod trust_life;
mod trust_watch;
mod up;
mod v1;

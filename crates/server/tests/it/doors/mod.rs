//! The doors, seen from the street: real sockets on both loopback addresses, with small limits.

mod bodies;
mod client;
mod crowd;
mod heads;
mod house;
mod log;
mod plain;
mod stopping;
mod tls;

//! `cargo run --release --locked -p bench --bin cache`: see `bench::cache`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::cache::main()
}

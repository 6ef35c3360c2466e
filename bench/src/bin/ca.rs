//! `cargo run --release --locked -p bench --bin ca`: see `bench::ca`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::ca::main()
}

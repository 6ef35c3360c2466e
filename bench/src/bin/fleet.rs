//! `cargo run --release --locked -p bench --bin fleet`: see `bench::fleet`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::fleet::main()
}

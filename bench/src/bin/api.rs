//! `cargo run --release --locked -p bench --bin api`: see `bench::api`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::api::main()
}

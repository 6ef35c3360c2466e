//! `cargo run --release --locked -p bench --bin ca-scale`: see `bench::ca::scale`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::ca::scale::main()
}

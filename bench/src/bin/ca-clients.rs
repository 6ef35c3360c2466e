//! `cargo run --release --locked -p bench --bin ca-clients`: see `bench::clients`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::clients::main()
}

//! `cargo run --release --locked -p bench --bin trust`: see `bench::trust`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::trust::main()
}

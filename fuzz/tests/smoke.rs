//! A short walk through what the fuzz targets do for hours: the same inputs each time.
//!
//! `FUZZ_SEED` and `FUZZ_INPUTS` choose other inputs and more of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::TARGETS;
use fuzz::mutate::Mutator;

/// How many inputs each target is fed with.
const INPUTS: u64 = 20_000;

fn chosen(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the target has seeds")
        .map(|entry| entry.expect("a file").path())
        .collect();
    // So that the same number gives the same inputs on every file system.
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    let seeds = seeds(target.seeds);
    let feed = |input: &[u8], which: &str| {
        if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
            panic!("{name} fails on {which}, in hexadecimal:\n{}", base::hex::encode(input));
        }
    };
    feed(&[], "nothing");
    for seed in &seeds {
        feed(seed, "a seed");
    }
    let number = chosen("FUZZ_SEED", 1);
    let mut mutator = Mutator::new(seeds, number);
    for index in 0..chosen("FUZZ_INPUTS", INPUTS / target.costs) {
        let input = mutator.next_input();
        feed(&input, &format!("input {index} of {number}"));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            smoke(stringify!($name));
        })*

        #[test]
        fn no_target_is_forgotten() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

targets! { pem request certificate revocation_list private_key envelope web fleet sign_in issuance entry filter ini signature archive tar database backup dump link }

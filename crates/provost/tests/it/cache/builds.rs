//! What builds and machines of a fleet do with the cache: `provost cache fetch`, `release`, and what keeps it tidy.

use std::os::unix::fs::symlink;

use base::Sha512;
use entry::keys;
use serde_json::Value;

use super::commands::{failed, operator};
use crate::fleet_commands::Operator;
use crate::houses::{ended_without_a_fault, plan, up};
use testkit::Face;

/// From the cache, or else from where it comes from, and then into the cache; without a cache as well.
#[test]
fn builds_fetch_through_the_cache() {
    let house = up();
    let operator = operator(&house);
    operator.write("origin.tar", "the source");
    let url = format!("file://{}", operator.home().join("origin.tar").display());
    let first = operator.run(&format!("cache fetch {url} --out first"));
    assert_eq!(first.ok(), format!("{}  first\n", Sha512::of(b"the source")));
    assert!(first.stderr.contains("first was fetched from where it comes from"), "{first:?}");
    assert!(
        first.stderr.contains("note: the cache is passed over: there is nothing under `file-urlmd5:"),
        "{first:?}"
    );

    // It is gone there, and still here.
    std::fs::remove_file(operator.home().join("origin.tar")).unwrap();
    let md5 = keys::md5_hex("the source");
    let second = operator.run(&format!("cache fetch {url}#md5={md5} --out second"));
    assert!(second.stderr.contains("second was fetched from the cache"), "{second:?}");
    assert_eq!(std::fs::read(operator.home().join("second")).unwrap(), b"the source");
    // A build that is repeated has it.
    operator.run(&format!("cache fetch {url}#md5={md5} --out second")).ok();
    failed(&operator.run(&format!("cache fetch {url} --out second")), 75, "second is there already");

    // What the cache has is not what was to come, and neither is what the origin has.
    operator.write("origin.tar", "something else");
    let wrong = operator.run(&format!("cache fetch {url}#md5={} --out wrong", keys::md5_hex("a third")));
    failed(&wrong, 70, "was expected");
    assert!(wrong.stderr.contains("note: the cache is passed over: "), "{wrong:?}");
    let other = keys::md5_hex("something else");
    operator.run(&format!("cache fetch {url}#md5={other} --out other --no-upload")).ok();
    assert_eq!(std::fs::read(operator.home().join("other")).unwrap(), b"something else");

    // Nothing that is wrong with what the cache needs is a reason to fail.
    operator.write("broken.toml", "x=");
    for (n, option) in ["--trust broken.toml", "--trust none.toml", "--sign-key none.pem"].iter().enumerate()
    {
        let ran = operator.run(&format!("cache fetch {url}#md5={other} --out without{n} {option}"));
        ran.ok();
        assert!(ran.stderr.contains("note: the cache is passed over: "), "{option}: {ran:?}");
    }

    // No cache is no reason to fail.
    ended_without_a_fault(house);
    let alone = operator.run(&format!("cache fetch {url} --out alone"));
    assert_eq!(alone.ok(), format!("{}  alone\n", Sha512::of(b"something else")));
    assert!(alone.stderr.contains("note: the cache is passed over: "), "{alone:?}");
    let left: Vec<_> = std::fs::read_dir(operator.home())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".fetched") || name.ends_with(".part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Nobody waits long for a cache that says nothing, to give or to take.
#[test]
fn a_cache_that_hangs_holds_up_no_build() {
    let operator = Operator::new();
    let root = operator.run("cache sign-key anna");
    operator.write(".config/provost/cache-trust.toml", root.ok());
    operator.write("origin.tar", "the source");
    // The system takes the connections, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("file://{}", operator.home().join("origin.tar").display());
    let server = format!("--server http://{}", silent.local_addr().unwrap());
    let ran = operator.run(&format!("cache fetch {url} --out here --cache-seconds 1 {server}"));
    assert_eq!(ran.ok(), format!("{}  here\n", Sha512::of(b"the source")));
    let passed_over = "note: the cache is passed over: it was not done within 1 s";
    assert_eq!(ran.stderr.matches(passed_over).count(), 2, "{ran:?}");
}

#[test]
fn releases_are_packed_once_and_unpacked_on_machines_like_this_one() {
    let house = up();
    let operator = operator(&house);
    let url = "https://lab.example/software.cfg";
    let root = operator.home().join("root");
    let folder = root.join(keys::release(url));
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    std::fs::write(folder.join("bin/tool"), "#!/bin/sh\n").unwrap();
    symlink("tool", folder.join("bin/alias")).unwrap();
    let at = format!("--software-root {}", root.display());
    let packed = operator.run(&format!("cache release pack {url} {at}"));
    assert!(packed.ok().ends_with(&format!("  {}\n", folder.display())), "{packed:?}");
    failed(&operator.run(&format!("cache release pack {url} {at} --blacklist https://lab")), 65, "blacklist");
    failed(&operator.run(&format!("cache release pack https://other {at}")), 66, "could not read");

    let into = format!("--into {}", root.display());
    failed(&operator.run(&format!("cache release unpack {url} {into}")), 75, "is there already");
    std::fs::remove_dir_all(&folder).unwrap();
    failed(
        &operator.run(&format!("cache release unpack {url} {into} --blacklist / --blacklist https:")),
        65,
        "blacklist",
    );
    let unpacked = operator.run(&format!("cache release unpack {url} {into}"));
    assert_eq!(unpacked.ok(), format!("{}\n", folder.display()));
    assert_eq!(std::fs::read(folder.join("bin/alias")).unwrap(), b"#!/bin/sh\n");
    // Paths are compiled in: what was made for another root is of no use here.
    let elsewhere = operator.run(&format!("cache release unpack {url} --into {}/elsewhere", root.display()));
    let lies = format!(
        "it is for another folder: it must lie under {root}, and would lie under {root}/elsewhere",
        root = root.display()
    );
    failed(&elsewhere, 66, &lies);
    assert!(!root.join("elsewhere").exists());
    failed(&operator.run(&format!("cache release unpack https://none {into}")), 66, "there is nothing under");
    ended_without_a_fault(house);
}

#[test]
fn operators_see_what_is_there_and_say_what_stays() {
    let house = plan(Face::Up).option("cache-retention", "keep newest 1 for k*").start();
    let operator = operator(&house);
    for (file, key) in [("one", "k1"), ("two", "k1"), ("three", "k2"), ("four", "k2")] {
        operator.write(file, file);
        operator.run(&format!("cache put {file} --key {key}")).ok();
    }
    let keys = operator.run("cache keys k?");
    assert_eq!(keys.ok(), "KEY  ENTRIES\nk1   2\nk2   2\n");
    let artifacts: Value = serde_json::from_str(operator.run("cache artifacts --json").ok()).unwrap();
    assert_eq!(artifacts.as_array().map(Vec::len), Some(4), "{artifacts}");

    let dry = operator.run("cache pin k1 --note release --dry-run");
    assert!(dry.ok().starts_with("PUT /v1/cache/pins/keys/k1\n"), "{dry:?}");
    assert!(operator.run("cache pins").stderr.contains("nothing is pinned"));
    operator.run("cache pin k1 --note release").ok();
    operator.run(&format!("cache pin {}", Sha512::of(b"three"))).ok();
    let pins = operator.run("cache pins");
    assert!(pins.ok().contains("k1") && pins.stdout.contains("release"), "{pins:?}");

    let dry = operator.run("cache gc --dry-run");
    assert!(dry.ok().contains(&Sha512::of(b"three").to_string()), "{dry:?}");
    assert!(dry.stderr.starts_with("would be removed: 1 entries, 0 artifacts"), "{dry:?}");
    let gone: Value = serde_json::from_str(operator.run("cache gc --json").ok()).unwrap();
    assert_eq!(gone["entries"], 1);
    operator.run("cache unpin k1").ok();
    failed(&operator.run("cache unpin k1"), 66, "not pinned");
    assert!(operator.run("cache gc").stderr.starts_with("removed: 1 entries"));
    // Only the last of each is left.
    assert_eq!(operator.run("cache keys").ok(), "KEY  ENTRIES\nk1   1\nk2   1\n");
    ended_without_a_fault(house);
}

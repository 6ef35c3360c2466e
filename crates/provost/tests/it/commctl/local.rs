//! `passhash`, which asks nobody.

use std::process::Command;

use super::Operator;

/// What another implementation of bcrypt, the C library's, makes of `password` under the same salt.
fn crypt(password: &str, hash: &str) -> String {
    let mut perl = Command::new("perl");
    testkit::run(perl.args(["-e", "print crypt($ARGV[0], $ARGV[1])", password, hash])).ok().to_owned()
}

#[test]
fn hashes_are_what_the_server_takes() {
    let operator = Operator::new();
    let file = operator.write("password", "a file's\n");
    for (arguments, input, password) in [
        (&["passhash", "-r", "4", "-p", "an option's"][..], "", "an option's"),
        (&["passhash", "--rounds=4", "--file", &file], "", "a file's"),
        (&["passhash", "-r4", "-f", "-"], "from\nstdin\n", "from\nstdin"),
        (&["passhash", "-r4"], "an answer\n", "an answer"),
    ] {
        let ran = operator.run_with(input, arguments);
        let hash = ran.ok().trim_end();
        assert!(hash.starts_with("$2a$04$") && hash.len() == 60, "{hash}");
        assert_eq!(crypt(password, hash), hash, "{arguments:?}");
        assert_ne!(
            operator.run_with(input, arguments).ok().trim_end(),
            hash,
            "every hash has a salt of its own"
        );
    }
    assert!(operator.run(&["passhash", "-p", "x"]).ok().starts_with("$2a$12$"));
}

#[test]
fn what_bcrypt_cannot_take_is_refused() {
    let operator = Operator::new();
    let ran = operator.run(&["passhash", "-p", &"x".repeat(73)]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    let expected = "commctl passhash: error: the password is longer than the 72 bytes that bcrypt looks at\n";
    assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
}

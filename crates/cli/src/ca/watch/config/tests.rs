use super::super::super::session::Mode;
use super::*;

/// What the command says where nothing is said.
fn silent() -> Defaults {
    Defaults { server: None, authority: Mode::Service.authority(), ca: None, fingerprint: None }
}

fn parsed(text: &str) -> Result<Config, Vec<String>> {
    parse(text, Path::new("/etc/provost/watch.toml"), &silent())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn what_the_command_says_holds_where_the_file_says_nothing() {
    let command = Defaults {
        server: Some("http://ca:8000".parse().unwrap()),
        authority: Authority::Users,
        ca: Some("x.pem".into()),
        fingerprint: Some([7; 32]),
    };
    let text = "[[certificate]]\nname = \"a\"\n\
         [[certificate]]\nname = \"b\"\nserver = \"http://other\"\nmode = \"service\"\nca = \"ca.pem\"\n";
    let config = parse(text, Path::new("/etc/provost/watch.toml"), &command).unwrap();
    let [a, b] = config.certificates.as_slice() else { panic!("{config:?}") };
    assert!(a.server.is(&"http://ca:8000".parse().unwrap()) && b.server.is(&"http://other".parse().unwrap()));
    assert_eq!((a.authority, b.authority), (Authority::Users, Authority::Services));
    assert_eq!((a.ca.clone(), b.ca.clone()), ("x.pem".into(), "/etc/provost/ca.pem".into()));
    assert_eq!((a.fingerprint, b.fingerprint), (Some([7; 32]), Some([7; 32])));
}

/// Whoever writes the configuration runs commands as whoever reads it.
#[test]
fn a_configuration_is_for_its_runner_and_root_to_write() {
    let us = (1000, 100);
    for (mode, whose, expected) in [
        (0o644, (1000, 100), Writers::Us),
        (0o600, (0, 0), Writers::Us),
        (0o664, (1000, 100), Writers::Group),
        (0o664, (1000, 5), Writers::Others),
        (0o666, (1000, 100), Writers::Others),
        (0o602, (0, 0), Writers::Others),
        (0o600, (65534, 100), Writers::Others),
        (0o444, (1001, 100), Writers::Others),
    ] {
        assert_eq!(writers(mode, whose, us), expected, "{mode:o} {whose:?}");
    }
    assert_eq!(writers(0o600, (1000, 100), (0, 0)), Writers::Others, "not even for root");
}

/// What would destroy something else is found by whatever path, and what may be shared is shared.
#[test]
fn no_file_is_for_two_things() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("watch.toml");
    std::os::unix::fs::symlink("a.key", folder.path().join("link")).unwrap();
    let said = |top: &str, a: &str, b: &str| {
        let text = format!(
            "{top}[[certificate]]\nname = \"a\"\nserver = \"http://ca\"\n{a}\n\
             [[certificate]]\nname = \"b\"\nserver = \"http://ca\"\n{b}\n"
        );
        let problems = parse(&text, &path, &silent()).err().unwrap_or_default();
        problems.iter().map(|one| format!("{:?} {}", one.line.unwrap(), one.what)).collect::<Vec<_>>()
    };
    let dir = folder.path().display();
    let a = "ca = \"ca.pem\"\ncertificate = \"a.crt\"\nkey = \"a.key\"";
    let b = "ca = \"ca.pem\"\n";
    for (top, b, expected) in [
        (
            "metrics_file = \"a.key\"\n",
            b,
            format!("7 the `key` of `a` and the `metrics_file` are the same file, {dir}/a.key"),
        ),
        (
            "metrics_file = \"./a.crt\"\n",
            b,
            format!("6 the `certificate` of `a` and the `metrics_file` are the same file, {dir}/a.crt"),
        ),
        (
            "",
            "ca = \"ca.pem\"\ncertificate = \"b.crt\"\nkey = \"./a.key\"",
            format!("12 the `key` of `b` and the `key` of `a` are the same file, {dir}/./a.key"),
        ),
        (
            "",
            "ca = \"ca.pem\"\ncertificate = \"b.crt\"\nkey = \"link\"",
            format!("12 the `key` of `b` and the `key` of `a` are the same file, {dir}/link"),
        ),
        (
            "",
            "ca = \"ca.pem\"\ncrl = \"ca.pem\"",
            format!("11 the `crl` of `b` and the `ca` of `a` are the same file, {dir}/ca.pem"),
        ),
        (
            "",
            "ca = \"a.key\"",
            format!("10 the `ca` of `b` and the `key` of `a` are the same file, {dir}/a.key"),
        ),
        (
            "",
            "ca = \"ca.pem\"\ncrl = \"a.crt\"",
            format!("11 the `crl` of `b` and the `certificate` of `a` are the same file, {dir}/a.crt"),
        ),
        (
            "",
            "ca = \"ca.pem\"\nmode = \"user\"",
            format!(
                "10 the `ca` of `b` and the `ca` of `a` are the same file, {dir}/ca.pem, for another server, mode or fingerprint"
            ),
        ),
        (
            "",
            "ca = \"watch.toml\"",
            format!("10 the `ca` of `b` and this configuration are the same file, {dir}/watch.toml"),
        ),
        (
            "",
            "ca = \"all\"\ncrl = \"all\"\ncertificate = \"all/x.ca.pem\"",
            format!(
                "12 the `certificate` of `b`, {dir}/all/x.ca.pem, would be removed from the folder of the `ca` of `b`"
            ),
        ),
    ] {
        assert!(said(top, a, b).contains(&expected), "{expected}\n{:#?}", said(top, a, b));
    }
    let shared = "ca = \"ca.pem\"\ncrl = \"crl.pem\"\ncertificate = \"b.pem\"\nkey = \"./b.pem\"";
    assert_eq!(
        said("metrics_file = \"m\"\n", &format!("{a}\ncrl = \"crl.pem\""), shared),
        Vec::<String>::new()
    );
    let one_folder = "ca = \"all\"\ncrl = \"all\"\ncertificate = \"all/b.pem\"";
    assert_eq!(said("", a, one_folder), Vec::<String>::new());
}

#[test]
fn what_is_said_for_all_is_said_for_each() {
    let config = parsed(
        "metrics = \"127.0.0.1:9109\"\nmetrics_file = \"m.prom\"\nat_once = 3\ntimeout = \"5s\"\n\
         [defaults]\nserver = \"https://ca:8001\"\nca = \"cas.pem\"\nthreshold = \"10d\"\n\
         [[certificate]]\nname = \"a\"\ncertificate = \"a.pem\"\n\
         request = { name = \"a\", dns = [\"a.example\"], ip = \"::1\" }\n\
         [[certificate]]\nname = \"b\"\nmode = \"user\"\nca = \"cau.pem\"\ncertificate = \"/b.crt\"\nkey = \"b.key\"\ncsr = \"b.csr\"\n\
         threshold = \"5d\"\nkey_type = \"ed25519\"\nkey_format = \"pkcs8\"\nhook_timeout = \"3s\"\n\
         [[certificate]]\nname = \"c\"\ncrl = \"crl.pem\"\n",
    )
    .unwrap();
    let [a, b, c] = config.certificates.as_slice() else { panic!("{config:?}") };
    assert_eq!((config.at_once, config.timeout.as_secs()), (3, 5));
    assert_eq!(config.metrics_file, Some("/etc/provost/m.prom".into()));
    assert!(a.server.is(&"http://ca:8000".parse().unwrap()));
    assert_eq!((a.rules.threshold, b.rules.threshold), (Span::days(10), Span::days(5)));
    let own = a.files.clone().unwrap();
    assert_eq!(own.certificate, own.key);
    assert!(matches!(&a.first, Some(First::Subject(subject)) if subject.ip.len() == 1));
    let own = b.files.clone().unwrap();
    assert_eq!((own.certificate, own.key), ("/b.crt".into(), "/etc/provost/b.key".into()));
    assert_eq!((b.authority, b.key_type), (Authority::Users, KeyType::Ed25519));
    assert_eq!((&c.files, &c.first, c.crl.clone()), (&None, &None, Some("/etc/provost/crl.pem".into())));
    assert_eq!((c.hook_timeout.as_secs(), b.hook_timeout.as_secs()), (60, 3));
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = "metrics = \"nowhere\"\nat_once = 0\nserver = \"http://ca\"\n\
         [defaults]\nca = \"ca.pem\"\nname = \"x\"\nthreshold = 31\n\
         [[certificate]]\nserver = \"http://ca\"\nkey = \"a.key\"\n\
         [[certificate]]\nname = \"b\"\nserver = \"ca\"\nmode = \"both\"\ncsr = \"x\"\nrequest = { dns = \"a b\" }\n\
         [[certificate]]\nname = \"c\"\nserver = \"http://ca\"\ncertificate = \"c.pem\"\n\
         [[certificate]]\nname = \"c\"\nserver = \"http://ca\"\ncertificate = \"c.pem\"\nlook_every = \"0s\"\n\
         request = { cn = \"a\" }\n";
    let file = "/etc/provost/watch.toml";
    let said = parsed(text).unwrap_err();
    for (line, what) in [
        (1, "`metrics` is an address and a port: \"127.0.0.1:9109\""),
        (2, "`at_once` is a number from 1 to 256"),
        (3, "nothing is called `server` at the top"),
        (6, "nothing is called `name` in [defaults]"),
        (7, "`threshold` is a text with a number and `s`, `m`, `h`, `d` or `w`: \"12h\""),
        (8, "this certificate has no `name`"),
        (10, "there is a `key`, and nothing says where its `certificate` is"),
        (13, "`server`: `ca` is not the URL of a server: http://HOST[:PORT][/PREFIX]"),
        (14, "`mode` is one of \"service\", \"user\""),
        (16, "`csr` and `request` are one too many"),
        (26, "nothing is called `cn` in `request`"),
    ] {
        let expected = format!("{file}, line {line}: {what}");
        assert!(said.contains(&expected), "{expected}\n{said:#?}");
    }
    assert!(said.iter().any(|line| line.ends_with("`look_every` is some time")), "{said:#?}");
    let twice =
        "[[certificate]]\nname = \"c\"\nserver = \"http://ca\"\nca = \"x\"\ncertificate = \"c.pem\"\n"
            .repeat(2);
    let said = parsed(&twice).unwrap_err();
    assert_eq!(
        said,
        [
            format!("{file}, line 6: another certificate has the name `c`"),
            format!(
                "{file}, line 10: the `certificate` of `c` and the `certificate` of `c` are the same file, /etc/provost/c.pem"
            ),
        ]
    );
    assert_eq!(parsed("").unwrap_err(), [format!("{file}, line 1: no [[certificate]] is named")]);
    assert!(parsed("[[certificate]\n").unwrap_err()[0].starts_with(&format!("{file}, line 1: ")));
}

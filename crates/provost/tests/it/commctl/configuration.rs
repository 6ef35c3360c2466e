//! Where the configuration comes from, and what is asked for when it is not there.

use serde_json::json;

use super::{Operator, answering, lines};

#[test]
fn the_file_is_looked_for_in_this_order() {
    let server = answering(200, "");
    let operator = Operator::new();
    let file = |name: &str, username: &str| {
        let text = json!({"endpoint": server.url(), "username": username, "password": ""});
        operator.write(name, &text.to_string())
    };
    file(".commissaire.json", "home");
    let (variable, option) = (file("variable.json", "variable"), file("option.json", "option"));
    let user = |variable: Option<&str>, arguments: &[&str]| {
        let mut command = operator.command(arguments);
        variable.map(|path| command.env("COMMCTL_CONFIG", path));
        testkit::run(&mut command).ok();
        server.heard()[0].header("authorization").unwrap().to_owned()
    };
    assert_eq!(user(None, &["host", "list"]), "Basic aG9tZTo=");
    assert_eq!(user(Some(&variable), &["host", "list"]), "Basic dmFyaWFibGU6");
    assert_eq!(user(Some(&variable), &["--config", &option, "host", "list"]), "Basic b3B0aW9uOg==");
}

#[test]
fn what_is_missing_is_asked_for() {
    let server = answering(200, "");
    let operator = Operator::new();
    let all = format!("{}\nAladdin\nopen sesame\n", server.url());
    let ran = operator.run_with(&all, &["host", "list"]);
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("Success\n", "Endpoint: Username: Password: "));
    assert_eq!(server.heard()[0].header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));

    operator.configure(&json!({"endpoint": server.url(), "username": "Aladdin"}));
    let ran = operator.run_with("open sesame\nKEY", &["host", "create", "10.0.0.1", "-"]);
    assert_eq!((ran.ok(), ran.stderr.as_str()), ("Success\n", "Password: "));
    let heard = server.heard();
    assert_eq!(heard[0].header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    assert_eq!(heard[0].body, r#"{"ssh_priv_key":"S0VZ"}"#);

    let ran = operator.run_with("", &["host", "list"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.ends_with("commctl host: error: there was no answer to `Password:`\n"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_terminal_does_not_show_the_password() {
    let server = answering(200, "");
    let operator = Operator::new();
    operator.configure(&json!({"endpoint": server.url(), "username": "u"}));
    // script(1) is the terminal; its own standard output is what would be on the screen.
    let commctl = operator.home().join("bin/commctl");
    let mut script = std::process::Command::new("script");
    let wanted = format!("stty -a; {} host list; stty -a", commctl.display());
    script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
    let mut terminal = testkit::Process::spawn(&mut script);
    terminal.wait_for_stdout(|screen| screen.contains("Password: ")).unwrap();
    terminal.say(b"swordfish\n");
    let screen = terminal.wait_for_stdout(|screen| screen.matches(" echoe").count() == 2).unwrap();
    assert!(!screen.contains("swordfish"), "{screen}");
    assert!(screen.contains("Success"), "{screen}");
    assert!(!screen.contains("-echo "), "the terminal is as it was: {screen}");
    assert_eq!(server.heard()[0].header("authorization"), Some("Basic dTpzd29yZGZpc2g="));
    assert_eq!(terminal.wait().code, Some(0));
}

/// Whoever changes their mind at the question gets a terminal that shows what they type.
#[test]
fn an_interrupted_question_leaves_the_terminal_in_order() {
    let operator = Operator::new();
    operator.configure(&json!({"endpoint": "http://127.0.0.1:1", "username": "u"}));
    for command in ["host list", "passhash"] {
        let commctl = operator.home().join("bin/commctl");
        let mut script = std::process::Command::new("script");
        // The terminal interrupts the shell as well, which has to stay to show what became of it.
        let wanted = format!("trap : INT; {} {command}; echo ended $?; stty -a", commctl.display());
        script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
        let mut terminal = testkit::Process::spawn(&mut script);
        terminal.wait_for_stdout(|screen| screen.contains("Password: ")).unwrap();
        terminal.say(b"\x03");
        let screen = terminal.wait_for_stdout(|screen| screen.contains(" echoe")).unwrap();
        assert!(screen.contains("ended 130"), "{screen}");
        assert!(!screen.contains("-echo "), "{screen}");
    }
}

/// Whoever stops the program at the question sees what they type meanwhile, and nobody does once it goes on.
#[test]
fn a_question_that_is_stopped_leaves_the_terminal_in_order() {
    let server = answering(200, "");
    let operator = Operator::new();
    operator.configure(&json!({"endpoint": server.url(), "username": "u"}));
    let commctl = operator.home().join("bin/commctl");
    let mut script = std::process::Command::new("script");
    // A shell with job control, as operators have it.
    let wanted = format!("set -m; {} host list; stty -a; echo stopped; fg; stty -a", commctl.display());
    script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
    let mut terminal = testkit::Process::spawn(&mut script);
    terminal.wait_for_stdout(|screen| screen.contains("Password: ")).unwrap();
    terminal.say(b"\x1a");
    let screen = terminal.wait_for_stdout(|screen| screen.matches("Password: ").count() == 2).unwrap();
    assert!(screen.contains("stopped"), "{screen}");
    assert!(!screen.contains("-echo "), "{screen}");
    terminal.say(b"swordfish\n");
    let screen = terminal.wait_for_stdout(|screen| screen.matches(" echoe").count() == 2).unwrap();
    assert!(screen.contains("Success") && !screen.contains("swordfish"), "{screen}");
    assert!(!screen.contains("-echo "), "{screen}");
    assert_eq!(server.heard()[0].header("authorization"), Some("Basic dTpzd29yZGZpc2g="));
}

#[test]
fn a_kubeconfig_comes_before_user_and_password() {
    let server = answering(200, "");
    let operator = Operator::new();
    let kubeconfig = operator.write(
        "kubeconfig",
        "apiVersion: v1\nkind: Config\ncurrent-context: default/k/admin\ncontexts:\n- context:\n    cluster: k\n    \
         user: admin/k\n  name: default/k/admin\nusers:\n- name: admin/k\n  user:\n    token: abc\n",
    );
    for more in [json!({}), json!({"username": "u", "password": "p"})] {
        let mut configuration = json!({"endpoint": server.url(), "kubeconfig": kubeconfig});
        configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        operator.configure(&configuration);
        operator.type_in("host list").ok();
        assert_eq!(server.heard()[0].header("authorization"), Some("Bearer abc"));
    }
    operator.write("kubeconfig", "current-context: c\n");
    let ran = operator.type_in("host list");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains(&format!("error: {kubeconfig} has no context `c`\n")), "{}", ran.stderr);
    assert_eq!(lines(&server), [""; 0]);
}

#[test]
fn what_is_no_configuration_says_so() {
    let operator = Operator::new();
    for (text, expected) in [
        ("", "EOF while parsing"),
        ("[]", "invalid type"),
        (r#"{"endpoint": 3}"#, "`endpoint` is neither a string nor a list of strings"),
        (r#"{"endpoint": "localhost:8000"}"#, "endpoint `localhost:8000` is not the URL of a server"),
        (r#"{"endpoint": "http://a", "username": ["u"]}"#, "invalid type"),
        (
            r#"{"endpoint": "http://a", "kubeconfig": "/nonexistent"}"#,
            "could not read /nonexistent: No such file",
        ),
        (
            r#"{"endpoint": "http://a", "ca_file": "/nonexistent"}"#,
            "could not read /nonexistent: No such file",
        ),
        (
            r#"{"endpoint": "http://a", "username": "u", "password": "p", "ca_file": ".commissaire.json"}"#,
            "the certificates to trust are not PEM",
        ),
    ] {
        operator.write(".commissaire.json", text);
        let ran = operator.type_in("host list");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{text}");
        assert!(ran.stderr.contains("commctl host: error: "), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{text}: {}", ran.stderr);
    }
    let ran = operator.type_in("--config /nonexistent host list");
    assert_eq!(ran.code, Some(2), "a file that was asked for must be there");
}

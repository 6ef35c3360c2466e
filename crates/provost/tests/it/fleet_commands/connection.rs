//! Which server is asked, and who asks: the command, the environment, the client file.

use serde_json::json;
use testkit::{Process, Recorder, Reply, StandIn, StandInReply};

use super::{Operator, host};

fn server() -> Recorder {
    Recorder::start(|_| Reply::json(200, &host("a", "new").to_string()))
}

#[test]
fn flags_come_before_variables_and_variables_before_files() {
    let servers = [server(), server(), server(), server()];
    let [flag, variable, own, left] = &servers;
    let asked = |operator: &Operator, line: &str, variables: &[(&str, &str)]| {
        let mut command = operator.command(line);
        let ran = Process::spawn(command.envs(variables.iter().copied())).wait();
        let who: Vec<_> =
            servers.iter().map(|server| server.heard().len()).enumerate().filter(|(_, n)| *n > 0).collect();
        (who.first().map(|(at, _)| *at), ran)
    };
    let operator = Operator::new();
    let data = operator.home().join("data");
    operator.write("data/client.toml", &format!("server = \"{}\"\n", left.url()));
    let named = operator.write("named.toml", &format!("server = [\"{}\"]\n", variable.url()));
    let data = data.to_str().unwrap();

    // Nobody says anything.
    let (none, ran) = asked(&operator, "host show a", &[]);
    assert_eq!((none, ran.code), (None, Some(65)));
    let said = "error: nothing says which server to ask\n\
                hint: name one with --server URL, or start one on this machine with `provost up`\n";
    assert_eq!(ran.stderr, said);

    // What this machine's server left, wherever it keeps its data.
    assert_eq!(asked(&operator, "host show a", &[("PROVOST_DATA", data)]).0, Some(3));
    assert_eq!(asked(&operator, &format!("host show a --data {data}"), &[]).0, Some(3));
    operator.write(".local/share/provost/client.toml", &format!("server = \"{}\"\n", left.url()));
    operator.write("share/provost/client.toml", &format!("server = \"{}\"\n", left.url()));
    let share = operator.home().join("share");
    let (who, ran) = asked(&operator, "host show a", &[("XDG_DATA_HOME", share.to_str().unwrap())]);
    // Root's place is another one; it is not to be touched by a test.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(who, Some(3), "{ran:?}");
    }

    // One's own.
    operator.configure(&format!("server = \"{}\"\n", own.url()));
    assert_eq!(asked(&operator, "host show a", &[("PROVOST_DATA", data)]).0, Some(2));
    let elsewhere = operator.home().join("elsewhere");
    operator.write("elsewhere/provost/client.toml", &format!("server = \"{}\"\n", variable.url()));
    let elsewhere = ("XDG_CONFIG_HOME", elsewhere.to_str().unwrap());
    assert_eq!(asked(&operator, "host show a", &[elsewhere]).0, Some(1));

    // The environment, and the command.
    assert_eq!(asked(&operator, "host show a", &[("PROVOST_CLIENT_CONFIG", &named)]).0, Some(1));
    assert_eq!(asked(&operator, "host show a", &[("PROVOST_SERVER", &variable.url())]).0, Some(1));
    let flagged = format!("host show a --server {}", flag.url());
    assert_eq!(asked(&operator, &flagged, &[("PROVOST_SERVER", &variable.url())]).0, Some(0));
    assert_eq!(asked(&operator, &format!("host --client-config {named} show a"), &[]).0, Some(1));

    // The first that can be reached.
    let both = format!("http://127.0.0.1:1, {}", variable.url());
    let (who, ran) = asked(&operator, "host show a", &[("PROVOST_SERVER", &both)]);
    assert_eq!((who, ran.code), (Some(1), Some(0)));
    let said = format!("note: http://127.0.0.1:1 cannot be reached; asking {}\n", variable.url());
    assert_eq!(ran.stderr, said);
    let (_, ran) = asked(&operator, "host show a --server http://127.0.0.1:1", &[]);
    assert_eq!(ran.code, Some(69));
    assert!(
        ran.stderr.starts_with("error: no server could be reached\nhint: http://127.0.0.1:1: "),
        "{ran:?}"
    );
}

/// `provost up` refuses variables that it does not know; these it knows.
#[test]
fn variables_for_commands_do_not_disturb_the_server() {
    let operator = Operator::new();
    let mut command = operator.command("config check");
    command.env("PROVOST_SERVER", "https://fleet.example").env("PROVOST_CLIENT_CONFIG", "/nonexistent");
    testkit::run(&mut command).ok();
}

#[test]
fn who_asks_is_proven_as_was_said() {
    let server = server();
    let operator = Operator::of(&server.url());
    operator.write("password", "open sesame\n");
    operator.write("token", "t0ken\n");
    let kubeconfig = json!({
        "current-context": "c", "contexts": [{"name": "c", "context": {"user": "u"}}],
        "users": [{"name": "u", "user": {"token": "kube"}}]
    });
    operator.write("kubeconfig", &kubeconfig.to_string());
    let ada = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    for (line, file, input, authorization) in [
        ("", "", "", None),
        ("--user Aladdin --password-file password", "", "", Some(ada)),
        ("--user Aladdin", "", "open sesame\n", Some(ada)),
        ("--token-file token", "", "", Some("Bearer t0ken")),
        ("--kubeconfig kubeconfig", "", "", Some("Bearer kube")),
        ("", "user = \"Aladdin\"\npassword_file = \"../../password\"", "", Some(ada)),
        ("", "token_file = \"../../token\"", "", Some("Bearer t0ken")),
        // Who asks is one, and the command comes first.
        (
            "--kubeconfig kubeconfig",
            "user = \"Aladdin\"\npassword_file = \"../../password\"",
            "",
            Some("Bearer kube"),
        ),
    ] {
        operator.configure(&format!("server = \"{}\"\n{file}\n", server.url()));
        let ran = operator.run_with(input, format!("host show a {line}").trim_end());
        assert_eq!(ran.code, Some(0), "{line} {file}: {}", ran.stderr);
        let heard = server.heard();
        assert_eq!(heard[0].header("authorization"), authorization, "{line} {file}");
    }
    let ran = operator.run("host show a --user a --token-file token");
    assert_eq!((ran.code, server.heard().len()), (Some(65), 0));
}

/// Nobody who looks over a shoulder or through a log sees it.
#[test]
fn a_terminal_does_not_show_the_password() {
    let server = server();
    let operator = Operator::of(&server.url());
    let mut script = std::process::Command::new("script");
    let wanted = format!("{} host show a --user Aladdin", crate::program::PROVOST);
    script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
    let mut terminal = Process::spawn(&mut script);
    terminal.wait_for_stdout(|screen| screen.contains("Password: ")).unwrap();
    terminal.say(b"open sesame\n");
    let ran = terminal.wait();
    assert!(ran.ok().contains("address") && !ran.stdout.contains("sesame"), "{}", ran.stdout);
    assert_eq!(server.heard()[0].header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[test]
fn what_is_wrong_with_a_client_file_is_said() {
    let operator = Operator::new();
    let path = operator.home().join(".config/provost/client.toml");
    let path = path.display();
    for (text, code, said) in [
        (
            "servre = \"https://a\"",
            65,
            format!("error: {path}, line 1: nothing is called `servre` here\nhint: "),
        ),
        (
            "\nserver = \"a:1\"",
            65,
            format!("error: {path}, line 2: endpoint `a:1` is not the URL of a server"),
        ),
        (
            "server = \"http://u:hunter2@a\"",
            65,
            format!("error: {path}, line 1: endpoint `…@a` has a user in it"),
        ),
        ("server = ", 65, format!("error: {path}, line 1: ")),
        (
            "server = \"https://a\"\ncertificate = \"none.pem\"",
            66,
            format!(
                "error: could not read {}, the client certificate: No such file",
                operator.home().join(".config/provost/none.pem").display()
            ),
        ),
        (
            "server = \"https://a\"\npassword_file = \"p\"",
            65,
            "error: there is a password, and no user".to_owned(),
        ),
    ] {
        operator.configure(text);
        let ran = operator.run("host list");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{text}");
        assert!(ran.stderr.starts_with(&said), "{text}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
    let ran = operator.run("host list --client-config nowhere");
    assert_eq!(ran.code, Some(66));
    assert!(ran.stderr.starts_with("error: could not read nowhere: No such file"), "{}", ran.stderr);
}

/// What goes without TLS is not read along by a proxy, whatever the environment says.
#[test]
fn no_proxy_sees_a_password() {
    let proxy = StandIn::http(|_| Some(StandInReply::json(200, &host("a", "new"))));
    let server = server();
    let operator = Operator::of(&server.url());
    operator.write("password", "p");
    let mut command = operator.command("host show a --user u --password-file password");
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"] {
        command.env(name, proxy.url(""));
    }
    testkit::run(&mut command).ok();
    assert_eq!((proxy.asked().len(), server.heard().len()), (0, 1));
}

/// Whoever changes their mind at the question gets a terminal that shows what they type.
#[test]
fn an_interrupted_question_leaves_the_terminal_in_order() {
    let operator = Operator::of("http://127.0.0.1:1");
    let mut script = std::process::Command::new("script");
    // The terminal interrupts the shell as well, which has to stay to show what became of it.
    let wanted =
        format!("trap : INT; {} host list --user u; echo ended $?; stty -a", crate::program::PROVOST);
    script.args(["-qec", &wanted, "/dev/null"]).env("HOME", operator.home()).env("SHELL", "/bin/sh");
    let mut terminal = Process::spawn(&mut script);
    terminal.wait_for_stdout(|screen| screen.contains("Password: ")).unwrap();
    terminal.say(b"\x03");
    let screen = terminal.wait_for_stdout(|screen| screen.contains(" echoe")).unwrap();
    assert!(screen.contains("ended 130") && !screen.contains("-echo "), "{screen}");
}

/// A password that everybody on the way can read is sent, as the operator said so, but not without a word.
#[test]
fn a_password_without_tls_is_warned_of() {
    let operator = Operator::new();
    operator.write("password", "p");
    // Nobody is there: names under `invalid` lead nowhere (RFC 6761, section 6.4).
    let line = "host list --server http://fleet.invalid --user u --password-file password";
    let ran = operator.run(line);
    let said = "warning: http://fleet.invalid is asked without TLS: others can read along who asks\n";
    assert!(ran.code == Some(69) && ran.stderr.starts_with(said), "{}", ran.stderr);
}

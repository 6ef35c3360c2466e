//! TLS, both ways, and kubeconfigs.

use std::fs;
use std::path::Path;

use base::{Clock, Secret, Span};
use kube::{Client, ClientCertificate, Error, Settings, Trust, kubeconfig};
use tempfile::TempDir;
use testkit::{ApiServer, StandIn, StandInReply, openssl_ok};

use crate::schema;
use crate::world::{TOKEN, node};

/// An authority, a server's certificate from it for 127.0.0.1, and one of a client.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = |text: &str| openssl_ok(directory.path(), &text.split(' ').collect::<Vec<_>>());
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        let name = directory.path().file_name().unwrap().display();
        run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN={name} -days 20"));
        fs::write(directory.path().join("server.ext"), "subjectAltName=IP:127.0.0.1\n").unwrap();
        fs::write(directory.path().join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
        for name in ["server", "client"] {
            run(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"));
            run(&format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial 2 -days 10 -extfile {name}.ext -out {name}.pem"
            ));
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn server(&self) -> ApiServer {
        let server = ApiServer::https(&(self.text("server.pem") + &self.text("server.key")));
        server.set_token(TOKEN, "provost");
        server
    }

    fn client_certificate(&self) -> ClientCertificate {
        ClientCertificate::read(&self.path("client.pem"), &self.path("client.key")).unwrap()
    }
}

fn with_token(url: &str, trust: Trust) -> Settings {
    let mut settings = Settings::new(url.parse().unwrap());
    settings.credentials.token = Some(Secret::new(TOKEN.to_owned()));
    settings.trust = trust;
    settings
}

async fn ask(settings: &Settings, clock: &Clock) -> Result<bool, Error> {
    Client::new(settings, clock).unwrap().node_registered(&node("web")).await
}

#[tokio::test]
async fn a_server_is_believed_only_with_the_right_certificate() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server();
    server.add_node("web", "boot-1");
    let now = Clock::manual(Clock::system().now());
    let ca = Trust::read(&ours.path("ca.pem")).unwrap();
    assert_eq!(ask(&with_token(&server.url(), ca.clone()), &now).await, Ok(true));
    assert_eq!(ask(&with_token(&server.url(), Trust::Anyone), &now).await, Ok(true));
    let asked = server.asked().len();

    let other = Trust::read(&theirs.path("ca.pem")).unwrap();
    let elsewhere = server.url().replace("127.0.0.1", "localhost");
    let later = Clock::manual(now.now() + Span::days(11));
    let before = Clock::manual(now.now() - Span::days(1));
    for (url, trust, clock, why) in [
        (&server.url(), other, &now, "UnknownIssuer"),
        (&elsewhere, ca.clone(), &now, "not valid for name"),
        (&server.url(), ca.clone(), &later, "expired"),
        (&server.url(), ca, &before, "not valid yet"),
    ] {
        let error = ask(&with_token(url, trust), clock).await.unwrap_err();
        assert!(matches!(&error, Error::Tls { .. }) && error.to_string().contains(why), "{why}: {error}");
        assert!(!error.may_pass());
    }
    assert_eq!(server.asked().len(), asked, "no token was sent to who was not believed");
    schema::hold(&server.exchanged());
}

#[tokio::test]
async fn a_client_certificate_says_who_we_are() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = ours.server();
    server.add_node("web", "boot-1");
    server.set_certificate(&ours.text("client.pem"), "provost");
    let mut settings = Settings::new(server.url().parse().unwrap());
    settings.trust = Trust::read(&ours.path("ca.pem")).unwrap();
    settings.credentials.certificate = Some(ours.client_certificate());
    assert_eq!(ask(&settings, &Clock::system()).await, Ok(true));
    // A real one too says to one that it does not know: 401.
    settings.credentials.certificate = Some(theirs.client_certificate());
    let error = ask(&settings, &Clock::system()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated { .. }), "{error}");

    // One that will not even speak TLS with others.
    let pem = ours.text("server.pem") + &ours.text("server.key");
    let object = serde_json::json!({"metadata": {"name": "web"}});
    let strict =
        StandIn::https_demanding(&pem, &ours.text("ca.pem"), move |_| Some(StandInReply::json(200, &object)));
    settings.server = strict.url("").parse().unwrap();
    for (certificate, is_let_in) in
        [(Some(ours.client_certificate()), true), (Some(theirs.client_certificate()), false), (None, false)]
    {
        settings.credentials.certificate = certificate;
        let found = ask(&settings, &Clock::system()).await;
        match &found {
            Ok(true) => assert!(is_let_in),
            Err(Error::Tls { .. }) => assert!(!is_let_in),
            _ => panic!("{found:?}"),
        }
    }
}

#[test]
fn what_cannot_be_shown_or_believed_is_refused_before_anything_is_sent() {
    let ours = Authority::new();
    let settings = |url: &str, change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::new(url.parse().unwrap());
        settings.trust = Trust::read(&ours.path("ca.pem")).unwrap();
        change(&mut settings);
        Client::new(&settings, &Clock::system()).err().map(|error| error.to_string())
    };
    let (https, http) = ("https://k8s", "http://k8s");
    let certificate = |chain: &str, key: &str| ClientCertificate {
        chain: ours.text(chain).into_bytes(),
        key: Secret::new(ours.text(key).into_bytes()),
    };
    let show = |chain: &'static str, key: &'static str| {
        move |settings: &mut Settings| settings.credentials.certificate = Some(certificate(chain, key))
    };
    let none = "the client certificate cannot be used: ";
    for (found, expected) in [
        (settings(https, &|_| ()), None),
        (settings(https, &show("client.pem", "client.key")), None),
        (
            settings(http, &show("client.pem", "client.key")),
            Some("a client certificate needs a server at `https://`".to_owned()),
        ),
        (settings(https, &show("client.key", "client.key")), Some(format!("{none}there is none"))),
        (settings(https, &show("client.pem", "client.pem")), Some(format!("{none}there is no private key"))),
        (
            settings(https, &|settings| settings.trust = Trust::Only(b"nonsense".to_vec())),
            Some("the certificates of authorities cannot be used: there is no certificate in it".to_owned()),
        ),
    ] {
        assert_eq!(found, expected);
    }
    let mixed = settings(https, &show("client.pem", "ca.key")).unwrap();
    assert!(mixed.starts_with(none), "{mixed}");
}

#[tokio::test]
async fn a_kubeconfig_says_all_of_it() {
    let ours = Authority::new();
    let server = ours.server();
    server.add_node("web", "boot-1");
    server.set_certificate(&ours.text("client.pem"), "provost");
    for user in
        ["{client-certificate: client.pem, client-key: client.key}".to_owned(), format!("{{token: {TOKEN}}}")]
    {
        let url = server.url();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: \"{url}\", certificate-authority: ca.pem}}}}]\n\
             users: [{{name: u, user: {user}}}]\n"
        );
        fs::write(ours.path("config"), text).unwrap();
        let settings = kubeconfig(Path::new(&ours.path("config"))).unwrap();
        assert_eq!(ask(&settings, &Clock::system()).await, Ok(true), "{user}");
    }
}

//! What the templates give.

mod alike;

use super::*;

fn variables(pairs: &[(&'static str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (*name, Value::from(*value))).collect()
}

/// Commissaire contract, section 11.2.
#[test]
fn flanneld_is_told_of_etcd_or_of_its_server() {
    let templates = Templates::default();
    let key = ("commissaire_flannel_key", "/atomic01/network");
    for (given, expected) in [
        (
            vec![key, ("commissaire_etcd_server_url", "http://10.0.0.1:2379")],
            "FLANNEL_ETCD=\"http://10.0.0.1:2379\"\nFLANNEL_ETCD_KEY=\"/atomic01/network\"\n\
             FLANNEL_ETCD_ENDPOINTS=\"http://10.0.0.1:2379\"\nFLANNEL_ETCD_PREFIX=\"/atomic01/network\"\n",
        ),
        (
            vec![key, ("commissaire_flanneld_server", "10.0.0.2:8888")],
            "FLANNEL_OPTIONS=\"--remote=10.0.0.2:8888\"\n",
        ),
        (
            vec![
                key,
                ("commissaire_flanneld_server", "10.0.0.2:8888"),
                ("commissaire_etcd_client_key_path", "/etc/etcd/key.crt"),
                ("commissaire_etcd_client_cert_path", "/etc/etcd/client.crt"),
                ("commissaire_etcd_ca_path", "/etc/etcd/cacert.pem"),
            ],
            "FLANNEL_OPTIONS=\"--remote=10.0.0.2:8888 --remote-keyfile=/etc/etcd/key.crt \
             --remote-certfile=/etc/etcd/client.crt --etcd-cafile=/etc/etcd/cacert.pem\"\n",
        ),
        (vec![key], ""),
    ] {
        let rendered = templates.render(Software::Flannel, &variables(&given)).unwrap();
        let (comment, settings) = rendered.split_once('\n').unwrap();
        assert!(comment.starts_with('#'), "{comment}");
        assert_eq!(settings, expected, "{given:?}");
    }
}

#[test]
fn docker_is_told_of_its_mirror() {
    let given = variables(&[
        ("commissaire_docker_registry_host", "127.0.0.1"),
        ("commissaire_docker_registry_port", "8080"),
    ]);
    let rendered = Templates::default().render(Software::Docker, &given).unwrap();
    assert_eq!(
        rendered.split_once('\n').unwrap().1,
        "OPTIONS='--registry-mirror=http://127.0.0.1:8080 --selinux-enabled --log-driver=journald'\n\
         DOCKER_CERT_PATH=/etc/docker\n"
    );
}

#[test]
fn what_an_operator_wrote_wrong_is_told() {
    for (docker, expected) in [
        ("{{ commissaire_dokcer }}", "undefined"),
        ("{% if %}", "syntax error"),
        ("{% for x in range(9999) %}{% for y in range(9999) %}x{% endfor %}{% endfor %}", "fuel"),
    ] {
        let templates = Templates { docker: docker.into(), ..Templates::default() };
        let refused = templates.render(Software::Docker, &variables(&[])).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}

//! One set of templates, rendered by us or by Ansible: the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Map, Value, json};

use super::super::*;

/// What an operator may write, besides what comes with the program.
const OPERATORS: &str = "{# a comment #}\n\
    {% set options = [] %}\n\
    {%- for name in ['a', 'b', 'c'] if name != 'b' %}\n\
    {{ loop.index }}{{ ',' if not loop.last }} {{ name | upper }} {{ name.upper() }}\n\
    {% endfor %}\n\
    \x20 {% if commissaire_flannel_key is defined and commissaire_flannel_key.startswith('/') -%}\n\
    key={{ commissaire_flannel_key | replace('/', '_') | trim('_') }}\n\
    {% endif %}\n\
    {{ commissaire_etcd_server_url | default('none') }} {{ commissaire_docker_registry_port | int + 1 }}\n\
    {% for part in (commissaire_flanneld_server | default('x:1')).split(':') %}[{{ part }}]{% endfor %}\n\
    {% raw %}{{ not this }}{% endraw %}\n\
    {{ {'b': 1, 'a': 2}.items() | list | length }} {{ 'yes' if commissaire_etcd_ca_path is defined else 'no' }}\n\
    {{- ' tail' }}\n\n";

const NAMES: [&str; 3] = ["flanneld", "docker", "operators"];
/// The sets whose files Ansible writes as well.
const WRITTEN: [&str; 4] = ["set-0", "set-15", "set-19", "set-23"];

/// Each variable that may be missing, and what it may be.
fn sets() -> Vec<Variables> {
    let odd = [
        "",
        " ",
        "a b",
        "it's",
        "\"quoted\"",
        "{{ 1 + 1 }}",
        "{% raw %}",
        "ä☺",
        "a\nb",
        "<&>",
        "\\n",
        "true",
        "007",
    ];
    let maybe = [
        "commissaire_etcd_server_url",
        "commissaire_flanneld_server",
        "commissaire_etcd_client_key_path",
        "commissaire_etcd_ca_path",
    ];
    let usual = |number: usize| {
        let mut set: Variables = [
            ("commissaire_docker_registry_host", json!("127.0.0.1")),
            ("commissaire_docker_registry_port", json!(8080)),
            ("commissaire_flannel_key", json!("/atomic01/network")),
        ]
        .into();
        for (bit, name) in maybe.into_iter().enumerate().filter(|(bit, _)| number & (1 << bit) != 0) {
            set.insert(name, json!(format!("/value/{bit}:1")));
        }
        if set.contains_key("commissaire_etcd_client_key_path") {
            set.insert("commissaire_etcd_client_cert_path", json!("/etc/etcd/client.crt"));
        }
        set
    };
    let mut sets: Vec<Variables> = (0..16).map(usual).collect();
    for (number, text) in odd.into_iter().enumerate() {
        let mut set = usual(15 - number % 4);
        let ports = [json!(0), json!(65_535), json!("8080")];
        set.insert("commissaire_docker_registry_port", ports[number % 3].clone());
        for name in maybe.into_iter().chain(["commissaire_flannel_key", "commissaire_docker_registry_host"]) {
            if let Some(value) = set.get_mut(name) {
                *value = json!(text);
            }
        }
        sets.push(set);
    }
    sets
}

/// What Ansible makes of the templates in `folder` for each of `sets`, by their names; one host of the inventory for each
/// set. Of a few it writes the files as well, with its `template`, which does the same and copies it.
fn by_ansible(folder: &Path, sets: &[Variables]) -> Vec<Map<String, Value>> {
    // None of the values is a template itself.
    let literal = |value: &Value| match value {
        Value::String(text) => json!({ "__ansible_unsafe": text }),
        other => other.clone(),
    };
    let hosts = sets.iter().enumerate().map(|(number, set)| {
        let own = set.iter().map(|(name, value)| ((*name).to_owned(), literal(value)));
        let local = [("ansible_connection", "local"), ("ansible_python_interpreter", "/usr/bin/python3")];
        let all = own.chain(local.map(|(name, value)| (name.to_owned(), value.into())));
        (format!("set-{number}"), Value::Object(all.collect()))
    });
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("inventory.json", &json!({"all": {"hosts": hosts.collect::<Map<_, _>>()}}).to_string());
    let rendered =
        NAMES.map(|name| format!("{name}: \"{{{{ lookup('template', '{name}.j2') }}}}\"")).join(", ");
    write(
        "render.yml",
        &format!(
            "- hosts: all\n  gather_facts: false\n  tasks:\n\
             \x20   - ansible.builtin.set_stats: {{per_host: true, data: {{{rendered}}}}}\n\
             \x20   - ansible.builtin.template:\n\
             \x20       src: \"{{{{ item }}}}.j2\"\n\
             \x20       dest: \"{{{{ playbook_dir }}}}/{{{{ inventory_hostname }}}}.{{{{ item }}}}\"\n\
             \x20     loop: {NAMES:?}\n\
             \x20     when: inventory_hostname in {WRITTEN:?}\n"
        ),
    );
    write("ansible.cfg", "");
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../ansible/data/callback_plugins");
    let mut ansible = Command::new(testkit::witness("ansible-playbook"));
    ansible
        .args(["--inventory", "inventory.json", "--forks", "2", "render.yml"])
        .current_dir(folder)
        .env_clear();
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    ansible.env("PATH", path).env("HOME", folder).env("LC_ALL", "C.UTF-8");
    ansible.env("ANSIBLE_CONFIG", folder.join("ansible.cfg")).env("ANSIBLE_INVENTORY_ENABLED", "yaml");
    ansible.env("ANSIBLE_CALLBACK_PLUGINS", plugins).env("ANSIBLE_STDOUT_CALLBACK", "provost");
    let ran = testkit::run(&mut ansible);
    let told = ran.ok().lines().last().unwrap().strip_prefix("provost-result ").unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    let of = |number| told["results"][format!("set-{number}")].as_object().unwrap().clone();
    (0..sets.len()).map(of).collect()
}

#[test]
fn we_and_ansible_render_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let templates = Templates::default();
    let texts = [templates.flanneld.as_str(), &templates.docker, OPERATORS];
    for (name, text) in NAMES.into_iter().zip(texts) {
        fs::write(folder.path().join(format!("{name}.j2")), text).unwrap();
    }
    let sets = sets();
    let rendered = by_ansible(folder.path(), &sets);
    for (set, theirs) in sets.iter().zip(&rendered) {
        let operators = Templates { docker: OPERATORS.to_owned(), ..templates.clone() };
        let ours = [
            templates.render(Software::Flannel, set).unwrap(),
            templates.render(Software::Docker, set).unwrap(),
            operators.render(Software::Docker, set).unwrap(),
        ];
        for (name, ours) in NAMES.into_iter().zip(ours) {
            assert_eq!(theirs[name].as_str(), Some(ours.as_str()), "{name} of {set:?}");
        }
    }
    for host in WRITTEN {
        let number: usize = host.strip_prefix("set-").unwrap().parse().unwrap();
        for name in NAMES {
            let written = fs::read_to_string(folder.path().join(format!("{host}.{name}"))).unwrap();
            assert_eq!(rendered[number][name].as_str(), Some(written.as_str()), "{name} of {host}");
        }
    }
}

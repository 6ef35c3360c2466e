#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::restriction)]
use std::io::BufRead;
use testkit::*;
fn main() {
    let plans: Vec<HostPlan> = std::env::args()
        .skip(1)
        .map(|kind| match kind.as_str() {
            "debian" => HostPlan::new().own_trust(),
            "fedora" => HostPlan::new().os("fedora", "40").own_trust(),
            "atomic" => HostPlan::new().os("fedora", "40").atomic(),
            _ => HostPlan::new(),
        })
        .collect();
    let hosts = (!plans.is_empty()).then(|| Hosts::start(plans));
    let kube = ApiServer::http();
    kube.set_token("s3cret", "provost");
    println!("kube {}", kube.url());
    if let Some(hosts) = &hosts {
        std::fs::write("/work/tmp/playground.key", hosts.key()).unwrap();
        for host in hosts.all() {
            println!("host {} {} {}", host.address(), host.name(), host.path("/").display());
        }
        println!("gateway {}", hosts.gateway());
    }
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ns", name, labels @ ..] => {
                let labels: Vec<(&str, &str)> = labels.iter().filter_map(|l| l.split_once('=')).collect();
                kube.add_namespace(name, &labels);
            }
            ["held", resource, ns, name] => {
                println!("{}", kube.held(resource, ns, name).map(|o| o.to_string()).unwrap_or("none".into()))
            }
            ["hold", resource, ns, name, json] => {
                kube.hold(resource, ns, name, &serde_json::from_str(json).unwrap())
            }
            ["cut", n] => hosts.as_ref().unwrap()[n.parse().unwrap()].cut_off(),
            ["reconnect", n] => hosts.as_ref().unwrap()[n.parse().unwrap()].reconnect(),
            ["sh", n, rest @ ..] => {
                println!("{:?}", hosts.as_ref().unwrap()[n.parse().unwrap()].sh(&rest.join(" ")))
            }
            ["quit"] => break,
            _ => println!("?"),
        }
        println!("ok");
    }
}

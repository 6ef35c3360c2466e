//! Operations that cordon and drain: real sshd hosts whose cluster is at a container manager. The API server is a stand-in,
//! and so are the kubelets, which report the boot that their host is in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::{ApiServer, Asked, Budget, Host, HostPlan, PodPlan, wait_for, wait_until};

use crate::hands::{Transport, World};
use crate::houses::ended_without_a_fault;
use crate::operations::COMMANDS;

/// A cluster `web` at a container manager, the hosts of which are its nodes and ready.
struct Site {
    world: World,
    server: ApiServer,
}

impl Site {
    fn new(hosts: usize) -> Self {
        let plans = (0..hosts).map(|_| HostPlan::new().down_for(0.5)).collect();
        let world = World::new(Transport::Ssh, plans, &[("fleet-commands-file", COMMANDS)]);
        let server = ApiServer::http();
        server.set_token("s3cret", "provost");
        let put = |path: &str, body: &Value| assert_eq!(world.ask("PUT", path, body).0, 201, "{path}");
        let options = json!({"server_url": server.url(), "token": "s3cret"});
        put("/api/v0/containermanager/k8s", &json!({"type": "kubernetes", "options": options}));
        put("/api/v0/cluster/web", &json!({"container_manager": "k8s"}));
        for host in world.hosts.all() {
            let body = json!({"ssh_priv_key": BASE64.encode(world.hosts.key()), "cluster": "web"});
            put(&format!("/api/v0/host/{}", host.address()), &body);
        }
        for host in world.hosts.all() {
            world.until(host, "active");
        }
        let site = Self { world, server };
        site.report();
        site
    }

    /// What kubelets say: that they are well, and in which boot.
    fn report(&self) {
        for host in self.world.hosts.all() {
            if self.server.node(host.address()).is_some() {
                self.server.report(host.address(), "True", &host.boot_id());
            }
        }
    }

    /// A pod on the host that may not be evicted until [`ApiServer::heal`] makes another one of `guard` healthy.
    fn add_guarded_pod(&self, host: &Host) {
        self.server.add_budget(Budget {
            namespace: "default".into(),
            name: "guard".into(),
            covers: "web".into(),
            healthy: 1,
            needed: 1,
        });
        self.server.add_pod(PodPlan::new("web-1", host.address()));
    }

    /// Starts a restart that drains; where it is found.
    fn restart(&self, policy: &Value) -> String {
        let body = json!({"kind": "restart", "policy": policy});
        let (status, document) = self.world.ask("POST", "/v1/clusters/web/operations", &body);
        assert_eq!(status, 201, "{document}");
        format!("/v1/clusters/web/operations/{}", document["id"])
    }

    /// The operation when it has ended.
    fn ended(&self, path: &str) -> Value {
        wait_for("the operation to end", || {
            self.report();
            let (_, document) = self.world.ask("GET", path, &Value::Null);
            (document["finished_at"].is_string()).then_some(document)
        })
    }

    /// The host at `place` of the operation.
    fn run(&self, path: &str, place: usize) -> Value {
        self.world.ask("GET", &format!("{path}/hosts"), &Value::Null).1["items"][place].clone()
    }

    fn is_cordoned(&self, host: &Host) -> bool {
        let node = self.server.node(host.address()).unwrap();
        node["spec"]["unschedulable"] == true
    }

    /// How often somebody asked for the eviction of a pod.
    fn evictions(&self) -> usize {
        let is_one = |asked: &&Asked| asked.path.ends_with("/eviction");
        self.server.asked().iter().filter(is_one).count()
    }

    fn cordoned(&self) -> Vec<&str> {
        let all = self.world.hosts.all().iter();
        all.filter(|host| self.is_cordoned(host)).map(Host::address).collect()
    }

    fn boots(&self) -> Vec<usize> {
        self.world.hosts.all().iter().map(Host::boots).collect()
    }
}

fn is_told(host: &Host) -> bool {
    host.recorded().iter().any(|line| line == "systemctl reboot")
}

/// Nothing is restarted under a pod that a budget protects; once that lets it go, the operation goes through.
#[test]
fn a_host_is_emptied_before_it_restarts_as_its_budgets_let_it() {
    let site = Site::new(2);
    let [first, second] = [0, 1].map(|host| &site.world.hosts[host]);
    site.add_guarded_pod(first);
    site.server.add_pod(PodPlan { controller: Some("DaemonSet"), ..PodPlan::new("logs", first.address()) });
    let path = site.restart(&json!({"drain": true}));
    wait_until("the budget to refuse twice", || site.evictions() >= 2);
    assert!(site.is_cordoned(first) && !site.is_cordoned(second));
    assert!(!is_told(first), "it is not restarted under its pod");
    assert_eq!(site.run(&path, 0)["state"], "begun");
    site.server.heal("guard", 1);
    wait_until("the first host to restart", || first.boots() == 2);
    // Until its kubelet reports from this boot, it is no node that pods could go to.
    first.wait_until_up();
    wait_until("it to be looked at", || site.run(&path, 0)["state"] == "awaiting");
    assert!(site.is_cordoned(first) && !is_told(second));
    let ended = site.ended(&path);
    assert_eq!((&ended["phase"], &ended["hosts"]["done"]), (&json!("finished"), &json!(2)), "{ended}");
    assert_eq!(site.server.evicted(), ["default/web-1"], "the DaemonSet's pod stays");
    assert_eq!((site.cordoned(), site.boots()), (vec![], vec![2, 2]));
    ended_without_a_fault(site.world.house);
}

/// Whenever the server is killed: no host is restarted twice, and none stays cordoned. What somebody else has cordoned
/// stays so.
#[test]
fn a_killed_server_leaves_no_host_cordoned() {
    let mut site = Site::new(3);
    let addresses: Vec<String> =
        site.world.hosts.all().iter().map(|host| host.address().to_owned()).collect();
    site.add_guarded_pod(&site.world.hosts[0]);
    site.server.cordon_by_hand(&addresses[2]);
    let path = site.restart(&json!({"drain": true}));
    wait_until("the budget to refuse", || site.evictions() >= 1);
    // In the middle of a drain.
    site.world.house.kill();
    assert_eq!(site.cordoned(), [addresses[0].as_str(), addresses[2].as_str()]);
    site.world.house.start();
    let before = site.evictions();
    wait_until("the drain to go on", || site.evictions() > before);
    site.server.heal("guard", 1);
    // When it is down.
    wait_until("the first host to restart", || site.world.hosts[0].boots() == 2);
    site.world.house.kill();
    site.world.hosts[0].wait_until_up();
    site.world.house.start();
    wait_until("the second host to be told", || {
        site.report();
        is_told(&site.world.hosts[1])
    });
    site.world.house.kill();
    site.world.house.start();
    let ended = site.ended(&path);
    assert_eq!((&ended["phase"], &ended["hosts"]["done"]), (&json!("finished"), &json!(3)), "{ended}");
    assert_eq!((site.cordoned(), site.boots()), (vec![addresses[2].as_str()], vec![2, 2, 2]));
    ended_without_a_fault(site.world.house);
}

/// Whoever aborts in the middle of a drain finds nothing cordoned.
#[test]
fn an_aborted_drain_leaves_no_host_cordoned() {
    let site = Site::new(1);
    site.add_guarded_pod(&site.world.hosts[0]);
    let path = site.restart(&json!({"drain": true}));
    wait_until("the budget to refuse", || site.evictions() >= 1);
    assert_eq!(site.world.ask("POST", &format!("{path}/abort"), &json!({})).0, 200);
    let ended = site.ended(&path);
    assert_eq!(ended["phase"], "aborted", "{ended}");
    let reason = site.run(&path, 0)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("if its restart was sent by then, that is not recalled"), "{reason}");
    assert_eq!((site.cordoned(), site.boots()), (vec![], vec![1]));
    ended_without_a_fault(site.world.house);
}

/// A budget that never lets go, and a container manager that is gone: either ends within the host's limit, and says
/// which it was.
#[test]
fn what_keeps_a_drain_is_told_in_time() {
    let site = Site::new(2);
    site.add_guarded_pod(&site.world.hosts[0]);
    let policy = json!({"drain": true, "host_limit_seconds": 6});
    let path = site.restart(&policy);
    let ended = site.ended(&path);
    assert_eq!(ended["phase"], "failed", "{ended}");
    let run = site.run(&path, 0);
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("default/web-1") && reason.contains("disruption budget guard"), "{reason}");
    assert_eq!((&run["left_cordoned"], site.cordoned()), (&json!(false), vec![]));

    let path = site.restart(&policy);
    let before = site.evictions();
    wait_until("the drain to begin", || site.evictions() > before);
    let Site { mut world, server } = site;
    drop(server);
    let ended = wait_for("the operation to end", || {
        let (_, document) = world.ask("GET", &path, &Value::Null);
        (document["finished_at"].is_string()).then_some(document)
    });
    assert_eq!(ended["phase"], "failed", "{ended}");
    let run = world.ask("GET", &format!("{path}/hosts"), &Value::Null).1["items"][0].clone();
    let reason = run["reason"].as_str().unwrap();
    assert!(reason.contains("`k8s`") && reason.contains("cannot be reached"), "{reason}");
    assert_eq!(run["left_cordoned"], true, "nobody could lift it, and that is said: {run}");
    assert_eq!(world.hosts.all().iter().map(Host::boots).collect::<Vec<_>>(), [1, 1]);
    let ran = world.house.stop();
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

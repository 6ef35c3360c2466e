"""Sections 3.3, 3.4 and 5: clusters, their hosts, and what is done with them."""

from client import MOMENT, check, clean, cluster, counts, host


def clusters(admin):
    """3.3 and 5"""
    for path in ["/clusters", "/clusters/", "/cluster", "/cluster/"]:
        admin.says("GET", path, None, 200, [])
    admin.says("GET", "/cluster/web", None, 404)
    admin.says("DELETE", "/cluster/web", {}, 404)
    # As commctl sends it.
    sent = {"type": "kubernetes", "network": "default", "container_manager": ""}
    admin.says("PUT", "/cluster/web", sent, 201, cluster("web"))
    answer = admin.ask("PUT", "/cluster/web10/", {"network": "nowhere"})
    check("an unknown network", (answer.status_code, answer.json()), (201, cluster("web10")))
    check("a warning", answer.headers["warning"].split()[0], "199")
    admin.says("PUT", "/cluster/web9", {"container_manager": "later"}, 201, cluster("web9", manager="later"))
    admin.says("GET", "/clusters", None, 200, ["web", "web9", "web10"])
    admin.says("GET", "/cluster/web", None, 200, cluster("web", status="ok", hostset=[], hosts=counts(0, 0)))
    for wrong in [
        {"network": None},
        {"network": 7},
        {"container_manager": None},
        {"container_manager": []},
        {"container_manager": "x" * 201},
    ]:
        admin.says("PUT", "/cluster/wrong", wrong, 400)
    admin.says("PUT", "/cluster/" + "x" * 201, {}, 400)
    admin.says("GET", "/cluster/wrong", None, 404)

    # Putting it again changes what was said, and keeps its hosts.
    admin.says("PUT", "/network/flat", {}, 201)
    admin.says("PUT", "/host/a", {"cluster": "web", "status": "active"}, 201)
    admin.says(
        "PUT",
        "/cluster/web",
        {"network": "flat", "hostset": [], "status": "failed"},
        201,
        cluster("web", "flat"),
    )
    admin.says(
        "GET",
        "/cluster/web/",
        None,
        200,
        cluster("web", "flat", status="ok", hostset=["a"], hosts=counts(1, 1)),
    )
    check("no warning", admin.ask("PUT", "/cluster/web", {"network": "flat"}).headers.get("warning"), None)

    # How it does: all, some, none.
    for added, status, total, available in [
        ("disassociated", "ok", 2, 2),
        ("failed", "degraded", 3, 2),
        ("", "degraded", 4, 2),
        ("investigating", "degraded", 5, 2),
        ("bootstrapping", "degraded", 6, 2),
    ]:
        admin.says("PUT", f"/host/h{total}", {"cluster": "web", "status": added}, 201)
        found = admin.says("GET", "/cluster/web", None, 200)
        check(f"with {added}", (found["status"], found["hosts"]), (status, counts(total, available)))
    # With a container manager, those that it does not have are of no use.
    admin.says("PUT", "/cluster/web", {"container_manager": "later"}, 201)
    check("managed", admin.says("GET", "/cluster/web", None, 200)["hosts"], counts(6, 1))
    admin.says("DELETE", "/host/a", None, 200)
    found = admin.says("GET", "/cluster/web", None, 200)
    check("none", (found["status"], found["hosts"]), ("failed", counts(5, 0)))

    admin.says("DELETE", "/cluster/web", {}, 200, [])
    admin.says("GET", "/cluster/web", None, 404)
    admin.says("GET", "/host/h2", None, 200, host("h2", status="disassociated"))
    admin.says("PUT", "/cluster/web", {}, 201)
    admin.says("GET", "/cluster/web/hosts", None, 200, [])
    clean(admin)


def membership(admin):
    """3.3: the hosts of a cluster"""
    admin.says("PUT", "/cluster/web", {}, 201)
    admin.says("PUT", "/cluster/db", {}, 201)
    for name, status in [
        ("n1", "active"),
        ("n2", "disassociated"),
        ("n10", "active"),
        ("new", ""),
        ("bad", "failed"),
    ]:
        admin.says("PUT", f"/host/{name}", {"status": status}, 201)
    members = "/cluster/web/hosts"
    for body in [
        {},
        {"old": []},
        {"new": []},
        {"old": [], "new": None},
        {"old": 7, "new": []},
        {"old": [], "new": "n1"},
        {"old": [], "new": [1]},
        {"old": [], "new": [], "name": "db"},
    ]:
        admin.says("PUT", members, body, 400)
    admin.says("PUT", "/cluster/nowhere/hosts", {"old": [], "new": []}, 404)
    admin.says("GET", "/cluster/nowhere/hosts", None, 404)
    admin.says("PUT", members, {"old": ["n1"], "new": ["n1"]}, 409)
    admin.says("PUT", members, {"old": [], "new": ["n1", "nobody"]}, 404)
    admin.says("PUT", members, {"old": [], "new": ["n1", "a b"]}, 404)
    admin.says("PUT", members, {"old": [], "new": ["n1", "new"]}, 405)
    admin.says("PUT", members, {"old": [], "new": ["n1", "bad"]}, 405)
    admin.says("GET", members, None, 200, [])
    admin.says(
        "PUT",
        members + "/",
        {"old": [], "new": ["n10", "n1", "n2", "n1"]},
        200,
        cluster("web", hostset=["n1", "n2", "n10"]),
    )
    admin.says("GET", members + "/", None, 200, ["n1", "n2", "n10"])
    # Who joins has no container manager.
    check("joined", admin.says("GET", "/host/n1", None, 200)["status"], "disassociated")
    admin.says("PUT", members, {"old": [], "new": []}, 409)
    admin.says(
        "PUT", members, {"old": ["n2", "n10", "n1", "n1"], "new": ["n2"]}, 200, cluster("web", hostset=["n2"])
    )
    admin.says("PUT", members, {"old": ["n2"], "new": ["n2"]}, 200, cluster("web", hostset=["n2"]))
    # One cluster at most.
    admin.says("PUT", "/cluster/db/hosts", {"old": [], "new": ["n2"]}, 409)
    admin.says("PUT", "/cluster/db/hosts/n2", {}, 409)

    one = "/cluster/web/hosts/n1"
    admin.says("GET", one, None, 404)
    admin.says("PUT", one, {}, 200, ["n1"])
    admin.says("PUT", one + "/", None, 200, ["n1"])
    admin.says("GET", one + "/", None, 200, ["n1"])
    admin.says("PUT", one, {"host": "n2"}, 400)
    admin.says("PUT", one, {"name": "db"}, 400)
    admin.says("PUT", one, {"host": "n1", "name": "web"}, 200, ["n1"])
    for method in ["GET", "PUT", "DELETE"]:
        admin.says(method, "/cluster/nowhere/hosts/n1", None, 404)
    admin.says("GET", "/cluster/web/hosts/nobody", None, 404)
    admin.says("PUT", "/cluster/web/hosts/nobody", {}, 404)
    admin.says("PUT", "/cluster/web/hosts/new", {}, 405)
    admin.says("DELETE", one, {}, 200, [])
    admin.says("DELETE", one + "/", {}, 200, [])
    admin.says("DELETE", "/cluster/web/hosts/nobody", None, 200, [])
    admin.says("GET", members, None, 200, ["n2"])
    clean(admin)


def managed(admin):
    """5: a host that joins a managed cluster"""
    admin.says("PUT", "/containermanager/all", {"type": "trivial"}, 201)
    admin.says("PUT", "/cluster/web", {"container_manager": "all"}, 201)
    admin.says("PUT", "/host/n1", {"status": "disassociated", "last_check": "then"}, 201)
    admin.says("PUT", "/host/n2", {"cluster": "web"}, 201)
    admin.says("PUT", "/cluster/web/hosts/n1", {}, 200, ["n1"])
    admin.says(
        "GET",
        "/cluster/web",
        None,
        200,
        cluster("web", manager="all", status="degraded", hostset=["n1", "n2"], hosts=counts(2, 1)),
    )
    found = admin.says("GET", "/host/n1/status", None, 200)
    check("the host", found["host"], {"last_check": "then", "status": "active"})
    manager = found["container_manager"]
    check("both readers", {"node": manager["node"], "status": manager["status"]}, manager["result"])
    check("the node", (manager["result"], manager["jsonrpc"]), ({"node": "n1", "status": "ok"}, "2.0"))
    check("the members", set(manager), {"node", "status", "jsonrpc", "id", "result"})
    check("not registered", admin.says("GET", "/host/n2/status", None, 200)["container_manager"], {})
    # One that is not there is told beside, and is no reason to lose the host.
    admin.says("PUT", "/cluster/lost", {"container_manager": "nobody"}, 201)
    admin.says("PUT", "/host/n3", {"cluster": "lost", "status": "active"}, 201)
    found = admin.says("GET", "/host/n3/status", None, 200)
    check("not there", found["container_manager"], {})
    check("why", "nobody" in found["container_manager_error"], True)
    admin.says("PUT", "/host/n4", {"status": "active"}, 201)
    admin.says("PUT", "/cluster/lost/hosts/n4", {}, 502)
    admin.says("PUT", "/cluster/lost/hosts", {"old": ["n3"], "new": ["n3", "n4"]}, 502)
    admin.says("GET", "/cluster/lost/hosts", None, 200, ["n3"])
    check("unchanged", admin.says("GET", "/host/n4", None, 200)["status"], "active")
    clean(admin)


def operations(admin):
    """3.4"""
    kinds = [
        ("deploy", "deployed", {"version": "7.2.6"}),
        ("upgrade", "upgraded", {}),
        ("restart", "restarted", {}),
    ]
    for kind, done, body in kinds:
        name = f"c-{kind}"
        path = f"/cluster/{name}/{kind}"
        admin.says("GET", path, None, 404)
        admin.says("PUT", path, body, 404)
        admin.says("PUT", f"/cluster/{name}", {}, 201)
        admin.says("GET", path, None, 404)
        admin.says("PUT", f"/host/{name}", {"cluster": name, "status": "active"}, 201)
        admin.says("PUT", path, {**body, "name": "other"}, 400)
        found = admin.says("PUT", path, {**body, "name": name}, 201)
        started = found.pop("started_at")
        check(f"{kind} began", bool(MOMENT.fullmatch(started)), True)
        expected = {
            "name": name,
            "status": "in_process",
            done: [],
            "in_process": [],
            "finished_at": "",
            **body,
        }
        check(kind, found, expected)
        admin.says("GET", path, None, 200, {**expected, "started_at": started})
        admin.says("GET", path + "/", None, 404)
        admin.says("PUT", path + "/", body, 404)
        # One at a time, of whatever kind.
        for other, _, other_body in kinds:
            admin.says("PUT", f"/cluster/{name}/{other}", other_body, 409)
        answer = admin.ask("PUT", path, body, headers={"Accept": "application/json"})
        check("the one in the way", answer.json().get("running"), {**expected, "started_at": started})
        # A cluster that is gone has no operations, and neither has the next one of its name.
        admin.says("DELETE", f"/cluster/{name}", None, 200)
        admin.says("GET", path, None, 404)
        admin.says("PUT", f"/cluster/{name}", {}, 201)
        admin.says("GET", path, None, 404)
        # With nobody in it, it is begun and over.
        check("begun", admin.says("PUT", path, body, 201)["status"], "in_process")
        check("over", admin.says("GET", path, None, 200)["status"], "finished")
        admin.says("PUT", path, body, 201)
    for wrong in [{}, {"version": ""}, {"version": None}, {"version": 7}, {"version": "x" * 201}]:
        admin.says("PUT", "/cluster/c-deploy/deploy", wrong, 400)
    clean(admin)

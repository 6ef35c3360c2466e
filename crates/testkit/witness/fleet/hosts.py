"""Section 3.2: hosts."""

import base64
import urllib.parse

from client import check, clean, host

# Neither names nor the addresses of one machine.
NO_HOSTS = ["a..b", "%", ":::::", "999.1.1.1", "10.0.0.1:22", "0.0.0.0", "224.0.0.1", "255.255.255.255"]

KEY = base64.b64encode(b"a private key").decode()


def hosts(admin):
    """3.2"""
    admin.says("GET", "/hosts", None, 200, [])
    admin.says("PUT", "/host/10.0.0.10", {"ssh_priv_key": KEY}, 201, host("10.0.0.10"))
    admin.says("GET", "/host/10.0.0.10", None, 200, host("10.0.0.10"))
    admin.says(
        "GET",
        "/host/10.0.0.10/creds",
        None,
        200,
        {"address": "10.0.0.10", "ssh_priv_key": KEY, "remote_user": "root"},
    )
    # Facts and a status are taken as they are; what is unknown is ignored.
    facts = {
        "status": "active",
        "os": "fedora",
        "cpus": 4,
        "memory": 11989,
        "space": 487652,
        "last_check": "2016-05-20T15:03:37.730253",
        "source": "",
    }
    admin.says(
        "PUT",
        "/host/10.0.0.9/",
        {**facts, "remote_user": "core", "colour": "blue"},
        201,
        host("10.0.0.9", **facts),
    )
    admin.says(
        "GET",
        "/host/10.0.0.9/creds",
        None,
        200,
        {"address": "10.0.0.9", "ssh_priv_key": "", "remote_user": "core"},
    )
    admin.says("GET", "/host/10.0.0.9/creds/", None, 404)
    odd = {"status": "on fire", "cpus": -1, "last_check": "then", "os": "Ünix\u0000"}
    admin.says("PUT", "/host/odd_1.example-x", odd, 201, host("odd_1.example-x", **odd))
    admin.says("PUT", "/host/fe80::1%25eth0", {}, 201, host("fe80::1%eth0"))
    admin.says("GET", "/host/fe80::1%25eth0", None, 200, host("fe80::1%eth0"))
    admin.says("PUT", "/host", {"address": "10.0.0.11"}, 201, host("10.0.0.11"))
    admin.says("PUT", "/host/", {"address": "10.0.0.11"}, 201, host("10.0.0.11"))
    listed = admin.says("GET", "/hosts/", None, 200)
    check(
        "the order of hosts",
        [one["address"] for one in listed],
        ["10.0.0.9", "10.0.0.10", "10.0.0.11", "fe80::1%eth0", "odd_1.example-x"],
    )
    check("a host in the list", listed[0], host("10.0.0.9", **facts))

    # Once more: the key and the cluster count, and nothing else.
    admin.says(
        "PUT",
        "/host/10.0.0.10",
        {"ssh_priv_key": KEY, "remote_user": "x", "status": "failed"},
        201,
        host("10.0.0.10"),
    )
    admin.says("PUT", "/host/10.0.0.10", {"ssh_priv_key": KEY + "x"}, 409)
    admin.says("PUT", "/host/10.0.0.10", {}, 409)
    admin.says("PUT", "/host/10.0.0.9", {"ssh_priv_key": KEY}, 409)
    check("the user stays", admin.ask("GET", "/host/10.0.0.10/creds").json()["remote_user"], "root")

    # One machine is one host, however it is written.
    for written, address in [
        ("DB1.Example.", "db1.example"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:10.0.0.12", "10.0.0.12"),
    ]:
        admin.says("PUT", f"/host/{written}", {"address": written}, 201, host(address))
        admin.says("GET", f"/host/{address}", None, 200, host(address))
        admin.says("PUT", f"/host/{address}", {"ssh_priv_key": KEY}, 409)
        admin.says("DELETE", f"/host/{written}", None, 200, [])

    # Clusters at once, whatever the status.
    admin.says("PUT", "/host/10.0.0.20", {"cluster": "nowhere"}, 409)
    admin.says("PUT", "/host/10.0.0.20", {"cluster": "no/where"}, 409)
    admin.says("GET", "/host/10.0.0.20", None, 404)
    admin.says("PUT", "/cluster/web", {}, 201)
    admin.says("PUT", "/cluster/db", {}, 201)
    admin.says(
        "PUT",
        "/host/10.0.0.20",
        {"cluster": "web", "status": "failed"},
        201,
        host("10.0.0.20", status="failed"),
    )
    admin.says("GET", "/cluster/web/hosts", None, 200, ["10.0.0.20"])
    admin.says("PUT", "/host/10.0.0.20", {"cluster": "web"}, 201)
    admin.says("PUT", "/host/10.0.0.20", {}, 201)
    admin.says("PUT", "/host/10.0.0.20", {"cluster": ""}, 201)
    admin.says("PUT", "/host/10.0.0.20", {"cluster": None}, 201)
    # Of a host that exists everything else is ignored, from which inventory it is said to come as well.
    known = host("10.0.0.20", status="failed")
    admin.says("PUT", "/host/10.0.0.20", {"source": "vcenter"}, 201, known)
    admin.says("PUT", "/host/10.0.0.20", {"cluster": "db"}, 409)
    admin.says("PUT", "/host/10.0.0.9", {"cluster": "web"}, 409)

    # Half a host never is: wrong types leave nothing behind.
    for wrong in [
        {"cpus": "2"},
        {"cpus": 1.5},
        {"memory": None},
        {"space": []},
        {"status": 1},
        {"os": None},
        {"last_check": 7},
        {"source": {}},
        {"source": None},
        {"source": "vcenter"},
        {"ssh_priv_key": None},
        {"ssh_priv_key": 1},
        {"remote_user": []},
        {"cluster": 7},
        {"cluster": ["web"]},
        {"space": 2**63},
        {"remote_user": "x" * 201},
        {"ssh_priv_key": "x" * (64 * 1024 + 1)},
    ]:
        admin.says("PUT", "/host/10.0.0.30", {"cluster": "web", **wrong}, 400)
    for address in ["", "a b", "é", "http://a", "a/b", None, 7, "-oProxyCommand=x", "x" * 256, *NO_HOSTS]:
        admin.says("PUT", "/host", {"address": address}, 400)
    for address in ["-oProxyCommand", "x" * 256, *NO_HOSTS]:
        address = urllib.parse.quote(address)
        admin.says("PUT", f"/host/{address}", {}, 400)
        admin.says("GET", f"/host/{address}", None, 404)
    admin.says("GET", "/host/10.0.0.30/creds", None, 404)
    admin.says("GET", "/host/10.0.0.30/status", None, 404)
    admin.says("DELETE", "/host/10.0.0.30", None, 404)
    admin.says("GET", "/cluster/web/hosts", None, 200, ["10.0.0.20"])
    admin.says("PUT", "/host/10.0.0.30", {"ssh_priv_key": "x" * (64 * 1024)}, 201)

    # Status.
    check(
        "status",
        admin.says("GET", "/host/10.0.0.9/status", None, 200),
        {
            "type": "host_only",
            "host": {"last_check": facts["last_check"], "status": "active"},
            "container_manager": {},
        },
    )
    admin.says(
        "GET",
        "/host/10.0.0.20/status/",
        None,
        200,
        {"type": "host_only", "host": {"last_check": "", "status": "failed"}, "container_manager": {}},
    )
    admin.says("GET", "/host/no%20address%C3%A9/status", None, 404)

    admin.says("DELETE", "/host/10.0.0.20", {}, 200, [])
    admin.says("DELETE", "/host/10.0.0.20/", None, 404)
    admin.says("GET", "/host/10.0.0.20", None, 404)
    admin.says("GET", "/host/10.0.0.20/creds", None, 404)
    admin.says("GET", "/cluster/web/hosts", None, 200, [])
    admin.says("PUT", "/host/10.0.0.20", {"ssh_priv_key": KEY}, 201, host("10.0.0.20"))

    # Whoever names no address is added under their own.
    admin.says(
        "PUT", "/host", {"ssh_priv_key": KEY, "remote_user": "core", "cluster": "db"}, 201, host("127.0.0.1")
    )
    admin.says("PUT", "/host/", {"ssh_priv_key": KEY}, 201, host("127.0.0.1"))
    admin.says("PUT", "/host", {}, 409)
    admin.says("GET", "/cluster/db/hosts", None, 200, ["127.0.0.1"])
    spoofed = admin.ask("PUT", "/host", {"ssh_priv_key": KEY}, headers={"X-Forwarded-For": "203.0.113.9"})
    check("nobody is believed", spoofed.json()["address"], "127.0.0.1")
    clean(admin)

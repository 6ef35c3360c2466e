"""Sections 2 and 3.1: who asks, which routes there are, what bodies may be."""

import http.client
import ssl
import urllib.parse

from client import check, clean, cluster

ROWS = [
    ("GET", "/hosts", True),
    ("GET", "/host/a", True),
    ("PUT", "/host/a", True),
    ("PUT", "/host", True),
    ("GET", "/host/a/creds", False),
    ("DELETE", "/host/a", True),
    ("GET", "/host/a/status", True),
    ("GET", "/clusters", True),
    ("GET", "/cluster/c", True),
    ("PUT", "/cluster/c", True),
    ("DELETE", "/cluster/c", True),
    ("GET", "/cluster/c/hosts", True),
    ("PUT", "/cluster/c/hosts", True),
    ("GET", "/cluster/c/hosts/a", True),
    ("PUT", "/cluster/c/hosts/a", True),
    ("DELETE", "/cluster/c/hosts/a", True),
    ("GET", "/cluster/c/deploy", False),
    ("PUT", "/cluster/c/deploy", False),
    ("GET", "/cluster/c/upgrade", False),
    ("PUT", "/cluster/c/upgrade", False),
    ("GET", "/cluster/c/restart", False),
    ("PUT", "/cluster/c/restart", False),
    ("GET", "/networks", True),
    ("GET", "/network/n", True),
    ("PUT", "/network/n", True),
    ("DELETE", "/network/n", True),
    ("GET", "/containermanagers", True),
    ("GET", "/containermanager/m", True),
    ("PUT", "/containermanager/m", True),
    ("DELETE", "/containermanager/m", True),
]


def strangers(stranger, near):
    """Who asks comes first: whatever a stranger asks for is 403."""
    paths = [row[:2] for row in ROWS] + [
        ("GET", "/cluster"),
        ("GET", "/secrets"),
        ("GET", "/nowhere"),
        ("GET", ""),
        ("POST", "/host/a"),
        ("OPTIONS", "/hosts"),
        ("BREW", "/hosts"),
        ("PUT", "/host/a b"),
    ]
    for client in stranger, near:
        for method, path in paths:
            client.says(method, path, {} if method == "PUT" else None, 403)
        client.says("PUT", "/host/a", b"{no json", 403)
        answer = client.ask("GET", "/hosts", headers={"Authorization": "Basic YTpi"})
        check("a password nobody knows", answer.status_code, 403)
        check("a challenge", answer.headers.get("www-authenticate"), None)


def routes(admin):
    """A known path with another method is unknown; slashes at the end where they may be."""
    methods = {}
    for method, path, _ in ROWS:
        methods.setdefault(path, set()).add(method)
    for path, known in methods.items():
        for method in {"GET", "PUT", "DELETE", "POST", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"} - known:
            answer = admin.ask(method, path)
            check(f"{method} {path}", (answer.status_code, answer.headers.get("allow")), (404, None))
        if "GET" in known:
            answer = admin.ask("HEAD", path)
            check(f"HEAD {path}", (answer.status_code, answer.text), (404, ""))
    for method, path, slash in ROWS:
        if method != "GET":
            continue
        plain = admin.ask(method, path).status_code
        check(f"GET {path}/", admin.ask(method, f"{path}/").status_code, plain if slash else 404)
        check(f"GET {path}//", admin.ask(method, f"{path}//").status_code, 404)
    for path in [
        "",
        "/",
        "/nowhere",
        "/secrets",
        "/secrets/hosts/a",
        "/host",
        "/hosts/a",
        "/host/a/nothing",
        "/cluster/c/reboot",
        "/cluster/a.b",
        "/cluster/a%20b",
        "/cluster/%C3%A9",
        "/cluster/a%2Fb",
        "/network/a.b",
        "/containermanager/a:b",
        "/host/a%20b",
        "/host/%C3%A9",
        "/host/a@b",
        "/host/a%0Ab",
        "/host/a%00b",
    ]:
        admin.says("GET", path, None, 404)
        admin.says("PUT", path if path != "/host" else "/", {}, 404)
        admin.says("DELETE", path, None, 404)
    admin.says("GET", "/hosts?cluster=c&_method=DELETE", None, 200, [])
    # Decoded before it is looked at; a slash too many in front is forgiven.
    check("%68osts", admin.ask("GET", "/%68osts").json(), [])
    root = urllib.parse.urlsplit(admin.url)
    for path in ["//api/v0/hosts", "/%61pi/v0/hosts", "/api%2Fv0/hosts"]:
        answer = admin.session.get(f"{root.scheme}://{root.netloc}{path}", timeout=30)
        check(path, (answer.status_code, answer.text), (200, "[]"))


def bodies(admin):
    """2.4: an object in JSON or nothing, whatever it is said to be; 2.1: problems for those who name JSON."""
    bad = [
        b"{",
        b" ",
        b"nonsense",
        b"a=b",
        b"\xff\xfe",
        b'"text"',
        b"null",
        b"7",
        b"true",
        b"[1]",
        b'[["address", "x"]]',
        b"{}{}",
        b'{"cpus": NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ]
    for path in ["/host/bad", "/host", "/cluster/bad", "/network/bad", "/containermanager/bad"]:
        for body in bad:
            admin.says("PUT", path, body, 400)
    admin.says("PUT", "/cluster/good", {}, 201)
    for path in [
        "/cluster/good/hosts",
        "/cluster/good/deploy",
        "/cluster/good/upgrade",
        "/cluster/good/restart",
        "/cluster/good/hosts/a",
    ]:
        for body in bad:
            admin.says("PUT", path, body, 400)
    admin.says("GET", "/cluster/good/upgrade", None, 404)
    for kind in ["application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-16", None]:
        answer = admin.ask("PUT", "/network/typed", b'{"options": {"a": 1}}', headers={"Content-Type": kind})
        check(f"content type {kind}", answer.status_code, 201)
    for body in [b"[]", b"", b"{}", b' {"unknown": null} ']:
        admin.says("PUT", "/cluster/good", body, 201)
    chunks = admin.ask("PUT", "/network/chunked", None, data=iter([b'{"options": ', b'{"a": 2}}']))
    check("chunks", (chunks.status_code, chunks.json()["options"]), (201, {"a": 2}))
    # A body where none is wanted is read, and means nothing.
    admin.says("DELETE", "/network/chunked", b"{no json", 200, [])
    admin.says("GET", "/hosts", b"{no json", 200, [])

    # The path wins.
    for path, member in [
        ("/host/one", "address"),
        ("/cluster/one", "name"),
        ("/network/one", "name"),
        ("/containermanager/one", "name"),
    ]:
        for other in ["two", None, 7, ["one"]]:
            admin.says("PUT", path, {member: other}, 400)
            admin.says("GET", path, None, 404)
        admin.says("PUT", path, {member: "one", "host": "two"}, 201)
        admin.says("DELETE", f"{path}?{member}=good", None, 200, [])
    admin.says("GET", "/clusters", None, 200, ["good"])

    for accept, kind in [
        ("application/json", "application/problem+json"),
        ("text/html, application/problem+json;q=0.1", "application/problem+json"),
        ("application/json;q=0", "text/html"),
        ("*/*", "text/html"),
        ("application/*", "text/html"),
    ]:
        answer = admin.ask("GET", "/host/nobody", headers={"Accept": accept})
        check(f"Accept: {accept}", (answer.status_code, answer.headers["content-type"]), (404, kind))
    problem = admin.ask("PUT", "/host/nobody", b"[1]", headers={"Accept": "application/json"}).json()
    check(
        "a problem",
        problem,
        {
            "type": "about:blank",
            "title": "Bad Request",
            "status": 400,
            "detail": "the body is not a JSON object",
        },
    )
    admin.says("DELETE", "/network/typed", None, 200, [])
    admin.says("DELETE", "/cluster/good", None, 200, [])


def old_clients(admin, certificate, ca):
    """2.1: HTTP/1.0 is answered in kind."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate)
    url = urllib.parse.urlsplit(admin.url)
    connection = http.client.HTTPSConnection(url.netloc, context=context, timeout=30)
    connection._http_vsn, connection._http_vsn_str = 10, "HTTP/1.0"
    connection.request("GET", f"{url.path}/hosts")
    answer = connection.getresponse()
    check("HTTP/1.0", (answer.version, answer.status, answer.read()), (10, 200, b"[]"))


def enormous(admin):
    """Ten mebibytes are read, and not one byte more."""
    limit = 10 * 1024 * 1024
    admin.says("PUT", "/cluster/web", {}, 201)
    padded = b'{"old": [], "new": []' + b" " * (limit - 22) + b"}"
    admin.says("PUT", "/cluster/web/hosts", padded, 200, cluster("web", hostset=[]))
    admin.says("PUT", "/cluster/web/hosts", padded + b" ", 413)
    answer = admin.ask("PUT", "/cluster/web/hosts", None, data=iter([padded, b" "]))
    check("in chunks", answer.status_code, 413)
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(200_000)]
    admin.says("PUT", "/cluster/web/hosts", {"old": many, "new": many}, 409)
    admin.says("PUT", "/cluster/web/hosts", {"old": [], "new": many}, 404)
    admin.says("GET", "/cluster/web/hosts", None, 200, [])
    clean(admin)

"""A client of the fleet's interface, and the checks of what it is answered."""

import json
import re
import urllib.parse

import requests

REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Payload Too Large",
    502: "Bad Gateway",
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")


class Score:
    """How many checks held, and in which section we are."""

    held = failed = 0
    section = ""


def check(what, found, expected):
    if found == expected:
        Score.held += 1
    else:
        Score.failed += 1
        print(f"{Score.section}: {what}: {found!r}, not {expected!r}")


class Client:
    def __init__(self, url, administrator=None, ca=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca or False
        self.session.cert = administrator

    def ask(self, method, path, body=None, **rest):
        if body is not None:
            rest["data"] = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.session.request(method, self.url + path, timeout=30, allow_redirects=False, **rest)

    def says(self, method, path, body, status, document=None):
        """The answer has this status and, if it is a good one, exactly this document."""
        answer = self.ask(method, path, body)
        what = f"{method} {path} {'' if body is None else body!r:.100}"
        check(what, answer.status_code, status)
        if answer.status_code >= 400:
            check(f"{what}: type", answer.headers["content-type"], "text/html")
            check(f"{what}: reason", answer.text, REASONS.get(answer.status_code))
            return None
        check(f"{what}: type", answer.headers["content-type"], "application/json")
        check(f"{what}: length", int(answer.headers["content-length"]), len(answer.content))
        if document is not None:
            check(what, answer.json(), document)
        return answer.json()


def host(address, **members):
    facts = {"status": "", "os": "", "cpus": 0, "memory": 0, "space": 0, "last_check": "", "source": ""}
    return {"address": address, **facts, **members}


def cluster(name, network="default", manager="", **members):
    return {"name": name, "status": "", "network": network, "container_manager": manager, **members}


def counts(total, available):
    return {"total": total, "available": available, "unavailable": total - available}


def clean(admin):
    """Deletes everything but the network `default`."""
    for one in admin.ask("GET", "/hosts").json():
        admin.says("DELETE", "/host/" + urllib.parse.quote(one["address"], safe=":"), None, 200, [])
    for kind in ["cluster", "containermanager"]:
        for name in admin.ask("GET", f"/{kind}s").json():
            admin.says("DELETE", f"/{kind}/{name}", {}, 200, [])
    for name in admin.ask("GET", "/networks").json():
        if name != "default":
            admin.says("DELETE", f"/network/{name}", {}, 200, [])

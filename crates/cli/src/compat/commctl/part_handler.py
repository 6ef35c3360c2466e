#part-handler
"""Registers this machine as a host, with nothing but Python's own library and OpenSSH's ssh-keygen.

cloud-init calls handle_part() with the JSON that `commctl user-data` made:

    endpoint              where to register
    username, password    as whom (optional)
    cluster               which cluster to join (optional)
    remote_user           who the server signs in as; is made, with sudo, where missing
    ssh_key_path          the private key for that; is made where missing
    authorized_keys_path  where its public half goes
    ca_certificates       whom to trust for the server's certificate, PEM (optional)
"""

import base64
import http.client
import json
import logging
import os
import pwd
import re
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request

handler_version = 2

CONTENT_TYPE = "text/x-commissaire-host"
SUDOERS_FOLDER = "/etc/sudoers.d"

# How often the server is asked before it is given up, in seconds before each attempt.
PAUSES = (0, 1, 2, 4, 8, 16, 30)
ANSWER_WITHIN = 30
# The longest time in seconds that the server may ask for before the next attempt.
LONGEST_WAIT = 300
# The longest answer in bytes that a reason is looked for in.
LONGEST_REASON = 65536

LOG = logging.getLogger("cloudinit.commissaire")


def list_types():
    return [CONTENT_TYPE]


def handle_part(data, ctype, filename, payload, frequency):
    # cloud-init also announces the beginning and the end, with types of its own.
    if ctype == CONTENT_TYPE:
        register(json.loads(payload))


def register(wanted):
    user = ensure_user(wanted["remote_user"])
    key_path = os.path.expanduser(wanted["ssh_key_path"])
    authorized_keys_path = os.path.expanduser(wanted["authorized_keys_path"])
    ensure_key(key_path, user)
    authorize(public_key(key_path), authorized_keys_path, user)
    with open(key_path, "rb") as key:
        body = {"remote_user": user.pw_name, "ssh_priv_key": base64.b64encode(key.read()).decode("ascii")}
    if wanted.get("cluster"):
        body["cluster"] = wanted["cluster"]
    put(wanted, body)
    LOG.info("registered with %s", wanted["endpoint"])


def ensure_user(name):
    # It becomes part of a file name and of a rule for sudo.
    if not re.match(r"[A-Za-z_][A-Za-z0-9_.-]*\Z", name):
        raise ValueError("%r is not the name of a user" % name)
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        # No password fits, yet the account is not locked: sshd would turn away even its key.
        run("useradd", "--create-home", "--password", "*", name)
        user = pwd.getpwnam(name)
    if user.pw_uid != 0:
        # sudo does not read files with a dot in their names.
        path = os.path.join(SUDOERS_FOLDER, "commissaire-" + name.replace(".", "_"))
        os.makedirs(SUDOERS_FOLDER, mode=0o750, exist_ok=True)
        descriptor = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o440)
        with os.fdopen(descriptor, "w") as rule:
            rule.write("%s ALL=(ALL) NOPASSWD:ALL\n" % name)
        os.rename(path + ".new", path)
        relabel(path)
    return user


def ensure_key(path, user):
    if not os.path.exists(path):
        ensure_folder(os.path.dirname(path), user)
        run("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", path)
        for made in (path, path + ".pub"):
            give(made, user)


def public_key(path):
    # From the private key: a file beside it may be missing, or be that of another.
    return run("ssh-keygen", "-y", "-P", "", "-f", path).decode("utf-8").strip()


def authorize(line, path, user):
    ensure_folder(os.path.dirname(path), user)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "rb+") as keys:
        known = keys.read()
        # Without the comment at the end, by which nothing is recognised.
        if not any(b" ".join(line.encode("utf-8").split()[:2]) in other for other in known.splitlines()):
            gap = b"" if known.endswith(b"\n") or not known else b"\n"
            keys.write(gap + line.encode("utf-8") + b"\n")
    give(path, user)


def ensure_folder(path, user):
    if path and not os.path.isdir(path):
        os.makedirs(path, mode=0o700)
        give(path, user)


def give(path, user):
    # What lies outside the user's home stays with root, as the folder around it does.
    home = os.path.realpath(user.pw_dir)
    if os.path.commonpath([home, os.path.realpath(path)]) == home and os.stat(path).st_uid != user.pw_uid:
        os.chown(path, user.pw_uid, user.pw_gid)
    relabel(path)


def relabel(path):
    if shutil.which("restorecon"):
        subprocess.call(["restorecon", path])


def run(*words):
    return subprocess.check_output(words, stdin=subprocess.DEVNULL)


def seconds(retry_after):
    # It may also be a date, which is not worth reading.
    return min(int(retry_after), LONGEST_WAIT) if re.match(r"[0-9]{1,9}\Z", retry_after or "") else 0


def reason(answer):
    """What the server says besides the status, if it says something."""
    try:
        said = json.loads(answer.read(LONGEST_REASON).decode("utf-8"))
        words = said.get("detail") or said.get("error") or said.get("title")
        return ": " + " ".join(words.split()) if words else ""
    except (OSError, ValueError, AttributeError, http.client.HTTPException):
        return ""


def put(wanted, body):
    url = wanted["endpoint"].rstrip("/") + "/api/v0/host"
    request = urllib.request.Request(url, data=json.dumps(body).encode("utf-8"), method="PUT")
    request.add_header("Content-Type", "application/json")
    # Whoever does not ask for JSON is told the status of a refusal and not its reason.
    request.add_header("Accept", "application/json")
    if wanted.get("username") and wanted.get("password"):
        pair = "%s:%s" % (wanted["username"], wanted["password"])
        encoded = base64.b64encode(pair.encode("utf-8")).decode("ascii")
        # Not for a server that this one may point to.
        request.add_unredirected_header("Authorization", "Basic " + encoded)
    context = ssl.create_default_context(cadata=wanted.get("ca_certificates") or None)
    problem, wait = None, 0
    for pause in PAUSES:
        time.sleep(max(pause, wait))
        wait = 0
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_WITHIN, context=context):
                return
        except urllib.error.HTTPError as error:
            problem = "it answered %d%s" % (error.code, reason(error))
            retry_after = error.headers.get("Retry-After")
            # Many machines may start at once, and the server be slow to let them in: then it says when to come back.
            if error.code < 500 and error.code != 429 and retry_after is None:
                break
            wait = seconds(retry_after)
        except (OSError, ValueError) as error:
            problem = str(error)
        LOG.warning("%s did not register this machine: %s", url, problem)
    raise RuntimeError("%s did not register this machine: %s" % (url, problem))

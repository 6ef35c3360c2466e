"""Juju's hook commands, as far as charms of certificate_transfer use them: asked for by a script under each of their names
(certificate_transfer contract, sections 8.4 to 8.6). What they see and write is a JSON file; whoever runs the hook keeps
it when the hook ended well, and else throws it away."""
import glob
import json
import os
import re
import socketserver
import sys

# The machine's own programs, which are only looked at as they are called.
MACHINE = {"update-ca-certificates"}
WITH_VALUE = {"-r", "-o", "--output", "--format", "--file", "--application", "--log-level", "-l"}


class Ended(Exception):
    """A command that ends early, with its exit status."""


def arguments(rest):
    options, positional = {}, []
    while rest:
        one = rest.pop(0)
        if one == "--":
            positional += rest
            break
        if one == "-" or not one.startswith("-"):
            positional.append(one)
        elif one.startswith("--") and "=" in one:
            name, _, value = one.partition("=")
            options[name] = value
        elif one in WITH_VALUE:
            if not rest:
                raise Ended(f"option needs an argument: {one}", 2)
            options[one] = rest.pop(0)
        elif one.startswith("-r"):
            options["-r"] = one[2:]
        elif one in ("--app", "--strict", "--include-data"):
            options[one] = "true"
        else:
            raise Ended(f"option provided but not defined: {one}", 2)
    return options, positional


def call(tool, variables, given_input, words):
    """What the command prints. Raises `Ended` where it fails."""
    out = []
    unit = variables["JUJU_UNIT_NAME"]
    application = unit.split("/")[0]

    def fail(text, code=1):
        raise Ended(text, code)

    options, positional = arguments(words)
    with open(variables["MODEL"]) as file:
        model = json.load(file)

    def show(value):
        if options.get("--format", "smart") == "json":
            text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
            for mark in "<>&":
                text = text.replace(mark, f"\\u00{ord(mark):02x}")
            out.append(text + "\n")
        elif value is not None:
            out.append(f"{value}\n")

    def keep():
        with open(variables["MODEL"], "w") as file:
            json.dump(model, file)

    def read_input():
        if options.get("--file") != "-":
            fail("a file is expected", 2)
        text = given_input
        # It is read as YAML, which knows no pairs of surrogates, and refuses some characters.
        if re.search(r"[\x7f-\x84\x86-\x9f]|\\ud[89a-f]", text, re.IGNORECASE) and not re.search(r"\\\\ud", text):
            fail("yaml: control characters are not allowed")
        try:
            given = json.loads(text)
        except ValueError:
            # Python's charms write it as YAML, which takes long to load.
            sys.path += glob.glob(os.path.join(os.path.dirname(sys.executable), "../lib/python3*/site-packages"))
            import yaml

            try:
                given = yaml.safe_load(text)
            except yaml.YAMLError as error:
                fail(f"yaml: {error}".replace("\n", " "))
        if not isinstance(given, dict) or not all(isinstance(one, str) for pair in given.items() for one in pair):
            fail("expected a map of texts")
        return given

    def relation():
        told = options.get("-r") or variables.get("JUJU_RELATION_ID", "")
        number = told.rsplit(":", 1)[-1]
        found = model["relations"].get(number)
        if found is None or application not in found["ends"]:
            fail(f'invalid value "{told}" for option -r: relation not found', 2)
        return found

    def other_end(found):
        return next(name for name in found["ends"] if name != application)

    def leads():
        return model["leaders"].get(application) == unit

    def write(bag, given):
        for key, text in given.items():
            if text == "":
                bag.pop(key, None)
            else:
                bag[key] = text


    if tool == "relation-ids":
        endpoint = positional[0] if positional else variables.get("JUJU_RELATION", "")
        ids = [
            f"{endpoint}:{number}"
            for number, found in model["relations"].items()
            if found["ends"].get(application) == endpoint and (not found["broken"] or model["lists_broken"])
        ]
        show(sorted(ids))
    elif tool == "relation-list":
        found = relation()
        if options.get("--app") == "true":
            show(other_end(found))
        else:
            show(sorted(found["joined"].get(unit, [])))
    elif tool == "relation-get":
        found = relation()
        key = positional[0] if positional else "-"
        owner = positional[1] if len(positional) > 1 else variables.get("JUJU_REMOTE_UNIT") or other_end(found)
        if owner == application and not leads():
            fail("permission denied")
        if owner.startswith(application + "/") and owner != unit:
            fail("permission denied")
        bag = found["bags"].get(owner, {})
        show(bag if key == "-" else bag.get(key))
    elif tool == "relation-set":
        found = relation()
        owner = application if options.get("--app") == "true" else unit
        if owner == application and not leads():
            fail("cannot write relation settings")
        write(found["bags"].setdefault(owner, {}), read_input())
        keep()
    elif tool == "is-leader":
        show(leads())
    elif tool == "config-get":
        config = model["config"].get(application, {})
        show(config.get(positional[0]) if positional else config)
    elif tool == "state-get":
        state = model["state"].get(unit, {})
        show(state.get(positional[0], "") if positional else state)
    elif tool == "state-set":
        write(model["state"].setdefault(unit, {}), read_input())
        keep()
    elif tool == "state-delete":
        model["state"].get(unit, {}).pop(positional[0], None)
        keep()
    elif tool == "action-get":
        show(model["parameters"])
    elif tool == "action-set":
        for pair in positional:
            name, _, value = pair.partition("=")
            model["results"][name] = value
        keep()
    elif tool == "action-fail":
        model["failed"] = " ".join(positional)
        keep()
    elif tool == "juju-log":
        level = options.get("--log-level") or options.get("-l") or "INFO"
        with open(variables["LOG"], "a") as log:
            log.write(json.dumps([unit, level, " ".join(positional)]) + "\n")
    elif tool == "status-set":
        if positional[0] not in ("active", "waiting", "blocked", "maintenance"):
            fail(f'invalid status "{positional[0]}"')
        model["status"][unit] = positional
        keep()
    elif tool == "status-get":
        status, message = (model["status"].get(unit, ["unknown"]) + [""])[:2]
        show({"status": status, "message": message, "status-data": {}})
    elif tool == "application-version-set":
        pass
    else:
        fail(f"there is no {tool} here", 2)
    return "".join(out)


calls = {}


def interruption(fault, log):
    """What becomes of this call instead, if it is the one that a fault is about: `NUMBER:WHAT:WHICH`, a number of its own for
    each hook, what happens, and to which call, from 1 on."""
    if not fault:
        return None
    calls[fault] = calls.get(fault, 0) + 1
    _, what, which = fault.split(":")
    if calls[fault] != int(which):
        return None
    with open(log + ".interrupted", "w"):
        pass
    if what == "kill":
        return "kill", "", ""
    return "1", "ERROR connection is shut down\n", ""


class Handler(socketserver.StreamRequestHandler):
    """One command: its name, its variables, its input and its words come, each with a NUL behind it."""

    def handle(self):
        data = b""
        fields = []
        while len(fields) < 9 or len(fields) < 9 + int(fields[8]):
            piece = self.request.recv(65536)
            if not piece:
                return
            data += piece
            fields = data.decode().split("\0")[:-1]
        names = ["JUJU_UNIT_NAME", "JUJU_RELATION_ID", "JUJU_REMOTE_UNIT", "MODEL", "LOG"]
        tool = os.path.basename(fields[0])
        try:
            answer = interruption(fields[6], fields[5])
            if answer is None and tool in MACHINE:
                answer = ("run", "", "")
            elif answer is None:
                answer = ("0", "", call(tool, dict(zip(names, fields[1:6])), fields[7], fields[9:]))
        except Ended as ended:
            text, code = ended.args
            answer = (str(code), f"ERROR {text}\n", "")
        # What it prints goes on to the end, which a shell reads best.
        self.wfile.write("\0".join(answer).encode())


if __name__ == "__main__":
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()

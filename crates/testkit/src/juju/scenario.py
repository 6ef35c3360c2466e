"""Charms on the reference library of certificate_transfer, run by `ops-scenario` in this one process: databags and events come
in, a JSON object on a line for each case, and what the library makes of them goes out, a JSON object on a line for each.

    {"side": "provider", "leader": true, "app": {}, "unit": {}, "steps": [{"requirer": {}, "call": ["add", ["a"]]}]}
    -> {"steps": [{"app": {}, "unit": {}, "errors": 0}]}

    {"side": "requirer", "leader": true, "steps": [{"event": "changed", "app": {}, "units": [{}]}]}
    -> {"steps": [{"certificates": [], "ready": true, "events": [], "errors": 0, "announced": {}}]}

What a step leaves is what the next one finds, as in a unit that lives on. `errors` are the library's own lines at ERROR, of a
requirer those that it writes when it is asked for the certificates."""
import dataclasses
import json
import logging
import os
import sys

os.environ["SCENARIO_SKIP_CONSISTENCY_CHECKS"] = "1"

import ops
from charmlibs.interfaces import certificate_transfer as transfer
from ops import testing

NUMBER = 3
step = {}
answer = {}


class Errors(logging.Handler):
    """Counts what the library says at ERROR."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record):
        if record.name.startswith("charmlibs."):
            self.count += 1


errors = Errors()


class Provider(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.trust = transfer.CertificateTransferProvides(self, "send")
        framework.observe(self.on["send"].relation_changed, self._act)

    def _act(self, event):
        what, given = step["call"]
        before = errors.count
        if what == "add":
            self.trust.add_certificates(set(given))
        elif what == "remove":
            self.trust.remove_certificate(given)
        else:
            self.trust.remove_all_certificates()
        answer["errors"] = errors.count - before


class Requirer(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        # Before the library's own handlers, so that what they log is not counted.
        framework.observe(self.on["receive"].relation_changed, self._look)
        self.trust = transfer.CertificateTransferRequires(self, "receive")
        framework.observe(self.trust.on.certificate_set_updated, self._updated)
        framework.observe(self.trust.on.certificates_removed, self._removed)

    def _look(self, event):
        before = errors.count
        answer["certificates"] = sorted(self.trust.get_all_certificates(NUMBER))
        answer["errors"] = errors.count - before
        assert self.trust.get_all_certificates_by_relation() == {NUMBER: answer["certificates"]}
        answer["ready"] = self.trust.is_ready(event.relation)

    def _updated(self, event):
        answer["events"].append(["certificate_set_updated", event.relation_id, sorted(event.certificates)])

    def _removed(self, event):
        answer["events"].append(["certificates_removed", event.relation_id])


CONTEXTS = {
    "provider": testing.Context(
        Provider, meta={"name": "provider", "provides": {"send": {"interface": "certificate_transfer"}}}
    ),
    "requirer": testing.Context(
        Requirer, meta={"name": "requirer", "requires": {"receive": {"interface": "certificate_transfer"}}}
    ),
}


def run(case):
    """All steps of a case, and what came of each."""
    side, context = case["side"], CONTEXTS[case["side"]]
    steps = []
    relation = testing.Relation(
        "send" if side == "provider" else "receive",
        id=NUMBER,
        remote_app_name="other",
        local_app_data=case.get("app", {}),
        local_unit_data=case.get("unit", {}),
    )
    state = testing.State(leader=case["leader"], relations=[relation])
    for one in case["steps"]:
        step.clear()
        step.update(one)
        answer.clear()
        relation = state.get_relation(NUMBER)
        if side == "provider":
            relation = dataclasses.replace(relation, remote_app_data=one["requirer"], remote_units_data={0: {}})
        else:
            answer.update({"events": [], "certificates": None, "ready": None, "errors": 0})
            units = dict(enumerate(one["units"]))
            relation = dataclasses.replace(relation, remote_app_data=one["app"], remote_units_data=units)
        state = dataclasses.replace(state, relations=[relation])
        events, event = context.on, one.get("event", "changed")
        if event == "changed":
            # One has to be named, also where only the application wrote and none has joined.
            event = events.relation_changed(relation, remote_unit=0)
        elif event == "created":
            event = events.relation_created(relation)
        else:
            event = events.relation_broken(relation)
        state = context.run(event, state)
        left = state.get_relation(NUMBER)
        if side == "provider":
            answer.update({"app": left.local_app_data, "unit": left.local_unit_data})
        else:
            answer["announced"] = left.local_app_data
        steps.append(dict(answer))
    return {"steps": steps}


if __name__ == "__main__":
    logging.getLogger("charmlibs").addHandler(errors)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)

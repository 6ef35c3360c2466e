"""Tells Provost what came of each task: one JSON object a line on standard output, each with a mark in front of it.

    {"event": "ok" | "skipped", "host": …, "task": …, "tags": […]}
    {"event": "failed" | "unreachable", "host": …, "task": …, "tags": […], "rc": …, "msg": …, "stdout": …, "stderr": …}
    {"event": "end", "results": {host: {name: value}}}        what `set_stats` with `per_host` was given

Texts are cut to their last characters, and what a task with `no_log` says is left out.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: provost
type: stdout
short_description: one JSON object for each result
description:
  - Tells the program that runs a playbook what came of it.
"""

MARK = "provost-result "
TEXT_CHARACTERS_MAX = 8192


def last(value):
    return value[-TEXT_CHARACTERS_MAX:] if isinstance(value, str) else ""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "provost"

    def _tell(self, told):
        # ASCII, whatever hosts say: what is no character is escaped as well.
        try:
            sys.stdout.write(MARK + json.dumps(told, default=str) + "\n")
            sys.stdout.flush()
        except OSError:
            # Nobody listens any more: whoever began this is gone, and begins anew.
            os.kill(os.getpid(), signal.SIGTERM)

    def _event(self, event, result):
        # Before ansible-core 2.19 these had an underscore only.
        host = getattr(result, "host", None) or result._host
        task = getattr(result, "task", None) or result._task
        told = {"event": event, "host": host.get_name(), "task": task.get_name().strip(), "tags": list(task.tags)}
        if event in ("failed", "unreachable"):
            said = getattr(result, "result", None) or result._result
            # Of a loop, the first item that failed.
            items = said.get("results")
            if isinstance(items, list):
                said = next((item for item in items if item.get("failed") or item.get("unreachable")), said)
            rc = said.get("rc")
            told["rc"] = rc if isinstance(rc, int) and not isinstance(rc, bool) else None
            told["msg"] = last(said.get("msg"))
            told["stdout"] = last(said.get("stdout") or said.get("module_stdout"))
            told["stderr"] = last(said.get("stderr") or said.get("module_stderr"))
        self._tell(told)

    def v2_runner_on_ok(self, result):
        self._event("ok", result)

    def v2_runner_on_skipped(self, result):
        self._event("skipped", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._event("ok" if ignore_errors else "failed", result)

    def v2_runner_on_unreachable(self, result):
        self._event("unreachable", result)

    def v2_playbook_on_stats(self, stats):
        custom = getattr(stats, "custom", {})
        results = {host: values for host, values in custom.items() if host != "_run"}
        self._tell({"event": "end", "results": results})

"""Ansible callback: writes what happens as JSON lines to the file named by ``MESHWRIGHT_EVENTS``.

One line for each task that begins, one for its result on each host, and a last one with the statistics.
Results are reduced to what a person asks for:
never the module's arguments, so nothing secret can pass.
"""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: meshwright_events
type: notification
short_description: Events as JSON lines
description: Writes one JSON object for each result to the file named by MESHWRIGHT_EVENTS.
"""


class CallbackModule(CallbackBase):
    """See the module's docstring."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "meshwright_events"

    def __init__(self):
        super().__init__()
        self._started = {}
        path = os.environ.get("MESHWRIGHT_EVENTS")
        self._file = open(path, "a", buffering=1) if path else None  # noqa: SIM115 (open for the whole run)

    def _write(self, **event):
        if self._file is not None:
            self._file.write(json.dumps(event) + "\n")

    def _result(self, result, status):
        task = result._task
        shown = result._result
        began = self._started.get(task._uuid, time.monotonic())
        event = {
            "event": "result",
            "host": result._host.get_name(),
            "task": task.get_name().strip(),
            "status": status,
            "changed": bool(shown.get("changed")),
            "seconds": round(time.monotonic() - began, 1),
        }
        if status in ("failed", "unreachable", "ignored"):
            event["message"] = "hidden, the task handles secrets" if task.no_log else self._message(shown)
        self._write(**event)

    @staticmethod
    def _message(shown):
        parts = [str(shown.get(key, "")).strip() for key in ("msg", "stderr")]
        failed = [str(item.get("msg", "")) for item in shown.get("results", []) if item.get("failed")]
        return " ".join(part for part in [*parts, *failed] if part)[:2000]

    def _begin(self, task):
        self._started[task._uuid] = time.monotonic()
        self._write(event="task", task=task.get_name().strip())

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._begin(task)

    def v2_runner_on_ok(self, result):
        self._result(result, "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._result(result, "ignored" if result._task.ignore_unreachable else "unreachable")

    def v2_playbook_on_stats(self, stats):
        self._write(event="stats", hosts={host: stats.summarize(host) for host in stats.processed})

"""What operators read: what stands in the way, what would be done, how far it is, how a cluster does. Pure."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from stacks.playbooks import Event, Outcome

QUIET_SECONDS = 15.0
"""After which a line says that a task goes on."""


def table(rows: Sequence[Sequence[str]], heading: Sequence[str]) -> str:
    """Columns, as wide as what is in them."""
    widths = [max(len(row[column]) for row in (heading, *rows)) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heading, *rows)
    )


def problems(report: Mapping[str, Any], away: Iterable[str] = ()) -> list[dict[str, str]]:
    """What stands in the way; machines that may be out of reach stand in nobody's."""
    skipped = set(away)
    return [one for one in report["problems"] if one["host"] not in skipped]


def problem_table(found: Sequence[Mapping[str, str]]) -> str:
    """For people: machine, what, mend."""
    return table([(one["host"], one["what"], one["mend"]) for one in found], ("MACHINE", "WHAT", "MEND"))


def plan(outcome: Outcome) -> list[str]:
    """What a run would do, task by task in its order, each with its machines."""
    machines: dict[str, list[str]] = {}
    for change in outcome.changes:
        machine, _, task = change.partition(": ")
        machines.setdefault(task, []).append(machine)
    return [f"{task.rpartition(' : ')[2]}: {', '.join(dict.fromkeys(names))}" for task, names in machines.items()]


def status(report: Mapping[str, Any]) -> str:
    """How a cluster does: its nodes, then the machines of its control plane."""
    control: Mapping[str, Mapping[str, Any]] = report["control"]
    seen = next((one for one in control.values() if one.get("answers")), {})
    nodes = [
        (
            node["name"],
            "control plane" if node["control"] else "worker",
            node["version"],
            "ready" if node["ready"] else "not ready",
            "" if node["schedulable"] else "takes no pods",
        )
        for node in seen.get("nodes", ())
    ]
    members = seen.get("members", {})
    planes = [
        (
            name,
            "answers" if one.get("answers") else "does not answer",
            {True: "answers", False: "does not answer"}.get(members.get(name), "no member"),
            "holds the address" if one.get("holds") else "",
            _ends(one.get("certificate") or {}),
        )
        for name, one in control.items()
    ]
    parts = [f"cluster {report['cluster']} at {report['endpoint']}"]
    parts += [table(nodes, ("MACHINE", "PART", "VERSION", "STATE", ""))] if nodes else ["no API server answers"]
    parts.append(table(planes, ("CONTROL PLANE", "API", "ETCD", "", "FIRST CERTIFICATE TO END")))
    return "\n\n".join(parts)


def _ends(certificate: Mapping[str, Any]) -> str:
    return f"{certificate['name']} in {certificate['days']} days" if certificate else ""


def healthy(report: Mapping[str, Any]) -> bool:
    """Whether every machine of the control plane answers and has a member that does, and every node is ready."""
    control = report["control"].values()
    nodes = [node for one in control for node in one.get("nodes", ())]
    members = [answers for one in control for answers in one.get("members", {}).values()]
    return all([*(bool(one.get("answers")) for one in control), *(node["ready"] for node in nodes), *members])


class Progress:
    """Says what was done on which machine and how long it took, and now and then what goes on."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._task, self._began, self._said = "", clock(), clock()

    def hear(self, event: Event) -> None:
        """Take in an event of a run."""
        now = self._clock()
        if event["event"] == "task":
            self._task, self._began, self._said = event["task"], now, now
        elif event["event"] == "result" and (event["changed"] or event["status"] not in ("ok", "ignored")):
            self._said = now
            task = event["task"].rpartition(" : ")[2]
            failed = f"{event['status']}, " if event["status"] != "ok" else ""
            self._say(f"{event['host']}: {task} ({failed}{event['seconds']:.0f} s)")
        elif self._task and now - self._said >= QUIET_SECONDS:
            self._said = now
            self._say(f"... {self._task.rpartition(' : ')[2]} ({now - self._began:.0f} s)")

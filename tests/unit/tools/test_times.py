"""Where the time of an update went, of the engine's events."""

import json
from typing import Any

from meshwright_tools import times


def event(at: int, **content: Any) -> str:
    return json.dumps({"sequence": 0, "timestamp": at, **content})


def urn(kinds: str, name: str) -> str:
    return f"urn:pulumi:local::meshwright::{kinds}::{name}"


def operation(at: int, seconds: int, name: str, op: str = "create") -> list[str]:
    metadata = {"op": op, "urn": name}
    return [
        event(at, resourcePreEvent={"metadata": metadata}),
        event(at + seconds, resOutputsEvent={"metadata": metadata}),
    ]


MACHINE = urn("meshwright:index:Machines$pulumi-python:dynamic/machine:Machine", "node1")
DEPLOYMENT = urn("meshwright:index:Cluster$kubernetes:apps/v1:Deployment", "Deployment default/store")


def test_operations_are_told_in_the_order_in_which_they_began() -> None:
    lines = [event(100, preludeEvent={}), *operation(130, 20, DEPLOYMENT), *operation(101, 9, MACHINE), event(160)]
    spent, whole = times.read(lines)
    assert [(item.name, item.began, item.seconds) for item in spent] == [
        ("Machine node1", 1, 9),
        ("Deployment default/store", 30, 20),
    ]
    assert whole == 60


def test_what_took_no_time_is_not_told() -> None:
    spent, whole = times.read([*operation(1, 0, DEPLOYMENT), *operation(1, 7, MACHINE)])
    told = times.table(spent, whole)
    assert told == "==> Where the 7 s went:\n        7 s  at    0 s  Machine node1"
    assert times.table(spent[:1], 0) == ""


def test_the_longest_are_told() -> None:
    lines = [line for n in range(30) for line in operation(n, n, urn("a:b:C", f"n{n}"))]
    told = times.table(*times.read(lines))
    assert told.count("\n") == times.MOST
    assert "C n29" in told
    assert "C n3\n" not in told


def test_lines_that_are_no_events_are_passed_over() -> None:
    assert times.read(["", "{", "[]", "{}", event(5), '{"timestamp": "x"}']) == ([], 0)


def test_an_operation_that_never_ended_is_not_told() -> None:
    first, _ = operation(1, 1, MACHINE)
    assert times.read([first, event(9)]) == ([], 8)


def test_nothing_is_told_twice() -> None:
    stack, hosts = urn("pulumi:pulumi:Stack", "meshwright-local"), "meshwright:index:Hosts"
    inner = urn(f"{hosts}$pulumi-python:dynamic:Resource", "hosts")
    lines = [line for name in (stack, urn(hosts, "hosts"), inner, MACHINE) for line in operation(1, 9, name)]
    spent, _ = times.read(lines)
    assert [item.name for item in spent] == ["Hosts hosts", "Machine node1"]

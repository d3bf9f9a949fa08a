"""Where the time of an update went, of the events that Pulumi's engine writes down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

LEAST = 1
"""Seconds below which a resource is not told."""
MOST = 12
"""How many resources are told."""


class Spent(NamedTuple):
    """What an operation on a resource took; ``began`` is in seconds since the update's first event."""

    name: str
    operation: str
    began: int
    seconds: int


def read(lines: Iterable[str]) -> tuple[list[Spent], int]:
    """The operations in the order in which they began, and the seconds of the whole. Lines that are no events are passed
    over: the engine may have been killed while it wrote one."""
    begun: dict[str, int] = {}
    spent: list[Spent] = []
    first = last = None
    for line in lines:
        try:
            event: Mapping[str, Any] = json.loads(line)
            at = int(event["timestamp"])
        except (ValueError, KeyError, TypeError):
            continue
        first, last = at if first is None else first, at
        if pre := event.get("resourcePreEvent"):
            begun[pre["metadata"]["urn"]] = at
        if (done := event.get("resOutputsEvent")) and (urn := done["metadata"]["urn"]) in begun:
            began = begun.pop(urn)
            if is_told_otherwise(urn):
                continue
            spent.append(Spent(name_of(urn), str(done["metadata"]["op"]), began - first, at - began))
    whole = 0 if first is None or last is None else last - first
    return sorted(spent, key=lambda item: item.began), whole


def is_told_otherwise(urn: str) -> bool:
    """Whether it is the stack, which takes as long as all of it, or what our provider does for a component of its name."""
    *_, kinds, name = urn.split("::", 3)
    around, _, kind = kinds.rpartition("$")
    component = around.rpartition("$")[2].rpartition(":")[2]
    return kind == "pulumi:pulumi:Stack" or (kind.startswith("pulumi-python:") and component.lower() == name.lower())


def name_of(urn: str) -> str:
    """What a URN (``urn:pulumi:STACK::PROJECT::KINDS::NAME``) calls a resource; its kind where the name does not say it."""
    *_, kinds, name = urn.split("::", 3)
    kind = kinds.rpartition("$")[2].rpartition(":")[2]
    return name if name.startswith(f"{kind} ") else f"{kind} {name}"


def table(spent: Iterable[Spent], whole: int) -> str:
    """For people: the longest operations, in the order in which they began."""
    longest = sorted((item for item in spent if item.seconds >= LEAST), key=lambda item: -item.seconds)[:MOST]
    longest.sort(key=lambda item: item.began)
    rows = [f"    {item.seconds:5d} s  at {item.began:4d} s  {item.name}" for item in longest]
    return "\n".join((f"==> Where the {whole} s went:", *rows)) if rows else ""

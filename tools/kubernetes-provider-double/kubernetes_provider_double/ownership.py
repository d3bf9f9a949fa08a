"""What of our inputs a cluster still holds as we have said it, by the fields that our manager owns. Pure.

A server notes who has applied which field (``metadata.managedFields``). Whoever changes the value of a field takes it over;
so what we still own is as we said it, in whatever form the server shows it (``1000m`` is answered as ``1``, defaults are
filled in), and only of the other fields the live value counts. Fields that we never named are others' business.
https://kubernetes.io/docs/reference/using-api/server-side-apply/ has the form of the entries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

IDENTITY = ("apiVersion", "kind")
NAMES = ("name", "namespace")
GONE = object()
Fields = Mapping[str, Any]
Item = Mapping[str, Any]
KEYS = ("name", "containerPort", "port", "type", "key", "ip", "uid", "mountPath", "devicePath", "topologyKey")
"""Fields by which items of Kubernetes' lists are told apart, where no entry says it."""


def owned_fields(live: Mapping[str, Any], manager: str) -> Fields | None:
    """What ``manager`` has applied; ``None``: nothing, so that values are all there is to compare."""
    for entry in live["metadata"].get("managedFields") or []:
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            found: Fields = entry.get("fieldsV1") or {}
            return found
    return None


def drifted(inputs: Mapping[str, Any], live: Mapping[str, Any], manager: str) -> dict[str, Any]:
    """The inputs as they would have to be to say what the cluster holds; equal to them where nothing has drifted."""
    fields = owned_fields(live, manager)
    found = {name: inputs[name] for name in IDENTITY if name in inputs}
    for name, value in inputs.items():
        if name in IDENTITY:
            continue
        below = None if fields is None else fields.get(f"f:{name}")
        seen = (
            _metadata(value, live.get(name), below) if name == "metadata" else _seen(value, live.get(name, GONE), below)
        )
        if seen is not GONE:
            found[name] = seen
    return found


def _metadata(wanted: Item, live: Any, fields: Fields | None) -> Any:
    """A name is owned by nobody."""
    seen = _seen({name: value for name, value in wanted.items() if name not in NAMES}, live, fields)
    names = {name: live[name] for name in NAMES if name in wanted and name in live}
    return {**names, **(seen if isinstance(seen, dict) else {})}


def _seen(wanted: Any, live: Any, fields: Fields | None) -> Any:
    """``fields``: what is owned below this place; ``None``: not the place itself; empty: all of it, as a whole."""
    if fields is not None and not any(name != "." for name in fields):
        return wanted
    if live is GONE or live is None:
        return wanted if wanted in ({}, [], None) else GONE
    if isinstance(wanted, dict) and isinstance(live, dict):
        return _seen_map(wanted, live, fields)
    if isinstance(wanted, list) and isinstance(live, list):
        return _seen_list(wanted, live, fields)
    return live


def _seen_map(wanted: Item, live: Item, fields: Fields | None) -> dict[str, Any]:
    below = fields or {}
    seen = {name: _seen(value, live.get(name, GONE), below.get(f"f:{name}")) for name, value in wanted.items()}
    return {name: value for name, value in seen.items() if value is not GONE}


def _seen_list(wanted: Sequence[Any], live: Sequence[Any], fields: Fields | None) -> list[Any]:
    if fields is None and (len(wanted) != len(live) or not all(isinstance(item, dict) for item in (*wanted, *live))):
        return list(live)  # nothing of it is ours any more: it is what others have made of it
    found = []
    for place, item in enumerate(wanted):
        key, below = _entry(item, place, fields or {})
        seen = _seen(item, _counterpart(item, place, key, live), below)
        if seen is not GONE:
            found.append(seen)
    return found


def _entry(item: Any, place: int, fields: Fields) -> tuple[Item | None, Fields | None]:
    """What is owned of an item, and the key by which the server tells it from others."""
    if f"v:{json.dumps(item)}" in fields:
        return None, {}
    if f"i:{place}" in fields:
        return None, fields[f"i:{place}"]
    best: tuple[int, Item | None, Fields | None] = (-1, None, None)
    if isinstance(item, dict):
        for name, below in fields.items():
            if name.startswith("k:"):
                key = json.loads(name[2:])
                # A part of the key that the item does not say is filled in by the server (a port's protocol).
                said = [item[part] == value for part, value in key.items() if part in item]
                if said and all(said) and len(said) > best[0]:
                    best = (len(said), key, below)
    return best[1], best[2]


def _counterpart(item: Any, place: int, key: Item | None, live: Sequence[Any]) -> Any:
    """The item of the live list that stands for ours."""
    if not isinstance(item, dict):
        return item if item in live else GONE
    if key is None:
        key = {name: item[name] for name in KEYS[:1] if name in item} or {n: item[n] for n in KEYS if n in item}
        if not key:
            return live[place] if place < len(live) else GONE
    for other in live:
        if isinstance(other, dict) and all(other.get(name) == value for name, value in key.items()):
            return other
    return GONE

"""What policies said before they could not be used any more, kept in a ConfigMap: a replica that starts, or takes over, goes
on with it. Pure.

Only of policies that are broken now, so that an ordinary change costs no write. An entry is for one object (its ``uid``):
whoever takes an object away and makes another one of its name starts anew.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.reflector import Key, Raw
from mesh_control.sources.kubernetes.resources import LAST_GOOD, Collection
from mesh_policy import KINDS, json_text

NAME = "meshwright-last-good"
_COPIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation with the whole object once more."""

Mirrors = Mapping[Collection, Mirror]
Entries = Mapping[str, str]
"""What is in the ConfigMap."""


def collection(namespace: str) -> Collection:
    """The one ConfigMap."""
    return Collection("", "v1", "configmaps", LAST_GOOD, True, namespace, f"metadata.name={NAME}")


def read(value: Raw) -> Entries:
    """The entries of the ConfigMap."""
    data = value.get("data")
    return {key: text for key, text in data.items() if isinstance(text, str)} if isinstance(data, dict) else {}


def wanted(mirrors: Mirrors, stored: Entries) -> Entries:
    """What the ConfigMap is to have: of each broken policy what it said before, as far as somebody knows it."""
    found: dict[str, str] = {}
    for place, mirror, key in _broken(mirrors):
        name = _name(place, key)
        if (good := mirror.good.get(key)) is not None:
            found[name] = json.dumps(_kept(good), sort_keys=True)
        elif _of_same(stored.get(name), mirror, key) is not None:
            found[name] = stored[name]
    return found


def restore(mirrors: Mirrors, stored: Entries) -> bool:
    """Puts in force again what is known of broken policies; returns whether there was any."""
    restored = False
    for place, mirror, key in list(_broken(mirrors)):
        if key in mirror.typed:
            continue
        value = _of_same(stored.get(_name(place, key)), mirror, key)
        if value is not None:
            restored = mirror.restore(key, value) or restored
    return restored


def _of_same(text: str | None, mirror: Mirror, key: Key) -> Raw | None:
    """What an entry has, where it is of the object that is there now."""
    value = None if text is None else _parsed(text)
    return value if value is not None and _uid(value) == _uid(mirror.reflector.items[key]) else None


def _broken(mirrors: Mirrors) -> Iterator[tuple[Collection, Mirror, Key]]:
    for place, mirror in mirrors.items():
        if (place.group, place.kind) in KINDS:
            yield from ((place, mirror, key) for key in mirror.broken if key in mirror.reflector.items)


def _name(place: Collection, key: Key) -> str:
    """A key of a ConfigMap's data has fewer letters than names have, and no slash."""
    return hashlib.sha256(f"{place.plural}.{place.group}/{'/'.join(key)}".encode()).hexdigest()[:40]


def _kept(value: Raw) -> dict[str, Any]:
    metadata = dict(value.get("metadata") or {})
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != _COPIED}
    kept = {"apiVersion": value.get("apiVersion"), "kind": value.get("kind"), "spec": value.get("spec")}
    return {**kept, "metadata": {**metadata, "annotations": annotations}}


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        value = json_text.parse(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("metadata"), dict) else None


def _uid(value: Raw) -> object:
    return (value.get("metadata") or {}).get("uid")

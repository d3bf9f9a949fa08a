"""What differs between old inputs and new ones, and what of it only a new object can have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

ADD, DELETE, UPDATE = "ADD", "DELETE", "UPDATE"
"""Kinds of differences, named as the protocol names them."""

IDENTITY = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
SELECTOR = ("spec.selector",)
STATEFUL_SET = (*SELECTOR, "spec.podManagementPolicy", "spec.serviceName", "spec.volumeClaimTemplates")
NEW_OBJECT: Mapping[tuple[str, str], Sequence[str]] = {
    ("v1", "PersistentVolumeClaim"): ("spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"),
    ("v1", "Pod"): ("spec",),
    ("v1", "Secret"): ("type",),
    ("v1", "Service"): ("spec.clusterIP",),
    ("apps/v1", "DaemonSet"): SELECTOR,
    ("apps/v1", "Deployment"): SELECTOR,
    ("apps/v1", "StatefulSet"): STATEFUL_SET,
    ("batch/v1", "Job"): ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): ("roleRef",),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): ("parameters", "provisioner"),
}
"""Fields that a server never changes, as the real provider knows them (its ``diff.go``)."""
CONTENT: Mapping[str, Sequence[str]] = {"ConfigMap": ("data", "binaryData"), "Secret": ("data",)}
"""What the real provider changes only where it is told to (``enableConfigMapMutable``, ``enableSecretMutable``)."""


def changes(old: Any, new: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Each differing place as a property path, and its kind; a whole value that came or went is one."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            place = below(at, name)
            if name not in new:
                yield place, DELETE
            elif name not in old:
                yield place, ADD
            else:
                yield from changes(old[name], new[name], place)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(new):
                yield f"{at}[{index}]", DELETE
            elif index >= len(old):
                yield f"{at}[{index}]", ADD
            else:
                yield from changes(old[index], new[index], f"{at}[{index}]")
    elif old is not new and (old != new or isinstance(old, bool) != isinstance(new, bool)):  # 1 is no true
        yield at, UPDATE


def below(at: str, name: str) -> str:
    """The property path of a field below a place: ``metadata.labels["app.kubernetes.io/name"]``."""
    if re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]*", name):
        return f"{at}.{name}" if at else name
    quoted = name.replace('"', '\\"')
    return f'{at}["{quoted}"]'


def within(place: str, outer: str) -> bool:
    """Whether a property path is another one, or lies below it."""
    return place == outer or place.startswith((f"{outer}.", f"{outer}["))


def needs_new(value: Mapping[str, Any], mutable: Iterable[str] = ()) -> tuple[str, ...]:
    """Paths of an object whose change means another object. ``mutable``: kinds of :data:`CONTENT` whose content is changed
    in place."""
    kind = str(value.get("kind"))
    found = (*IDENTITY, *NEW_OBJECT.get((str(value.get("apiVersion")), kind), ()))
    if value.get("apiVersion") == "v1" and kind in CONTENT and (kind not in mutable or value.get("immutable") is True):
        found = (*found, *CONTENT[kind])
    return found

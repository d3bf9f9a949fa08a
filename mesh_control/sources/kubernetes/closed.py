"""What stands for a policy that cannot be used and never could: it got past the webhook, its meaning is not known. Pure.

Left out, it would open the door that it was to shut. So the doors that it is for are shut:

- an AuthorizationPolicy that allows something allows nothing (what others allow stays allowed); one that denies, or asks
  somebody, denies everything. istiod drops the rules that it cannot use, which for ALLOW comes to the same;
- a PeerAuthentication asks for mutual TLS.

Whom it is for is taken from it as far as that can be read; else it is for everything that a policy of its namespace is for.
No other kind shuts a door: without a RequestAuthentication nobody has an identity by a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_control.sources.kubernetes.reflector import Raw
from mesh_control.sources.kubernetes.resources import Collection
from mesh_policy import AuthorizationPolicy, PeerAuthentication, Policy
from mesh_policy.security.authorization_policy import DRY_RUN

NOTHING, DENIED = "nothing is allowed by it", "everything is denied"
MUTUAL = "mutual TLS is asked for"


@dataclass(frozen=True, slots=True)
class Shut:
    """A policy in place of another, and in words what it does."""

    policy: Policy
    words: str


def shut(collection: Collection, value: Raw) -> Shut | None:
    """What stands for an object; ``None``: nothing has to."""
    spec = value.get("spec")
    action = spec.get("action") if isinstance(spec, Mapping) else None
    if collection.kind == AuthorizationPolicy.KIND:
        if action == "AUDIT" or _tried(value):
            return None
        allows = action in (None, "ALLOW")
        said: Mapping[str, Any] = {"action": "ALLOW"} if allows else {"action": "DENY", "rules": [{}]}
        return Shut(_made(AuthorizationPolicy, value, said), NOTHING if allows else DENIED)
    if collection.kind == PeerAuthentication.KIND:
        return Shut(_made(PeerAuthentication, value, {"mtls": {"mode": "STRICT"}}), MUTUAL)
    return None


def _tried(value: Raw) -> bool:
    """Whether an AuthorizationPolicy is in dry-run, and would refuse nobody."""
    annotations = (value.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(DRY_RUN)).lower() in ("true", "1", "t")


def _made(kind: type[Policy], value: Raw, said: Mapping[str, Any]) -> Policy:
    """A policy that says this to whom the object is for, or to everything where that cannot be read."""
    metadata, spec = value.get("metadata") or {}, value.get("spec")
    kept = {name: metadata[name] for name in ("name", "namespace", "creationTimestamp") if name in metadata}
    whom = {name: spec[name] for name in _WHOM if name in spec} if isinstance(spec, Mapping) else {}
    try:
        return kind.read({"kind": kind.KIND, "metadata": kept, "spec": {**whom, **said}})
    except ValueError:
        return kind.read({"kind": kind.KIND, "metadata": kept, "spec": said})


_WHOM = ("selector", "targetRef", "targetRefs")

"""Addresses for hosts of a cluster's ServiceEntries, in the status of these, where Istio's controller has them as well. Pure.

The replica that leads writes them; every replica, and whoever leads next, reads them there. They belong to a field manager of
their own, so that conditions are written without them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mesh_control.addresses.plan import Allocated, Cursor, Hosts, Owner, in_status, planned, to_status, written
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.reflector import Key, Raw
from mesh_control.sources.kubernetes.resources import Collection
from mesh_control.world import World
from mesh_policy import ServiceEntry

MANAGER = "meshwright-addresses"
Mirrors = Mapping[Collection, Mirror]
Due = tuple[Collection, Key, Raw, Hosts]
"""A ServiceEntry and the addresses that its hosts are to have."""


def said(mirrors: Mirrors) -> Allocated:
    """What the statuses have."""
    listed = ((key, in_status(value.get("status"))) for _, key, value, _ in _entries(mirrors))
    return {key: hosts for key, hosts in listed if hosts}


@dataclass(slots=True)
class Allotter:
    """Decides what is to be written. What was written and is not seen yet counts as said."""

    _cursor: Cursor = field(default_factory=Cursor)
    _unseen: dict[Owner, tuple[str, Hosts]] = field(default_factory=dict)
    """What was written to which version of an object."""

    def due(self, mirrors: Mirrors, world: World) -> Iterator[Due]:
        """Every ServiceEntry that is to have other addresses than it has. ``world`` has those of other sources."""
        values = {key: (place, value, policy) for place, key, value, policy in _entries(mirrors)}
        seen = {key: _version(value) for key, (_, value, _) in values.items()}
        self._unseen = {key: item for key, item in self._unseen.items() if seen.get(key) == item[0]}
        known = {**said(mirrors), **{key: hosts for key, (_, hosts) in self._unseen.items()}}
        entries = [policy for _, _, policy in values.values() if policy is not None]
        own = {policy.key for policy in entries}
        others = [entry for entry in world.of_kind(ServiceEntry) if entry.key not in own]
        taken = [address for entry in others for address in written(entry)]
        unused = [owner for owner, (_, _, policy) in values.items() if policy is None]  # they keep what they have
        elsewhere = [hosts for owner, hosts in world.allocated.items() if owner not in values]
        elsewhere += [known[owner] for owner in unused if owner in known]
        taken += [address for hosts in elsewhere for found in hosts.values() for address in found]
        for owner, hosts in planned(entries, known, taken, self._cursor).items():
            if hosts != known.get(owner, {}):
                place, value, _ = values[owner]
                yield place, owner, value, hosts

    def written(self, key: Key, value: Raw, hosts: Hosts) -> None:
        """They stand in the status of the object now that was of that version."""
        self._unseen[key] = _version(value), hosts


def patch(place: Collection, key: Key, value: Raw, hosts: Hosts) -> tuple[str, dict[str, Any]]:
    """Where, and what: for the version that was looked at, as somebody else may be giving addresses."""
    namespace, name = key
    metadata = {"name": name, "namespace": namespace, "resourceVersion": _version(value)}
    body = {
        "apiVersion": f"{place.group}/{place.version}",
        "kind": place.kind,
        "metadata": metadata,
        "status": {"addresses": to_status(hosts)},
    }
    return f"{replace(place, namespace=namespace).path}/{name}/status", body


def _entries(mirrors: Mirrors) -> Iterator[tuple[Collection, Key, Raw, ServiceEntry | None]]:
    """Every ServiceEntry that there is; what cannot be used and never could has no policy."""
    for place, mirror in mirrors.items():
        if (place.group, place.kind) == (ServiceEntry.GROUP, ServiceEntry.KIND):
            for key, value in mirror.reflector.items.items():
                yield place, key, value, mirror.typed.get(key)


def _version(value: Raw) -> str:
    return str((value.get("metadata") or {}).get("resourceVersion") or "")

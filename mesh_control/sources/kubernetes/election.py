"""Which of several replicas is the leader, by a Lease. The rules of client-go's ``leaderelection``; the machine is pure.

Clocks of replicas need not agree: a replica takes over when it has itself seen a lease unchanged for as long as that lasts.
One that cannot renew steps down before any other may take over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEASE_SECONDS, RENEW_SECONDS, RETRY_SECONDS = 15.0, 10.0, 2.0
"""How long a lease lasts; after how long without a renewal its holder steps down; how often it is looked at."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What is written down. ``version`` is the object's, by which a late write is refused; empty: there is none yet."""

    holder: str = ""
    renewed: str = ""
    acquired: str = ""
    transitions: int = 0
    seconds: float = LEASE_SECONDS
    version: str = ""


@dataclass(slots=True)
class Election:
    """``identity`` is this replica. ``now`` is any steady clock; ``stamp`` is the time of day, for people to read."""

    identity: str
    _seen: Lease = Lease()
    _seen_at: float = float("-inf")
    _renewed_at: float = float("-inf")
    _mine: bool = False

    def leads(self, now: float) -> bool:
        """Whether this replica is the leader. It holds for no longer than is known for certain."""
        return self._mine and now - self._renewed_at < RENEW_SECONDS

    def on_seen(self, lease: Lease, now: float, stamp: str) -> Lease | None:
        """The lease as it was read; returns what is to be written, or ``None``: another one leads."""
        if lease.holder != self.identity:
            self._mine = False
        if (lease.holder, lease.renewed) != (self._seen.holder, self._seen.renewed):
            self._seen, self._seen_at = lease, now
        if lease.holder == self.identity:
            return Lease(self.identity, stamp, lease.acquired or stamp, lease.transitions, LEASE_SECONDS, lease.version)
        if lease.holder and now - self._seen_at < lease.seconds:
            return None
        changes = lease.transitions + bool(lease.holder)
        return Lease(self.identity, stamp, stamp, changes, LEASE_SECONDS, lease.version)

    def on_written(self, lease: Lease, asked_at: float) -> None:
        """The server took it. ``asked_at`` is when it was asked: the lease may be that old."""
        self._mine, self._renewed_at = True, asked_at
        self._seen, self._seen_at = lease, asked_at

    def on_refused(self) -> None:
        """Another one wrote at the same time: nothing is known of who leads."""
        self._mine = False

    def released(self, lease: Lease, stamp: str) -> Lease | None:
        """What to write when this replica ends, so that the next need not wait; ``None``: the lease is not its own."""
        self._mine = False
        if lease.holder != self.identity:
            return None
        return Lease("", stamp, "", lease.transitions, 1.0, lease.version)


def read(value: Mapping[str, Any]) -> Lease:
    """A Lease object."""
    spec = value.get("spec") or {}
    return Lease(
        holder=str(spec.get("holderIdentity") or ""),
        renewed=str(spec.get("renewTime") or ""),
        acquired=str(spec.get("acquireTime") or ""),
        transitions=int(spec.get("leaseTransitions") or 0),
        seconds=float(spec.get("leaseDurationSeconds") or LEASE_SECONDS),
        version=str((value.get("metadata") or {}).get("resourceVersion") or ""),
    )


def write(lease: Lease, namespace: str, name: str) -> dict[str, Any]:
    """The object of a lease."""
    spec: dict[str, Any] = {"holderIdentity": lease.holder, "leaseTransitions": lease.transitions}
    spec |= {"leaseDurationSeconds": int(lease.seconds), "renewTime": lease.renewed}
    if lease.acquired:
        spec["acquireTime"] = lease.acquired
    metadata = {"name": name, "namespace": namespace} | ({"resourceVersion": lease.version} if lease.version else {})
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def stamp(seconds: float) -> str:
    """A time of day (seconds since 1970) as a Lease has it, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

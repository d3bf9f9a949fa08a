"""The life of a registration: connected, gone, back in time or forgotten. Pure; the time is seconds since 1970.

One proxy may have several streams: an old one dies only when its time is out, while the next is there already. As long as one
is left, the workload is connected.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mesh_control.registration.claims import HEALTH_ANNOTATION
from mesh_policy import WorkloadEntry

GRACE = 10.0
"""Seconds that a workload may be gone before its entry is removed (Istio's ``PILOT_WORKLOAD_ENTRY_GRACE_PERIOD``)."""
RESTART_GRACE = 60.0
"""As many after a restart of the control plane, for proxies come back at intervals that grow."""

Key = tuple[str, str]
"""Namespace and name of the entry."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One workload. ``proxy`` is ``NAME.NAMESPACE`` of who registered it; ``since`` when it first did, ``seen`` when it was
    last known to be there. ``ends``: when it is forgotten if it does not come back; ``None`` while it is connected.

    ``healthy`` and ``message`` are what its proxy last said of the application; ``None``: nothing yet.
    """

    entry: WorkloadEntry
    group: str
    proxy: str
    since: float
    seen: float
    streams: frozenset[str] = frozenset()
    ends: float | None = None
    healthy: bool | None = None
    message: str = ""

    @property
    def key(self) -> Key:
        """Namespace and name of the entry."""
        return self.entry.metadata.namespace, self.entry.metadata.name

    @property
    def probed(self) -> bool:
        """Whether its proxy tells its health."""
        return (self.entry.metadata.annotations or {}).get(HEALTH_ANNOTATION) == "true"

    @property
    def takes_requests(self) -> bool:
        """Whether it may be sent requests: one that is probed, once it has said that it is healthy (Istio)."""
        return bool(self.healthy) if self.probed else True


def connect(
    known: Registered | None, entry: WorkloadEntry, group: str, proxy: str, stream: str, now: float
) -> Registered:
    """A proxy is there. What it says now counts, not what it said before; what was said of its health stays."""
    if known is None:
        return Registered(entry, group, proxy, now, now, frozenset({stream}))
    streams = known.streams | {stream}
    return replace(known, entry=entry, group=group, proxy=proxy, seen=now, streams=streams, ends=None)


def disconnect(known: Registered, stream: str, now: float, grace: float = GRACE) -> Registered:
    """A stream has ended."""
    if stream not in known.streams:
        return known
    streams = known.streams - {stream}
    return replace(known, streams=streams, seen=now, ends=None if streams else now + grace)


def restarted(known: Registered, now: float, grace: float = RESTART_GRACE) -> Registered:
    """The control plane has begun anew: nobody is connected. Who was gone before has no more time than it had."""
    return replace(known, streams=frozenset(), ends=known.ends if known.ends is not None else now + grace)


def expired(table: Mapping[Key, Registered], now: float) -> list[Key]:
    """Those whose time is out."""
    return [key for key, known in table.items() if known.ends is not None and now >= known.ends]


def deadline(table: Mapping[Key, Registered]) -> float | None:
    """When the next one's time is out."""
    return min((known.ends for known in table.values() if known.ends is not None), default=None)

"""What the supervisor and a worker say to each other: length-prefixed messages over a Unix stream socket pair.

Both ends are processes of one proxy, started one by the other, and the socket pair is inherited, so messages are pickled;
nothing from the network is ever read this way. The codec is fed bytes and does no input or output of its own.
"""

import pickle
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_api.config import ProxyConfig
from mesh_api.config.secrets import Secret

_LENGTH = struct.Struct(">I")
LIMIT = 1 << 30
"""Bytes of one message at most."""


@dataclass(frozen=True, slots=True)
class Apply:
    """To the worker: run this configuration with these secrets. Answered by :class:`Applied` or :class:`Rejected`."""

    version: int
    config: ProxyConfig
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class StatsRequest:
    """To the worker: say how things are. Answered by :class:`StatsReply` with the same ``id``."""

    id: int


@dataclass(frozen=True, slots=True)
class Drain:
    """To the worker: take nothing new, let requests finish for up to ``seconds``. Answered by :class:`Drained`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SetLogLevel:
    """To the worker: log from this level on (``debug``, ``info``, ``warning``, ``error``)."""

    level: str


@dataclass(frozen=True, slots=True)
class Reopen:
    """To the worker: open the log files again, they were rotated."""


@dataclass(frozen=True, slots=True)
class ResetCounters:
    """To the worker: count from zero again."""


@dataclass(frozen=True, slots=True)
class Introduce:
    """To the worker: whose proxy it is (the node's id and metadata), and how many connections its listeners may have, by name
    (the empty one: all together); once, before the first configuration."""

    node_id: str
    metadata: Mapping[str, Any]
    limits: tuple[tuple[str, int], ...] = ()
    locality: tuple[str, str, str] = ("", "", "")
    local_cluster: str = ""
    """Region, zone and sub-zone of the proxy, and the cluster that it is one of (empty: none is known)."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From the worker: it runs and awaits its first configuration."""

    pid: int


@dataclass(frozen=True, slots=True)
class Applied:
    """From the worker: ``version`` is in force."""

    version: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """From the worker: ``version`` cannot be run, because of ``resource``, for ``reason``; the one before stays in force."""

    version: int
    resource: str
    reason: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by upper bound (the last bound is infinite), the sum and the number of the values."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float
    count: int

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together; they have the same bounds."""
        counts = tuple([a + b for a, b in zip(self.counts, other.counts, strict=True)])
        return Histogram(self.bounds, counts, self.sum + other.sum, self.count + other.count)


Labels = tuple[tuple[str, str], ...]
"""Names and values of labels."""


@dataclass(frozen=True, slots=True)
class HostStats:
    """One host of a cluster as a worker sees it."""

    address: str
    healthy: bool
    ejected: bool
    weight: int = 1
    active_connections: int = 0
    active_requests: int = 0
    total_requests: int = 0
    errors: int = 0
    times_ejected: int = 0
    priority: int = 0
    locality: str = ""
    """Region, zone and sub-zone, joined by slashes."""
    hostname: str = ""
    flags: int = 0
    """Why it is not simply healthy: bits of :mod:`mesh_proxy.balancing.host`."""
    canary: bool = False
    success_rate: float = -1.0
    local_success_rate: float = -1.0
    """Percent, of the last interval of outlier detection; -1: not known."""
    successes: int = 0
    timeouts: int = 0
    pending_requests: int = 0
    total_connections: int = 0
    connect_failures: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """The worker's numbers under Envoy's dotted names (``cluster.NAME.upstream_rq_total``), hosts by cluster."""

    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)
    hosts: dict[str, tuple[HostStats, ...]] = field(default_factory=dict)
    listeners: dict[str, str] = field(default_factory=dict)
    """Name of each bound listener to its address."""
    labelled: dict[tuple[str, Labels], int | Histogram] = field(default_factory=dict)
    """Numbers about services, by metric and labels."""


@dataclass(frozen=True, slots=True)
class StatsReply:
    """From the worker: its numbers."""

    id: int
    stats: Stats


@dataclass(frozen=True, slots=True)
class Drained:
    """From the worker: no connection is left, or the time for it is over."""


@dataclass(frozen=True, slots=True)
class Told:
    """From the worker: entries for a service of telemetry, which is a part of the configuration (an access log, a tracer)."""

    destination: object
    entries: tuple[tuple[Any, ...], ...]


Message = (
    ResetCounters
    | Introduce
    | Told
    | Apply
    | StatsRequest
    | Drain
    | SetLogLevel
    | Reopen
    | Ready
    | Applied
    | Rejected
    | StatsReply
    | Drained
)


class ProtocolError(ValueError):
    """The peer sent something that is no message."""


def encode(message: Message) -> bytes:
    """The message with its length before it."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def _load(body: bytes) -> object:
    try:
        return pickle.loads(body)  # noqa: S301 (from our own process, see the module's docstring)
    except Exception as error:  # pickle raises whatever a class in it raises
        raise ProtocolError(f"a message that cannot be read: {error}") from None


class Decoder:
    """Bytes in, messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete with ``data``. Raises :class:`ProtocolError`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LIMIT:
                raise ProtocolError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            message = _load(body)
            if not isinstance(message, Message):
                raise ProtocolError(f"a {type(message).__name__} is no message")
            yield message

"""How much one client may ask of the control plane. Pure: time is an argument."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

MESSAGE_BYTES = 4 * 1024 * 1024
"""The largest request (istiod's ``ISTIO_GPRC_MAXRECVMSGSIZE``)."""
OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Proxies ask every 30 seconds whether we are there; by default gRPC hangs up on who does so before five minutes.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)
"""Of servers of gRPC that proxies stay connected with. gRPC takes no notice of a name that it does not know."""
STREAMS = 100_000
"""Connections altogether (istiod's ``ISTIO_GPRC_MAXSTREAMS``)."""
OUTBOX = 256
"""Responses that may wait for one client. Pushes put at most one of a type there; more come of a client that asks by name
without end, and reads nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests per second and at once of a stream, and streams per address and per proven identity; 0: no limit."""

    rate: float = 100.0
    burst: int = 1000
    per_address: int = 0
    per_identity: int = 0


@dataclass(slots=True)
class Bucket:
    """A token bucket. A new client may say a lot at once; after that ``rate`` in a second."""

    rate: float
    burst: int
    _filled: float = field(init=False)
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._filled = float(self.burst)

    def wait(self, now: float) -> float:
        """Takes one request; how many seconds it has to wait for its turn (0: none)."""
        if self.rate <= 0:
            return 0.0
        self._filled = min(float(self.burst), self._filled + (now - self._at) * self.rate) - 1
        self._at = now
        return max(0.0, -self._filled / self.rate)


@dataclass(slots=True)
class Admission:
    """Counts the streams of each address and each proven identity."""

    limits: Limits
    _open: Counter[str] = field(default_factory=Counter)

    def enter(self, address: str, identities: Iterable[str]) -> str | None:
        """Takes a stream in, or says why not; what was taken in has to :meth:`leave`."""
        keys = self._keys(address, identities)
        if self._open.total() >= STREAMS:
            return f"there are {STREAMS} streams already"
        for key, limit in keys.items():
            if limit and self._open[key] >= limit:
                return f"{key} has {limit} streams already"
        self._open.update(keys.keys())
        return None

    def leave(self, address: str, identities: Iterable[str]) -> None:
        """A stream has ended."""
        self._open.subtract(self._keys(address, identities).keys())
        self._open += Counter()  # drops what is zero

    def _keys(self, address: str, identities: Iterable[str]) -> dict[str, int]:
        return {address: self.limits.per_address} | dict.fromkeys(identities, self.limits.per_identity)

"""What is known of one request (or connection) when it is over."""

from typing import Final

from mesh_proxy.balancing.host import Host
from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.telemetry.facts import ClusterFacts, ConnectionFacts

NO_FIELDS: Final[list[Field]] = []
"""Of what has no trailers; never to be changed."""


@mypyc_attr(free_list_len=1)
class Record:
    """Filled along the way, read once by the access log. Times are seconds of the loop's clock (0: it did not come to that),
    ``started`` wall time.

    ``heard``: the request was complete; ``passed``: its head was handed to a host; ``answered``: the head of the answer came.
    ``connection``, ``upstream``, ``destination`` and ``host`` are what it came by and went to, as far as it went.
    """

    __slots__ = (
        "answered", "attempts", "began", "bytes_received", "bytes_sent", "cluster", "connection", "destination",
        "details", "downstream_local", "downstream_remote", "ended", "failure", "flags", "head_received",
        "head_sent", "heard", "host", "inside", "kind", "local_body", "metadata", "operation", "original_path", "parent_id",
        "passed", "path", "peer", "protocol", "request", "response", "route", "sampled", "sni", "span_id",
        "started", "status", "termination", "trace_id", "traced", "trailers", "upstream", "upstream_host",
        "upstream_local",
    )  # fmt: skip

    def __init__(self, began: float, started: float) -> None:
        self.began = began
        self.started = started
        self.ended = began
        self.heard = self.passed = self.answered = 0.0
        self.request: Head | None = None
        self.response: Head | None = None
        self.trailers: list[Field] = NO_FIELDS
        self.path = self.original_path = self.route = self.cluster = self.local_body = b""
        self.upstream_host = self.upstream_local = self.downstream_local = self.downstream_remote = self.sni = b""
        self.protocol = b"HTTP/1.1"
        self.flags = self.details = self.termination = self.failure = ""
        self.status = self.bytes_received = self.bytes_sent = self.attempts = self.head_received = self.head_sent = 0
        self.connection: ConnectionFacts | None = None
        self.upstream: ConnectionFacts | None = None
        self.destination: ClusterFacts | None = None
        self.host: Host | None = None
        self.kind = b"DownstreamEnd"
        """What the log tells of (Envoy ``AccessLogType``)."""
        self.peer = b""
        """What the proxy at the other end says of itself (:mod:`mesh_proxy.telemetry.workload`)."""
        self.trace_id = self.span_id = self.parent_id = b""
        self.inside = False
        """Whether the request comes from one of the mesh's own networks, so that it may say what strangers may not."""
        self.traced = self.sampled = False
        """Whether the request is to be traced, and whether its span is kept: who asks may have decided otherwise."""
        self.operation = b""
        """What the proxy at the other end calls the request, in place of the route's own name for it."""
        self.metadata: dict[str, object] | None = None
        """What filters left behind, by namespace."""

    def chose(self, host: Host | None, attempts: int) -> None:
        """It goes to this host, for the time number ``attempts``; ``None``: to none after all."""
        self.host, self.attempts = host, attempts
        self.upstream_host = b"" if host is None else host.address

    def flag(self, name: str) -> None:
        """Add a response flag."""
        if name and name != "-" and name not in self.flags.split(","):
            self.flags = f"{self.flags},{name}" if self.flags else name

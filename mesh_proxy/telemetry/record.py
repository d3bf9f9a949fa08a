"""What is known of one request (or connection) when it is over."""

from mesh_proxy.protocol.http1 import Head


class Record:
    """Filled along the way, read once by the access log. Times are seconds of the loop's clock, ``started`` wall time."""

    __slots__ = (
        "began", "bytes_received", "bytes_sent", "cluster", "details", "downstream_local", "downstream_remote", "ended",
        "failure", "flags", "original_path", "path", "protocol", "request", "response", "route", "sni", "started", "status",
        "termination", "upstream_host", "upstream_local",
    )  # fmt: skip

    def __init__(self, began: float, started: float) -> None:
        self.began = began
        self.started = started
        self.ended = began
        self.request: Head | None = None
        self.response: Head | None = None
        self.path = b""
        self.original_path = b""
        self.protocol = b"HTTP/1.1"
        self.status = 0
        self.flags = ""
        self.details = ""
        self.termination = ""
        self.failure = ""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.route = b""
        self.cluster = b""
        self.upstream_host = b""
        self.upstream_local = b""
        self.downstream_local = b""
        self.downstream_remote = b""
        self.sni = b""

    def flag(self, name: str) -> None:
        """Add a response flag."""
        if name and name != "-" and name not in self.flags.split(","):
            self.flags = f"{self.flags},{name}" if self.flags else name

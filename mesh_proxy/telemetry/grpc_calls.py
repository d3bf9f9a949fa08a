"""What is counted of calls of gRPC (Envoy's ``envoy.filters.http.grpc_stats``): their messages, and how they end.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_stats_filter
"""

from mesh_proxy.filters.grpc_frames import Count
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.telemetry.stats import Counters


class Call:
    """One call under way."""

    __slots__ = ("_counters", "_scope", "answers", "asked")

    def __init__(self, counters: Counters, path: bytes, by_method: bool) -> None:
        """``counters`` are those of the cluster; ``by_method``: each method is counted for itself."""
        self._counters = counters
        own = scope_of(path)
        self._scope: str = own if by_method or not own else "grpc."
        self.asked = Count()
        self.answers = Count()

    def end(self, answer: Head | None, trailers: list[Field]) -> None:
        """The answer is complete: its trailers, or where there are none its head, say how the call went."""
        status: bytes | None = None
        for field in trailers:
            if field.name == b"grpc-status":
                status = field.value
        if status is None and answer is not None:
            status = answer.get(b"grpc-status")
        if status is None or not self._scope:
            return
        number = int(status) if status.isdigit() and len(status) < 5 else -1
        if number >= 0:
            self._counters.add(f"{self._scope}{number}")
        self._counters.add(self._scope + ("failure" if number else "success"))
        self._counters.add(self._scope + "total")

    def close(self) -> None:
        """Nothing more comes, whether it has come to an end or not."""
        if not self._scope:
            return
        if self.asked.number:
            self._counters.add(self._scope + "request_message_count", self.asked.number)
        if self.answers.number:
            self._counters.add(self._scope + "response_message_count", self.answers.number)


def scope_of(path: bytes) -> str:
    """The name of a method's numbers; empty: the path names no method, and nothing is counted."""
    parts = path.split(b"/")
    if len(parts) != 3 or parts[0] or not parts[1] or not parts[2]:
        return ""
    service, method = parts[1].decode("latin-1"), parts[2].decode("latin-1")
    return f"grpc.{service}.{method}."

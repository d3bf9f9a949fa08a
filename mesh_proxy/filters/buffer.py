"""Requests that go on when they are complete (Envoy's ``envoy.filters.http.buffer``): hosts are not kept by slow clients."""

from collections.abc import Callable
from typing import Final

from mesh_api.config import BufferFilter
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer, Filter, Verdict, Whole
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.table import CompiledRoute

TOO_LARGE: Final = LocalReply(413, "", "request_payload_too_large", b"Payload Too Large")


class Buffer(Filter):
    """Waits for the end of every request but those for another protocol, which have none, and where routes say otherwise."""

    def __init__(self, config: BufferFilter, _stats: object = None) -> None:
        self._whole = Whole(config.max_request_bytes, Answer(TOO_LARGE))

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Where it is not switched off."""
        return route is None or route.buffer is None or route.buffer.max_request_bytes is not None

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """It is to be complete."""
        if head.upgrade:
            return None
        own = None if route is None or route.buffer is None else route.buffer.max_request_bytes
        return self._whole if own is None else Whole(own, self._whole.then)

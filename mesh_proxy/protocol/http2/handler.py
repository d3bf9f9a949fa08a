"""Who is told what the peer of a session does."""

from mesh_proxy.native import mypyc_attr
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.protocol.http2.stream import Stream


@mypyc_attr(allow_interpreted_subclasses=True)
class Handler:
    """A base to derive from. A method may call the session; what it sends leaves with everything else of this turn."""

    __slots__ = ()

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        """A request, or the answer to one, begins; ``end``: no content follows, and no trailers."""
        raise NotImplementedError

    def on_interim(self, stream: Stream, head: Head) -> None:
        """An interim answer (1xx)."""
        raise NotImplementedError

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        """Content, possibly none with ``end``. The peer may send as much again after
        :meth:`~mesh_proxy.protocol.http2.session.Session.consumed`."""
        raise NotImplementedError

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        """The message ends, with these fields."""
        raise NotImplementedError

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        """The stream is over: given up by the peer, or by us because of what the peer did; ``details`` are Envoy's words.

        Of a request that is malformed nothing else is told; its stream has no ``user``.
        """
        raise NotImplementedError

    def on_window(self, stream: Stream) -> None:
        """Everything that waited in the stream has been sent."""
        raise NotImplementedError

    def on_settings(self) -> None:
        """The peer's settings came; the first of them say that it speaks HTTP/2."""
        raise NotImplementedError

    def on_pong(self, opaque: bytes) -> None:
        """The answer to a PING that was not of the keep-alive."""
        raise NotImplementedError

    def on_goaway(self, last: int, code: int) -> None:
        """The peer takes no more streams; those of ours above ``last`` are told of with :meth:`on_reset`."""
        raise NotImplementedError

    def on_failure(self, code: int, details: str) -> None:
        """The connection is of no use any more: send what there is and close. Streams are not told of one by one."""
        raise NotImplementedError

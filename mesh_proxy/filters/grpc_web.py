"""Calls of gRPC from browsers (Envoy's ``envoy.filters.http.grpc_web``): they see no trailers, and some no bytes but text.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Final

from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply, as_grpc
from mesh_proxy.filters.base import Filter, Verdict
from mesh_proxy.filters.bodies import BodyChange, without_length
from mesh_proxy.filters.grpc_frames import Frames
from mesh_proxy.protocol.http1 import HOP, Field, Head, field_of, is_grpc_type
from mesh_proxy.routing.table import CompiledRoute

_TEXT: Final = (b"application/grpc-web-text", b"application/grpc-web-text+proto")
_BYTES: Final = (b"application/grpc-web", b"application/grpc-web+proto")
_GRPC: Final = field_of(b"content-type", b"application/grpc")
_TRAILERS: Final = field_of(b"te", b"trailers")
_CODINGS: Final = field_of(b"grpc-accept-encoding", b"identity")
_AS_TEXT: Final = field_of(b"content-type", b"application/grpc-web-text+proto")
_AS_BYTES: Final = field_of(b"content-type", b"application/grpc-web+proto")
MARK: Final = b":grpc-web"
"""Name of what is remembered of a request in its head: no client can send it, and no host is sent it."""
_MARKS: Final[tuple[Field, Field]] = (Field(HOP, MARK, b"bytes", b""), Field(HOP, MARK, b"text", b""))
_NOTHING_LEFT: Final = (b"content-type", b"te", b"grpc-accept-encoding", b"content-length")
_LONGEST: Final = 16384
"""Bytes of a text that is told in a field (Envoy)."""
_BROKEN: Final = b"Bad gRPC-web request, invalid base64 data."
BAD_SIZE: Final = LocalReply(400, "", "grpc_base_64_decode_failed_bad_size", _BROKEN)
BAD_TEXT: Final = LocalReply(400, "", "grpc_base_64_decode_failed", _BROKEN)


class FromText(BodyChange):
    """A request in base64, of which each four letters can be read for themselves."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        super().__init__()
        self._kept: bytes = b""

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        text = self._kept + content
        whole = len(text) // 4 * 4
        self._kept = text[whole:]
        if not whole:
            return b""
        try:
            made = a2b_base64(text[:whole], strict_mode=True)
        except Error:
            made = b""
        if not made:
            self.refusal = BAD_TEXT
        return made

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        if self._kept:
            self.refusal = BAD_SIZE
        return b""


class ToWeb(BodyChange):
    """An answer, at whose end the trailers stand as one more message; ``frames``: each message becomes text for itself."""

    __slots__ = ("_frames",)

    def __init__(self, frames: Frames | None) -> None:
        super().__init__()
        self._frames = frames

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        if self._frames is None:
            return content
        return b"".join([b2a_base64(message, newline=False) for message in self._frames.take(content)])

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        if not trailers:
            return b""
        told = b"".join([b"%b:%b\r\n" % (field.name, field.value) for field in trailers])
        trailers.clear()
        made = b"\x80" + len(told).to_bytes(4, "big") + told
        return made if self._frames is None else b2a_base64(made, newline=False)


class ToStatus(BodyChange):
    """An answer that is none of gRPC: its status and its text become those of the call."""

    __slots__ = ("_text",)

    def __init__(self) -> None:
        super().__init__()
        self.holds = True
        self._text: bytes = b""

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        self._text = (self._text + content)[:_LONGEST]
        return b""

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        trailers.clear()
        return b""

    def complete(self, answer: Head, fields: list[Field]) -> None:
        """See :class:`BodyChange`."""
        _, told = as_grpc(LocalReply(answer.status, "", "", self._text))
        known = {field.name for field in fields}
        fields += [field_of(name, value) for name, value in told if name not in known]


class GrpcWeb(Filter):
    """Acts where a request has one of the content types."""

    changes = True

    def __init__(self, _config: object = None, _stats: object = None) -> None:
        """There is nothing to be said about it."""

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """Nothing is against it."""
        return None

    def change_request(self, head: Head, route: CompiledRoute | None, complete: bool) -> BodyChange | None:
        """It becomes a call as any other."""
        kind = head.get(b"content-type")
        text = kind in _TEXT
        if not text and kind not in _BYTES:
            return None
        wants_text = head.get(b"accept") in _TEXT
        if not complete:
            head.length = -1
        kept = [field for field in head.fields if field.name not in _NOTHING_LEFT]
        head.replace([*kept, _GRPC, _TRAILERS, _CODINGS, _MARKS[wants_text]])
        return FromText() if text and not complete else None

    def change_response(
        self, head: Head, route: CompiledRoute | None, answer: Head, fields: list[Field], end: bool
    ) -> BodyChange | None:
        """Its answer becomes what the browser has asked for."""
        mark = head.get(MARK)
        if mark is None:
            return None
        text = mark == b"text"
        if not end:
            without_length(answer, fields)
        is_call = is_grpc_type(next((field.value for field in fields if field.name == b"content-type"), b""))
        fields[:] = [field for field in fields if field.name != b"content-type"]
        fields.append(_AS_TEXT if text else _AS_BYTES)
        if end:
            return None
        return ToWeb(Frames() if text else None) if is_call else ToStatus()

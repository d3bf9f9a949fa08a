"""Lines of access logs put together of pieces, each of which reads one thing of a record.

Hot path, for the compiled form alone: an expression that Python reads (:func:`~mesh_proxy.telemetry.access_log.function`) is
the quickest there is of plain objects, and takes ten times as long as these of compiled ones. What has no piece of its own is
told by such an expression.
"""

from collections.abc import Callable
from typing import Final

from mesh_proxy.protocol.http1 import Head
from mesh_proxy.telemetry import times
from mesh_proxy.telemetry.access_log import JOINED, Operator, Part, function, names_of, read_format, text_value
from mesh_proxy.telemetry.record import Record

_NUMBERS: Final = tuple(b"%d" % number for number in range(4096))
_GROUP: Final = 8
"""Pieces that are joined at once."""


def decimal(number: int) -> bytes:
    """A number as it is written."""
    return _NUMBERS[number] if 0 <= number < 4096 else b"%d" % number


class Piece:
    """One thing of a record, as bytes; empty: there is nothing to say. A class and not a function, as all that is called for
    each request."""

    __slots__ = ("absent",)

    def __init__(self) -> None:
        self.absent: bytes = b""
        """What stands for nothing."""

    def of(self, record: Record) -> bytes:
        """The piece of that record."""
        raise NotImplementedError


class _Nothing(Piece):
    def of(self, record: Record) -> bytes:
        return b""


class _Told(Piece):
    """What an expression tells."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Operator) -> None:
        super().__init__()
        self._tell = tell

    def of(self, record: Record) -> bytes:
        return self._tell(record)


class _Started(Piece):
    """When it began, in the usual form: what changes with the second alone is kept until the next one."""

    __slots__ = ("_known", "_second", "_write")

    def __init__(self) -> None:
        super().__init__()
        self._write = times.stamp("%Y-%m-%dT%H:%M:%S.")
        self._second = -1
        self._known = b""

    def of(self, record: Record) -> bytes:
        started = record.started
        second = int(started)
        if second != self._second:
            self._second, self._known = second, self._write(started)
        part = int((started - second) * 1e6 + 0.5) // 1000
        return b"%b%bZ" % (self._known, _THOUSANDTHS[part if part < 1000 else 999])


_THOUSANDTHS: Final = tuple(b"%03d" % part for part in range(1000))


class _RequestField(Piece):
    """A field of the request, several as logs tell them."""

    __slots__ = ("_joined", "_name")

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self._name = name
        self._joined = name in JOINED

    def of(self, record: Record) -> bytes:
        return _field(record.request, self._name, self._joined)


class _ResponseField(_RequestField):
    __slots__ = ()

    def of(self, record: Record) -> bytes:
        return _field(record.response, self._name, self._joined)


def _field(head: Head | None, name: bytes, joined: bool) -> bytes:
    if head is None:
        return b""
    if joined:
        return head.get(name) or b""
    for field in head.fields:
        if field.name == name:
            return field.value
    return b""


class _Method(Piece):
    def of(self, record: Record) -> bytes:
        return b"" if record.request is None else record.request.method


class _Authority(Piece):
    def of(self, record: Record) -> bytes:
        return b"" if record.request is None else record.request.host


class _Path(Piece):
    def of(self, record: Record) -> bytes:
        return record.path


class _OriginalPath(Piece):
    def of(self, record: Record) -> bytes:
        return record.original_path


class _Either(Piece):
    """The first of two that says something."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Piece, second: Piece) -> None:
        super().__init__()
        self._first = first
        self._second = second

    def of(self, record: Record) -> bytes:
        return self._first.of(record) or self._second.of(record)


class _Protocol(Piece):
    def of(self, record: Record) -> bytes:
        return record.protocol


class _Status(Piece):
    def of(self, record: Record) -> bytes:
        return decimal(record.status)


class _Flags(Piece):
    def of(self, record: Record) -> bytes:
        return record.flags.encode() if record.flags else b"-"


class _Details(Piece):
    def of(self, record: Record) -> bytes:
        return b"via_upstream" if record.details == "via_upstream" else record.details.encode()


class _Termination(Piece):
    def of(self, record: Record) -> bytes:
        return record.termination.encode() if record.termination else b""


class _Failure(Piece):
    def of(self, record: Record) -> bytes:
        return record.failure.encode() if record.failure else b""


class _Received(Piece):
    def of(self, record: Record) -> bytes:
        return decimal(record.bytes_received)


class _Sent(Piece):
    def of(self, record: Record) -> bytes:
        return decimal(record.bytes_sent)


class _Duration(Piece):
    def of(self, record: Record) -> bytes:
        return decimal(int((record.ended - record.began) * 1000))


class _UpstreamHost(Piece):
    def of(self, record: Record) -> bytes:
        return record.upstream_host


class _Cluster(Piece):
    def of(self, record: Record) -> bytes:
        return record.cluster if record.destination is None else record.destination.observed


class _RawCluster(Piece):
    def of(self, record: Record) -> bytes:
        return record.cluster


class _UpstreamLocal(Piece):
    def of(self, record: Record) -> bytes:
        return record.upstream_local


class _DownstreamLocal(Piece):
    def of(self, record: Record) -> bytes:
        return record.downstream_local


class _DownstreamRemote(Piece):
    def of(self, record: Record) -> bytes:
        return record.downstream_remote


class _ServerName(Piece):
    def of(self, record: Record) -> bytes:
        return record.sni


class _Route(Piece):
    def of(self, record: Record) -> bytes:
        return record.route


_PLAIN: Final[dict[str, Callable[[], Piece]]] = {
    "PROTOCOL": _Protocol,
    "RESPONSE_CODE": _Status,
    "RESPONSE_FLAGS": _Flags,
    "RESPONSE_CODE_DETAILS": _Details,
    "CONNECTION_TERMINATION_DETAILS": _Termination,
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _Failure,
    "BYTES_RECEIVED": _Received,
    "BYTES_SENT": _Sent,
    "DURATION": _Duration,
    "UPSTREAM_HOST": _UpstreamHost,
    "UPSTREAM_CLUSTER": _Cluster,
    "UPSTREAM_CLUSTER_RAW": _RawCluster,
    "UPSTREAM_LOCAL_ADDRESS": _UpstreamLocal,
    "DOWNSTREAM_LOCAL_ADDRESS": _DownstreamLocal,
    "DOWNSTREAM_REMOTE_ADDRESS": _DownstreamRemote,
    "REQUESTED_SERVER_NAME": _ServerName,
    "ROUTE_NAME": _Route,
    "START_TIME": _Started,
}
"""Of operators without an argument."""
_PSEUDO: Final[dict[bytes, Callable[[], Piece]]] = {
    b":path": _Path,
    b"x-envoy-original-path": _OriginalPath,
    b":method": _Method,
    b":authority": _Authority,
    b"host": _Authority,
}
"""Of what ``REQ`` tells and is no field."""


def _request(name: str) -> Piece | None:
    lower = name.strip().lower().encode()
    pseudo = _PSEUDO.get(lower)
    if pseudo is not None:
        return pseudo()
    return None if lower.startswith(b":") else _RequestField(lower)


def _response(name: str) -> Piece | None:
    lower = name.strip().lower().encode()
    return None if lower.startswith(b":") else _ResponseField(lower)


def _piece(part: Part, absent: bytes) -> Piece:
    """The piece of an operator."""
    made: Piece | None = None
    if part.limit is None:
        if part.operator in ("REQ", "RESP"):
            of_one = _request if part.operator == "REQ" else _response
            found = [of_one(name) for name in part.argument.split("?")]
            made = found[0]
            if len(found) > 1 and found[0] is not None and found[1] is not None:
                made = _Either(found[0], found[1])
            elif len(found) > 1:
                made = None
        elif not part.argument and part.operator in _PLAIN:
            made = _PLAIN[part.operator]()
    if made is None:
        return _Told(function(text_value([part], absent.decode()), names_of([part])))
    made.absent = absent
    return made


class _Group:
    """Eight pieces, each behind a text."""

    __slots__ = ("_pieces", "_texts")

    def __init__(self, texts: list[bytes], pieces: list[Piece]) -> None:
        self._texts = texts
        self._pieces = pieces

    def of(self, record: Record) -> bytes:
        t, p = self._texts, self._pieces
        return b"%b%b%b%b%b%b%b%b%b%b%b%b%b%b%b%b" % (
            t[0], p[0].of(record) or p[0].absent, t[1], p[1].of(record) or p[1].absent,
            t[2], p[2].of(record) or p[2].absent, t[3], p[3].of(record) or p[3].absent,
            t[4], p[4].of(record) or p[4].absent, t[5], p[5].of(record) or p[5].absent,
            t[6], p[6].of(record) or p[6].absent, t[7], p[7].of(record) or p[7].absent,
        )  # fmt: skip


class Pieces:
    """A format, which says ``absent`` of what there is nothing to say of. Raises
    :class:`~mesh_proxy.telemetry.operators.FormatError`."""

    __slots__ = ("_groups",)

    def __init__(self, text: str, absent: bytes) -> None:
        texts: list[bytes] = []
        pieces: list[Piece] = []
        before = b""
        for part in read_format(text):
            if part.expression is None:
                before = part.text.encode()
            else:
                texts.append(before)
                pieces.append(_piece(part, absent))
                before = b""
        while before or not pieces or len(pieces) % _GROUP:
            texts.append(before)
            pieces.append(_Nothing())
            before = b""
        self._groups = [
            _Group(texts[place : place + _GROUP], pieces[place : place + _GROUP])
            for place in range(0, len(pieces), _GROUP)
        ]

    def of(self, record: Record) -> bytes:
        """The line of a record."""
        return b"".join([group.of(record) for group in self._groups])

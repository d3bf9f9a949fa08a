"""HTTP/1.1 heads, parsed once and strictly: any doubt is :class:`BadMessage` (RFC 9112; RFC 9110 for fields).

A header line that was seen before is looked up whole (performance.md: the largest single gain of a Python parser). Lines that
vary by request (ids, cookies, traces) are kept out of that table, so that it stays small and hot.
"""

import re
from typing import Final

from mesh_proxy.native import mypyc_attr

PASS: Final = 0
REQUEST_ID: Final = 1
FORWARDED_FOR: Final = 2
FORWARDED_PROTO: Final = 3
CLIENT_CERT: Final = 4
ATTEMPTS: Final = 5
EXTERNAL: Final = 6
LENGTH: Final = 7
EXPECT: Final = 8
DATE: Final = 9
OPERATION: Final = 10
REPLACED: Final = 11
INTERNAL: Final = 12
PEER: Final = 13
HOST: Final = 14
CONNECTION: Final = 15
HOP: Final = 16
ENCODING: Final = 17
UPGRADE: Final = 18
"""Kinds of fields: what the proxy has to do with one. Those before ``INTERNAL`` go on in requests; those from ``CONNECTION``
on never do. Each is written out, for then the compiled form has a number in its place and looks nothing up."""

_SAYS_NOTHING: Final = tuple(
    kind
    in (
        PASS,
        REQUEST_ID,
        FORWARDED_FOR,
        FORWARDED_PROTO,
        CLIENT_CERT,
        ATTEMPTS,
        EXTERNAL,
        OPERATION,
        REPLACED,
        INTERNAL,
        PEER,
        HOP,
    )
    for kind in range(UPGRADE + 1)
)
"""Whether a field of this kind says nothing about the message itself."""

KINDS: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"connection": CONNECTION,
    b"keep-alive": HOP,
    b"proxy-connection": HOP,
    b"te": HOP,
    b"transfer-encoding": ENCODING,
    b"content-length": LENGTH,
    b"expect": EXPECT,
    b"date": DATE,
    b"server": REPLACED,
    b"x-envoy-upstream-service-time": REPLACED,
    b"upgrade": UPGRADE,
    b"x-request-id": REQUEST_ID,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED_PROTO,
    b"x-forwarded-client-cert": CLIENT_CERT,
    b"x-envoy-internal": INTERNAL,
    b"x-envoy-force-trace": INTERNAL,
    b"x-envoy-decorator-operation": OPERATION,
    b"x-envoy-peer-metadata": PEER,
    b"x-envoy-peer-metadata-id": PEER,
    b"x-envoy-attempt-count": ATTEMPTS,
    b"x-envoy-external-address": EXTERNAL,
    b"x-envoy-expected-rq-timeout-ms": INTERNAL,
    b"x-envoy-original-path": INTERNAL,
    b"x-envoy-upstream-rq-timeout-ms": INTERNAL,
    b"x-envoy-max-retries": INTERNAL,
    b"x-envoy-retry-on": INTERNAL,
    b"x-envoy-retry-grpc-on": INTERNAL,
    b"x-envoy-retriable-status-codes": INTERNAL,
    b"x-envoy-retriable-header-names": INTERNAL,
    b"x-envoy-hedge-on-per-try-timeout": INTERNAL,
    b"x-envoy-upstream-rq-per-try-timeout-ms": INTERNAL,
}

VARYING: Final = frozenset(
    {b"x-request-id", b"traceparent", b"tracestate", b"cookie", b"set-cookie", b"authorization", b"date", b"etag",
     b"last-modified", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"b3", b"age", b"x-forwarded-for"}
)  # fmt: skip

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_AUTHORITY: Final = re.compile(rb"[-._~!$&'()*+,;=:@%\[\]0-9A-Za-z]*\Z")
ALLOWED_IN_FIELDS: Final = bytes(i for i in range(256) if i == 9 or 32 <= i < 127 or i > 127)
"""What the value of a field may be made of (RFC 9110 5.5)."""
_IN_VALUES: Final = bytes(i if i in ALLOWED_IN_FIELDS else i ^ 128 for i in range(256))
"""Leaves as it is what consists of these characters; ``translate`` is quickest with a table alone."""
_IN_TARGETS: Final = bytes(i if 32 < i < 127 and i != ord("#") else i ^ 128 for i in range(256))
"""The same of a request's target. A fragment is never sent (RFC 9112 3.2), and servers differ in whether it belongs to the
path."""
_SCANS: Final = 8
"""How often a field is looked for among all before it pays to make an index of them."""
_CACHE_LIMIT: Final = 8192
_LINE_LIMIT: Final = 192
_NAME_LIMIT: Final = 64
_MAX_FIELDS: Final = 100
"""Envoy's ``max_headers_count``."""
_STATUS_LIMIT: Final = 256
_VERSIONS: Final = frozenset({b"HTTP/1.1", b"HTTP/1.0"})
_AFTER_STATUS: Final = (b" ", b"")

_NOT_FOR_ONE_HOP: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
)
"""Fields that a request's ``Connection`` may not name: what frames and routes it, and what tells where it came from."""

_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_ABOUT_CONNECTION: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
_LONE_OPTIONS: Final = {
    word: frozenset({word.lower()}) for word in (b"keep-alive", b"Keep-Alive", b"close", b"upgrade")
}


@mypyc_attr(acyclic=True)
class Field:
    """One field of a head, never changed: its kind, its lower-case name, its value, and the line as it is sent on.

    A class and not a tuple: compiled, a tuple is taken apart and put together again wherever it goes.
    """

    __slots__ = ("kind", "line", "name", "value")

    def __init__(self, kind: int, name: bytes, value: bytes, line: bytes) -> None:
        self.kind: int = kind
        self.name: bytes = name
        self.value: bytes = value
        self.line: bytes = line

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Field) and other.kind == self.kind and other.line == self.line

    def __hash__(self) -> int:
        return hash(self.line)

    def __repr__(self) -> str:
        return f"Field({self.kind}, {self.name!r}, {self.value!r}, {self.line!r})"


TOO_MANY_FIELDS: Final = "http1.too_many_headers"


class BadMessage(Exception):  # noqa: N818 (said of the peer's message)
    """The message breaks the rules; the text is Envoy's ``%RESPONSE_CODE_DETAILS%``."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Head:
    """A parsed head. For requests ``method`` and ``target`` are set, for responses ``status`` and ``reason``.

    ``path`` and ``query`` are the parts of a target that has been looked at (:mod:`mesh_proxy.worker.admission`).

    ``length`` is the declared length of the body (-1: none), ``chunked`` whether it comes in chunks, ``close`` whether
    the connection ends after the message, ``options`` what ``Connection`` says of the connection, in lower case, ``dated``
    whether there is a date. ``scheme`` is what a request of HTTP/2 says of it. ``seen`` has the bit of each kind of field
    that the message came with.
    """

    __slots__ = (
        "_index", "_scans", "chunked", "close", "dated", "expect", "fields", "host", "length", "method", "minor", "options",
        "path", "query", "reason", "scheme", "seen", "status", "target", "upgrade",
    )  # fmt: skip

    def __init__(self) -> None:
        self.seen: int = 0
        self._index: dict[bytes, bytes] | None = None
        self._scans: int = 0
        self.method: bytes = b""
        self.target: bytes = b""
        self.scheme: bytes = b""
        self.path: bytes = b""
        self.query: bytes = b""
        self.status: int = 0
        self.reason: bytes = b""
        self.minor: int = 1
        self.fields: list[Field] = []
        self.host: bytes = b""
        self.length: int = -1
        self.chunked: bool = False
        self.close: bool = False
        self.expect: bool = False
        self.dated: bool = False
        self.options: frozenset[bytes] = _NO_OPTIONS
        self.upgrade: bytes = b""

    def get(self, name: bytes) -> bytes | None:
        """The value of a field by its lower-case name, several joined by commas; ``None`` when there is none."""
        index = self._index
        if index is None:
            if self._scans < _SCANS:
                self._scans += 1
                return _value_of(self.fields, name)
            index = self._index = _index_of(self.fields)
        return index.get(name)

    def index(self) -> dict[bytes, bytes]:
        """Values by name, as :meth:`get` gives them."""
        index = self._index
        if index is None:
            index = self._index = _index_of(self.fields)
        return index

    def values(self, name: bytes) -> list[bytes]:
        """The values of every field of that name."""
        return [field.value for field in self.fields if field.name == name]

    def add(self, field: Field) -> None:
        """One more field."""
        self.fields.append(field)
        index = self._index
        if index is not None:
            name, value = field.name, field.value
            index[name] = index[name] + b"," + value if name in index else value

    def discard(self, name: bytes) -> None:
        """Without the fields of that name: as :meth:`drop`, for one."""
        fields = self.fields
        for place in range(len(fields) - 1, -1, -1):
            if fields[place].name == name:
                fields.pop(place)
        if self._index is not None:
            self._index.pop(name, None)

    def drop(self, *names: bytes) -> None:
        """Without the fields of these names."""
        self.replace([field for field in self.fields if field.name not in names])

    def replace(self, fields: list[Field]) -> None:
        """Other fields."""
        self.fields = fields
        self._index = None


def _value_of(fields: list[Field], name: bytes) -> bytes | None:
    found: bytes | None = None
    for field in fields:
        if field.name == name:
            found = field.value if found is None else found + b"," + field.value
    return found


def _index_of(fields: list[Field]) -> dict[bytes, bytes]:
    index = {field.name: field.value for field in fields}
    if len(index) != len(fields):
        index.clear()
        for field in fields:
            name, value = field.name, field.value
            index[name] = index[name] + b"," + value if name in index else value
    return index


class Parser:
    """Parses heads; the tables of known lines and names belong to it, so two proxies in one process share nothing."""

    __slots__ = ("_known", "_names", "_statuses")

    def __init__(self) -> None:
        self._known: dict[bytes, Field] = {}
        self._names: dict[bytes, _Name] = {}
        self._statuses: dict[bytes, tuple[int, int, bytes]] = {}

    def request(self, data: bytes, most: int = _MAX_FIELDS) -> Head:
        """The request whose head (without the empty line) is ``data``, with at most so many fields."""
        return self.request_of(data.split(b"\r\n"), most)

    def request_of(self, lines: list[bytes], most: int = _MAX_FIELDS) -> Head:
        """The same of its lines."""
        if len(lines) > most + 1:
            raise BadMessage(TOO_MANY_FIELDS)
        words = lines[0].split(b" ")
        if len(words) != 3:
            raise BadMessage("http1.codec_error")
        head = Head()
        method, target, version = words[0], words[1], words[2]
        if method != b"GET" and method != b"POST" and _TOKEN.match(method) is None:
            raise BadMessage("http1.codec_error")
        if not target or target.translate(_IN_TARGETS) != target:
            raise BadMessage("http1.codec_error")
        head.method, head.target = method, target
        if version != b"HTTP/1.1":
            if version != b"HTTP/1.0":
                raise BadMessage("http1.codec_error")
            head.minor, head.close = 0, True
        self._fields(head, lines)
        if head.options and not head.options <= _ABOUT_CONNECTION:
            if not head.options.isdisjoint(_NOT_FOR_ONE_HOP):
                # Without them the next hop would read the request differently (Envoy refuses some, and frames anew).
                raise BadMessage("http1.connection_header_rejected")
            _leave_out_named(head)
        if head.upgrade and b"upgrade" not in head.options:
            head.upgrade = b""  # not asked of this hop (RFC 9110 7.8)
        if head.minor == 0 and head.chunked:
            raise BadMessage("http1.invalid_transfer_encoding")
        if method == b"CONNECT" and (head.chunked or head.length > 0):
            raise BadMessage("http1.body_disallowed")
        return head

    def response(self, data: bytes) -> Head:
        """The response whose head (without the empty line) is ``data``."""
        lines = data.split(b"\r\n")
        if len(lines) > _MAX_FIELDS + 1:
            raise BadMessage(TOO_MANY_FIELDS)
        known = self._statuses.get(lines[0])
        minor, status, reason = self._status(lines[0]) if known is None else known
        head = Head()
        head.status, head.reason = status, reason
        if not minor:
            head.minor, head.close = 0, True
        self._fields(head, lines)
        if head.minor == 0 and head.chunked:
            head.close = True  # its framing cannot be relied on (RFC 9112 6.1)
        if head.options and not head.options <= _ABOUT_CONNECTION:
            _leave_out_named(head)
        return head

    def _status(self, line: bytes) -> tuple[int, int, bytes]:
        """Minor version, status and reason of a line that is not known."""
        version, status = line[:8], line[9:12]
        if version not in _VERSIONS or line[8:9] != b" " or line[12:13] not in _AFTER_STATUS or not status.isdigit():
            raise BadMessage("http1.codec_error")
        if line.translate(_IN_VALUES) != line or int(status) < 100:
            raise BadMessage("http1.codec_error")
        found = (int(version == b"HTTP/1.1"), int(status), line[13:])
        if len(line) <= _NAME_LIMIT:
            if len(self._statuses) >= _STATUS_LIMIT:
                self._statuses.clear()
            self._statuses[line] = found
        return found

    def _fields(self, head: Head, lines: list[bytes]) -> None:
        known = self._known
        fields = head.fields
        seen = 0
        for place in range(1, len(lines)):
            line = lines[place]
            field = known.get(line)
            if field is None:
                field = self._parse(line)
            fields.append(field)
            kind = field.kind
            if not kind:
                continue
            if kind == HOST:
                if seen & 1 << HOST:
                    raise BadMessage("http1.multiple_host")
                head.host = field.value
            elif not _SAYS_NOTHING[kind]:
                _special(head, kind, field.value)
            seen |= 1 << kind
        head.seen = seen
        if head.chunked and head.length >= 0:
            # RFC 9112 6.3: both is how requests are smuggled; refused rather than mended.
            raise BadMessage("http1.content_length_and_chunked_not_allowed")

    def _parse(self, line: bytes) -> Field:
        """A line that is not known, all of which is looked at: no character but those that end lines controls anything."""
        spelt, colon, value = line.partition(b":")
        if not colon:
            raise BadMessage("http1.codec_error")
        name = self._names.get(spelt)
        if name is None:
            name = self._name(spelt)
        value = _trimmed(value)
        if value.translate(_IN_VALUES) != value:
            raise BadMessage("http1.codec_error")
        kind = name.kind
        if kind == HOST and _AUTHORITY.match(value) is None:
            raise BadMessage("http.invalid_authority")
        if kind == HOP and name.lower == b"te" and b"trailers" in value.lower():
            kind, value = PASS, b"trailers"  # the one that may go on, as calls of gRPC need it (Envoy)
        field = Field(kind, name.lower, value, b"%b%b\r\n" % (name.prefix, value))
        if not name.varies and len(line) <= _LINE_LIMIT:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[line] = field
        return field

    def _name(self, spelt: bytes) -> "_Name":
        """A name that is not known."""
        if _TOKEN.match(spelt) is None:
            raise BadMessage("http1.codec_error")
        found = _Name(spelt.lower())
        if len(spelt) <= _NAME_LIMIT:
            if len(self._names) >= _CACHE_LIMIT:
                self._names.clear()
            self._names[spelt] = found
        return found


class _Name:
    """A name of fields: their kind, itself in lower case, what is written before values, and whether values vary from one
    message to the next."""

    __slots__ = ("kind", "lower", "prefix", "varies")

    def __init__(self, lower: bytes) -> None:
        self.lower: bytes = lower
        self.kind: int = KINDS.get(lower, PASS)
        self.prefix: bytes = lower + b": "
        self.varies: bool = lower in VARYING


def _trimmed(line: bytes) -> bytes:
    """Without the space around it; compiled, quicker than ``strip``."""
    start, end = 0, len(line)
    while start < end and (line[start] == 32 or line[start] == 9):
        start += 1
    while end > start and (line[end - 1] == 32 or line[end - 1] == 9):
        end -= 1
    return line[start:end]


def field_of(name: bytes, value: bytes) -> Field:
    """A field as the proxy writes it; ``name`` in lower case."""
    return Field(PASS, name, value, b"%b: %b\r\n" % (name, value))


def parse_field(line: bytes) -> Field:
    """The field of one line without its end. Raises :class:`BadMessage`."""
    name, colon, rest = line.partition(b":")
    if not colon or _TOKEN.match(name) is None:
        raise BadMessage("http1.codec_error")
    value = rest.strip(b" \t")
    if value.translate(None, ALLOWED_IN_FIELDS):
        raise BadMessage("http1.codec_error")
    lower = name.lower()
    kind = KINDS.get(lower, PASS)
    if kind == HOST and _AUTHORITY.match(value) is None:
        raise BadMessage("http.invalid_authority")
    return Field(kind, lower, value, lower + b": " + value + b"\r\n")


def _length(value: bytes) -> int:
    """A length, digit by digit: compiled, that is quicker than what reads any number."""
    digits = len(value)
    if not digits or digits > 18:
        raise BadMessage("http1.invalid_content_length")
    length = 0
    for place in range(digits):
        digit = value[place] - 48
        if digit < 0 or digit > 9:
            raise BadMessage("http1.invalid_content_length")
        length = length * 10 + digit
    return length


def _special(head: Head, kind: int, value: bytes) -> None:
    if kind == LENGTH:
        if head.length >= 0:
            raise BadMessage("http1.invalid_content_length")
        head.length = _length(value)
    elif kind == ENCODING:
        if value.lower() != b"chunked" or head.chunked:
            raise BadMessage("http1.invalid_transfer_encoding")
        head.chunked = True
    elif kind == CONNECTION:
        words = _LONE_OPTIONS.get(value) or frozenset(word.strip(b" \t") for word in value.lower().split(b","))
        head.options = head.options | words if head.options else words
        if b"close" in head.options:
            head.close = True
        elif b"keep-alive" in words and head.minor == 0:
            head.close = False
    elif kind == EXPECT:
        if value.lower() != b"100-continue":
            raise BadMessage("http1.unsupported_expect")
        head.expect = True
    elif kind == UPGRADE:
        head.upgrade = value.lower()
    else:
        head.dated = True


def _leave_out_named(head: Head) -> None:
    """Without the fields that ``Connection`` names, which are for this hop only (RFC 9110 7.6.1).

    They are gone before anything looks at them, and forgotten, so that what a filter or the proxy itself adds under such a
    name stays. What frames a message is kept.
    """
    named = head.options - _ABOUT_CONNECTION
    head.options = head.options & _ABOUT_CONNECTION
    head.replace(
        [field for field in head.fields if field.name not in named or field.kind == LENGTH or field.kind == ENCODING]
    )
    seen = 0
    for field in head.fields:
        if field.kind:
            seen |= 1 << field.kind
    head.seen = seen


_GRPC_MOST: Final = 99_999_999
_GRPC_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def grpc_timeout(head: Head) -> float:
    """Seconds that a call of gRPC gives itself; 0: as long as it takes, also where it is not said in the right form."""
    value = head.get(b"grpc-timeout") or b""
    digits, unit = value[:-1], _GRPC_UNITS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > 8:
        return 0.0
    return int(digits) * unit


def written_grpc_timeout(seconds: float) -> bytes:
    """A time as calls of gRPC write it, in the smallest unit from milliseconds on that has no more than 8 digits."""
    time, units = int(seconds * 1000 + 0.5), b"mSMH"
    for place, divisor in enumerate((1, 1000, 60, 60)):
        time //= divisor
        if time <= _GRPC_MOST:
            return b"%d%b" % (time, units[place : place + 1])
    return b"%dH" % _GRPC_MOST


def is_grpc(head: Head) -> bool:
    """Whether it is a call of gRPC; gRPC-Web and the like are not (Envoy)."""
    kind = head.get(b"content-type")
    return kind is not None and is_grpc_type(kind)


def is_grpc_type(kind: bytes) -> bool:
    """Whether a content type is one of gRPC."""
    return kind == b"application/grpc" or kind.startswith(b"application/grpc+")

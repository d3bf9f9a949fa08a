"""HTTP/1.1 heads, parsed once and strictly: any doubt is :class:`BadMessage` (RFC 9112; RFC 9110 for fields).

A header line that was seen before is looked up whole (performance.md: the largest single gain of a Python parser). Lines that
vary by request (ids, cookies, traces) are kept out of that table, so that it stays small and hot.
"""

import re
from typing import Final

PASS, HOST, CONNECTION, LENGTH, ENCODING, HOP, EXPECT, UPGRADE, REQUEST_ID, FORWARDED_FOR, FORWARDED_PROTO, INTERNAL = (
    range(12)
)
"""Kinds of fields: what the proxy has to do with one."""

KINDS: Final[dict[bytes, int]] = {
    b"host": HOST,
    b"connection": CONNECTION,
    b"keep-alive": HOP,
    b"proxy-connection": HOP,
    b"te": HOP,
    b"transfer-encoding": ENCODING,
    b"content-length": LENGTH,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"x-request-id": REQUEST_ID,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED_PROTO,
    b"x-envoy-internal": INTERNAL,
    b"x-envoy-attempt-count": INTERNAL,
    b"x-envoy-expected-rq-timeout-ms": INTERNAL,
    b"x-envoy-original-path": INTERNAL,
    b"x-envoy-upstream-rq-timeout-ms": INTERNAL,
    b"x-envoy-max-retries": INTERNAL,
    b"x-envoy-retry-on": INTERNAL,
    b"x-envoy-decorator-operation": INTERNAL,
}

VARYING: Final = frozenset(
    {b"x-request-id", b"traceparent", b"tracestate", b"cookie", b"set-cookie", b"authorization", b"date", b"etag",
     b"last-modified", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid", b"b3", b"age", b"x-forwarded-for"}
)  # fmt: skip

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
# A fragment is never sent (RFC 9112 3.2); servers differ in whether it belongs to the path.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!\"$-~]+) HTTP/1\.([01])\Z")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\Z")
_AUTHORITY = re.compile(rb"[-._~!$&'()*+,;=:@%\[\]0-9A-Za-z]*\Z")
_ALLOWED = bytes(i for i in range(256) if i == 9 or 32 <= i < 127 or i > 127)
_CACHE_LIMIT, _LINE_LIMIT = 8192, 192

_NOT_FOR_ONE_HOP: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
)
"""Fields that a request's ``Connection`` may not name: what frames and routes it, and what tells where it came from."""

_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()
_ABOUT_CONNECTION: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
_LONE_OPTIONS: Final = {
    word: frozenset({word.lower()}) for word in (b"keep-alive", b"Keep-Alive", b"close", b"upgrade")
}

Field = tuple[int, bytes, bytes, bytes]
"""Kind, lower-case name, value, and the line as it is sent on."""


class BadMessage(Exception):  # noqa: N818 (said of the peer's message)
    """The message breaks the rules; the text is Envoy's ``%RESPONSE_CODE_DETAILS%``."""


class Head:
    """A parsed head. For requests ``method`` and ``target`` are set, for responses ``status`` and ``reason``.

    ``length`` is the declared length of the body (-1: none), ``chunked`` whether it comes in chunks, ``close`` whether
    the connection ends after the message, ``options`` what ``Connection`` says, in lower case.
    """

    __slots__ = (
        "chunked", "close", "expect", "fields", "host", "length", "method", "minor", "options", "reason", "status", "target",
        "upgrade",
    )  # fmt: skip

    def __init__(self) -> None:
        self.method: bytes = b""
        self.target: bytes = b""
        self.status: int = 0
        self.reason: bytes = b""
        self.minor: int = 1
        self.fields: list[Field] = []
        self.host: bytes = b""
        self.length: int = -1
        self.chunked: bool = False
        self.close: bool = False
        self.expect: bool = False
        self.options: frozenset[bytes] = _NO_OPTIONS
        self.upgrade: bytes = b""

    def get(self, name: bytes) -> bytes | None:
        """The value of a field by its lower-case name, several joined by commas; ``None`` when there is none."""
        values = [field[2] for field in self.fields if field[1] == name]
        return b",".join(values) if values else None


class Parser:
    """Parses heads; the table of known lines belongs to it, so two proxies in one process share nothing."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Field] = {}

    def request(self, data: bytes) -> Head:
        """The request whose head (without the empty line) is ``data``."""
        lines = data.split(b"\r\n")
        found = _REQUEST_LINE.match(lines[0])
        if found is None:
            raise BadMessage("http1.codec_error")
        head = Head()
        head.method, head.target, head.minor = found[1], found[2], 1 if found[3] == b"1" else 0
        head.close = head.minor == 0
        self._fields(head, lines)
        if head.options and not head.options.isdisjoint(_NOT_FOR_ONE_HOP):
            # Without them the next hop would read the request differently (Envoy refuses some, and frames anew).
            raise BadMessage("http1.connection_header_rejected")
        if head.upgrade and b"upgrade" not in head.options:
            head.upgrade = b""  # not asked of this hop (RFC 9110 7.8)
        if head.minor == 0 and head.chunked:
            raise BadMessage("http1.invalid_transfer_encoding")
        if head.method == b"CONNECT" and (head.chunked or head.length > 0):
            raise BadMessage("http1.body_disallowed")
        return head

    def response(self, data: bytes) -> Head:
        """The response whose head (without the empty line) is ``data``."""
        lines = data.split(b"\r\n")
        found = _STATUS_LINE.match(lines[0])
        if found is None:
            raise BadMessage("http1.codec_error")
        head = Head()
        head.status, head.minor, head.reason = int(found[2]), int(found[1]), found[3] or b""
        head.close = head.minor == 0
        self._fields(head, lines)
        if head.minor == 0 and head.chunked:
            head.close = True  # its framing cannot be relied on (RFC 9112 6.1)
        return head

    def _fields(self, head: Head, lines: list[bytes]) -> None:
        known = self._known
        fields = head.fields
        hosts = 0
        for position in range(1, len(lines)):
            line = lines[position]
            field = known.get(line)
            if field is None:
                field = self._parse(line)
            kind = field[0]
            if kind == PASS:
                fields.append(field)
                continue
            if kind == HOST:
                hosts += 1
                head.host = field[2]
            elif kind != HOP:
                _special(head, kind, field[2])
            fields.append(field)
        if hosts > 1:
            raise BadMessage("http1.multiple_host")
        if head.chunked and head.length >= 0:
            # RFC 9112 6.3: both is how requests are smuggled; refused rather than mended.
            raise BadMessage("http1.content_length_and_chunked_not_allowed")

    def _parse(self, line: bytes) -> Field:
        field = parse_field(line)
        if len(line) <= _LINE_LIMIT and field[1] not in VARYING:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[line] = field
        return field


def parse_field(line: bytes) -> Field:
    """The field of one line without its end. Raises :class:`BadMessage`."""
    name, colon, rest = line.partition(b":")
    if not colon or _TOKEN.match(name) is None:
        raise BadMessage("http1.codec_error")
    value = rest.strip(b" \t")
    if value.translate(None, _ALLOWED):
        raise BadMessage("http1.codec_error")
    lower = name.lower()
    kind = KINDS.get(lower, PASS)
    if kind == HOST and _AUTHORITY.match(value) is None:
        raise BadMessage("http.invalid_authority")
    return (kind, lower, value, lower + b": " + value + b"\r\n")


def _special(head: Head, kind: int, value: bytes) -> None:
    if kind == LENGTH:
        if not value.isdigit() or len(value) > 18 or head.length >= 0:
            raise BadMessage("http1.invalid_content_length")
        head.length = int(value)
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


def named_by_connection(head: Head) -> frozenset[bytes]:
    """The fields that ``Connection`` names; they are for this hop only (RFC 9110 7.6.1)."""
    return head.options - _ABOUT_CONNECTION if head.options else head.options


def is_grpc(head: Head) -> bool:
    """Whether it is a call of gRPC; gRPC-Web and the like are not (Envoy)."""
    kind = head.get(b"content-type") or b""
    return kind == b"application/grpc" or kind.startswith(b"application/grpc+")

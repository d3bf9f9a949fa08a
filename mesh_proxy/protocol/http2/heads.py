"""Header blocks to heads of messages, and what makes one malformed (RFC 9113 8.1 to 8.5), by Envoy's names.

Blocks that were seen before are looked up whole, as long as the table that they refer to is the same.
"""

from typing import Final

from mesh_proxy.protocol.http1 import DATE, EXPECT, HOST, LENGTH, PASS, Field, Head
from mesh_proxy.protocol.http2.fields import (
    AUTHORITY,
    COOKIE,
    METHOD,
    PATH,
    PROTOCOL,
    SCHEME,
    STATUS,
)
from mesh_proxy.protocol.http2.hpack_decoder import Decoder

INVALID_FIELD: Final = "http2.invalid.header.field"
BROKEN_RULE: Final = "http2.violation.of.messaging.rule"
TOO_MANY: Final = "http2.too_many_headers"
TOO_LARGE: Final = "http2.header_list_size_too_large"
UNDERSCORE: Final = "http2.unexpected_underscore"

ALLOW: Final = "ALLOW"
REJECT_REQUEST: Final = "REJECT_REQUEST"
DROP_HEADER: Final = "DROP_HEADER"
"""What is done about underscores in names (``HeadersWithUnderscoresAction``)."""

_MEMO_LIMIT: Final = 256
_MEMO_LENGTH: Final = 1024
_REST: Final = 2048
"""How many blocks are not remembered after a memo that was of no use."""


class HeadReader:
    """Reads the blocks of one connection, in their order.

    A result of ``None`` has its reason in ``error``, Envoy's ``%RESPONSE_CODE_DETAILS%``; when it is empty the block cannot
    be decoded, which ends the connection.
    """

    __slots__ = (
        "_changes",
        "_decoder",
        "_extended",
        "_heads",
        "_hits",
        "_rejects",
        "_rest",
        "_trailers",
        "_underscores",
        "error",
    )

    def __init__(self, decoder: Decoder, underscores: str, extended_connect: bool) -> None:
        self._decoder = decoder
        self._underscores: bool = underscores != ALLOW
        self._rejects: bool = underscores == REJECT_REQUEST
        self._extended = extended_connect
        self._heads: dict[bytes, Head] = {}
        self._trailers: dict[bytes, list[Field]] = {}
        self._changes: int = 0
        self._hits: int = 0
        self._rest: int = 0
        self.error: str = ""

    def allow(self, table_size: int) -> None:
        """The peer knows how large its table may be: if it has to shrink it, no block is what it was."""
        self._decoder.allow(table_size)
        self._heads.clear()
        self._trailers.clear()

    def request(self, block: bytes) -> Head | None:
        """A request's head."""
        return self._head(block, True)

    def response(self, block: bytes) -> Head | None:
        """The head of an answer, or of an interim one."""
        return self._head(block, False)

    def _head(self, block: bytes, asks: bool) -> Head | None:
        known = self._heads.get(block)
        if known is not None:
            self._hits += 1
            return _copy(known)
        fields = self._fields(block)
        if fields is None:
            return None
        head = self._request(fields) if asks else self._response(fields)
        if head is not None and self._remembers(block):
            self._heads[block] = _copy(head)
        return head

    def trailers(self, block: bytes) -> list[Field] | None:
        """Trailers; those that would frame, route or vouch for a message are dropped (RFC 9110 6.5.1)."""
        known = self._trailers.get(block)
        if known is not None:
            self._hits += 1
            return known.copy()
        fields = self._fields(block)
        if fields is None:
            return None
        kept: list[Field] = []
        for field in fields:
            kind = field.kind
            if kind == PASS:
                kept.append(field)
            elif kind == LENGTH or (kind < 0 and kind != COOKIE):
                self.error = INVALID_FIELD
                return None
        if self._remembers(block):
            self._trailers[block] = kept.copy()
        return kept

    def skip(self, block: bytes) -> bool:
        """Reads a block for the table alone; whether it can be decoded."""
        fields = self._decoder.decode(block)
        self._renew()
        return fields is not None

    def _fields(self, block: bytes) -> list[Field] | None:
        decoder = self._decoder
        fields = decoder.decode(block)
        self._renew()
        self.error = ""
        if fields is None:
            return None
        if decoder.oversized or decoder.crowded:
            self.error = TOO_LARGE if decoder.oversized else TOO_MANY
            return None
        if self._underscores:
            kept = [field for field in fields if b"_" not in field.name]
            if len(kept) != len(fields) and self._rejects:
                self.error = UNDERSCORE
                return None
            return kept
        return fields

    def _renew(self) -> None:
        """Forget what a change of the table has made untrue."""
        changes = self._decoder.changes
        if changes != self._changes:
            self._changes = changes
            if self._heads:
                self._heads.clear()
            if self._trailers:
                self._trailers.clear()

    def _remembers(self, block: bytes) -> bool:
        """Whether the block is worth remembering, for which there is room then."""
        if self._rest > 0:
            self._rest -= 1
            return False
        if len(block) > _MEMO_LENGTH:
            return False
        if len(self._heads) + len(self._trailers) >= _MEMO_LIMIT:
            self._heads.clear()
            self._trailers.clear()
            useless = self._hits < _MEMO_LIMIT
            self._hits = 0
            if useless:  # every block is another: remembering them costs more than it gives
                self._rest = _REST
                return False
        return True

    def _request(self, fields: list[Field]) -> Head | None:
        head = Head()
        kept: list[Field] = []
        crumbs: list[bytes] = []
        protocol = host = b""
        self.error = INVALID_FIELD
        regular = False
        for field in fields:
            kind = field.kind
            if kind >= 0:
                regular = True
                if kind == HOST:
                    if host:
                        return None
                    host = field.value
                    continue
                if kind != PASS and not _note(head, kind, field.value):
                    return None
                kept.append(field)
            elif kind == COOKIE:
                regular = True
                crumbs.append(field.value)
                kept.append(Field(PASS, field.name, field.value, field.line))
            elif regular:
                return None
            elif not _pseudo(head, kind, field.value):
                if kind != PROTOCOL or protocol or not self._extended:
                    return None
                protocol = field.value
        head.fields = _whole_cookie(kept, crumbs) if len(crumbs) > 1 else kept
        self.error = _incomplete(head, protocol, host)
        return None if self.error else head

    def _response(self, fields: list[Field]) -> Head | None:
        head = Head()
        kept: list[Field] = []
        self.error = INVALID_FIELD
        for field in fields:
            kind = field.kind
            if kind >= 0:
                if kind in (LENGTH, DATE) and not _note(head, kind, field.value):
                    return None
                kept.append(field)
            elif kind == COOKIE:
                kept.append(Field(PASS, field.name, field.value, field.line))
            elif kind == STATUS and not head.status and not kept:
                head.status = int(field.value)
            else:
                return None
        head.fields = kept
        # 101 asks for another protocol, which HTTP/2 does not do (RFC 9113 8.6).
        self.error = BROKEN_RULE if head.status < 100 or head.status == 101 else ""
        return None if self.error else head


def _pseudo(head: Head, kind: int, value: bytes) -> bool:
    """Take note of a pseudo-header field of a request; whether it may stand there."""
    if kind == METHOD and not head.method:
        head.method = value
    elif kind == PATH and not head.target:
        head.target = value
    elif kind == SCHEME and not head.scheme:
        head.scheme = value
    elif kind == AUTHORITY and not head.host:
        head.host = value
    else:
        return False
    return True


def _note(head: Head, kind: int, value: bytes) -> bool:
    """Take note of a field that says something of the message; whether it may stand there."""
    head.seen |= 1 << kind
    if kind == LENGTH:
        if head.length >= 0:
            return False
        head.length = int(value)
    elif kind == DATE:
        head.dated = True
    elif kind == EXPECT and value.lower() == b"100-continue":
        head.expect = True
    return True


def _incomplete(head: Head, protocol: bytes, host: bytes) -> str:
    """Why a request is not one; empty: it is. Its fields begin with ``host`` afterwards, which is its authority."""
    method, target = head.method, head.target
    if method == b"CONNECT" and not protocol:
        whole = not target and not head.scheme and head.host != b""
    else:
        whole = method != b"" and head.scheme != b"" and _is_target(target, method)
        if protocol:
            whole = whole and method == b"CONNECT" and head.host != b""
        elif not head.host:
            head.host = host
            whole = whole and host != b""
    if not whole:
        return BROKEN_RULE
    # Where both are there, the authority is what counts, and what is sent on (Envoy; RFC 9113 8.3.1).
    head.fields.insert(0, Field(HOST, b"host", head.host, b"host: " + head.host + b"\r\n"))
    head.upgrade = protocol.lower()
    return ""


def _is_target(target: bytes, method: bytes) -> bool:
    # As in HTTP/1.1, into which this may be translated: no fragment is sent, and servers differ about it.
    if target[:1] != b"/":
        return target == b"*" and method == b"OPTIONS"
    return not target.partition(b"#")[1] and target.isascii()  # quicker than "in", which first takes it for a number


def _whole_cookie(fields: list[Field], crumbs: list[bytes]) -> list[Field]:
    """One field of all crumbs, where the first one stood (RFC 9113 8.2.3)."""
    whole = b"; ".join(crumbs)
    kept: list[Field] = []
    first = True
    for field in fields:
        if field.name != b"cookie":
            kept.append(field)
        elif first:
            first = False
            kept.append(Field(PASS, b"cookie", whole, b"cookie: " + whole + b"\r\n"))
    return kept


def _copy(head: Head) -> Head:
    """Another head that says the same; whoever gets it may change it."""
    copy = Head()
    copy.method = head.method
    copy.target = head.target
    copy.scheme = head.scheme
    copy.host = head.host
    copy.status = head.status
    copy.seen = head.seen
    copy.length = head.length
    copy.expect = head.expect
    copy.dated = head.dated
    copy.upgrade = head.upgrade
    copy.fields = head.fields.copy()
    return copy

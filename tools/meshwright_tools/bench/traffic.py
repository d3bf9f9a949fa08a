"""The requests of ``make bench``, as files for ``programs/load``: they vary as real traffic does.

Ids, cookies, traces, tokens and queries are other ones in every request (the program writes digits that no other request has
into the places marked here), paths and bodies come in turn from many, and clients are of several kinds.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from meshwright_tools.bench.proxy_bootstrap import HOST

UNIQUE = b"########"
"""Eight digits that no other request has."""
VARIANTS = 512
_AGENTS = (
    b"python-requests/2.31.0",
    b"Go-http-client/1.1",
    b"okhttp/4.12.0",
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
)
_PLACES = (b"items", b"orders", b"users", b"carts", b"catalogue/books", b"reviews", b"search", b"prices")


def write(path: Path, requests: Iterable[bytes]) -> Path:
    """A file in the form that ``programs/load.c`` reads."""
    with path.open("wb") as file:
        for request in requests:
            offsets = [found.start() for found in re.finditer(UNIQUE, request)]
            file.write(struct.pack(f"<{2 + len(offsets)}I", len(request), len(offsets), *offsets))
            file.write(request + bytes(-len(request) % 4))
    return path


def plain(size: int) -> Iterator[bytes]:
    """What a load generator sends: a path and three fields. Answers have about ``size`` bytes."""
    for number in range(VARIANTS):
        agent = _AGENTS[number % 4]
        yield (
            b"GET /bytes/%d/%b/%d?id=%b HTTP/1.1\r\nHost: %b\r\nUser-Agent: %b\r\nAccept: */*\r\n\r\n"
            % (size, _PLACES[number % 8], number, UNIQUE, HOST.encode(), agent)
        )


def realistic(size: int, body: int = 0) -> Iterator[bytes]:
    """What an application sends: tokens, a trace, a cookie. ``body``: bytes that are posted, and up to 63 more."""
    chance = random.Random(7)
    for number in range(VARIANTS):
        length = body + chance.randrange(64) if body else 0
        fields = [
            b"Host: " + HOST.encode(),
            b"User-Agent: " + _AGENTS[number % 4],
            b"Accept: application/json, text/plain, */*",
            b"Accept-Encoding: gzip, deflate, br",
            b"Content-Type: application/json",
            b"Authorization: Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6IkRIRmJwb0lVcXJZOHQyenBBMnFYZkNtcjVW." + UNIQUE * 3,
            b"X-Request-Id: %b-1b3c-4d5e-a6f7-0000%b" % (UNIQUE, UNIQUE),
            b"Traceparent: 00-%b4bf92f3577b34da6%b-00f067aa%b-01" % (UNIQUE, UNIQUE, UNIQUE),
            b"Cookie: session=%b; theme=dark; seen=%d" % (UNIQUE, number),
        ]
        if length:
            fields.append(b"Content-Length: %d" % length)
        line = b"%b /bytes/%d/api/v1/%b/%d?page=%d&token=%b HTTP/1.1" % (
            b"POST" if length else b"GET", size, _PLACES[number % 8], number, number % 9, UNIQUE,
        )  # fmt: skip
        yield b"\r\n".join([line, *fields, b"", b""]) + chance.randbytes(length // 2).hex().encode().ljust(length, b"x")


def calls() -> Iterator[bytes]:
    """Blocks of HPACK as a client of gRPC sends them: what is always the same enters the table with the first call, then ids
    and timeouts are what is left."""
    always = (
        (4, b"/shop.Prices/Get"), (1, HOST.encode()), (31, b"application/grpc"), (58, b"grpc-go/1.75.0"),
    )  # fmt: skip
    first = b"\x83\x86" + b"".join(_indexed(name, value) for name, value in always) + _new(b"te", b"trailers")
    yield first + _varying(0)
    # The newest entry of the table is 62 (RFC 7541 2.3.3).
    later = b"\x83\x86" + bytes(0x80 | (66 - place) for place in range(5))
    for number in range(1, VARIANTS):
        yield later + _varying(number)


def _varying(number: int) -> bytes:
    timeout = b"%dm" % (900 + number % 100)
    return _literal(b"grpc-timeout", timeout) + _literal(
        b"x-request-id", b"%b-1b3c-4d5e-a6f7-0000%b" % (UNIQUE, UNIQUE)
    )


def _indexed(name: int, value: bytes) -> bytes:
    """A field with a name of the static table, that enters the dynamic one (RFC 7541 6.2.1)."""
    return bytes([0x40 | name]) + _text(value)


def _new(name: bytes, value: bytes) -> bytes:
    return b"\x40" + _text(name) + _text(value)


def _literal(name: bytes, value: bytes) -> bytes:
    """A field that enters no table (RFC 7541 6.2.2)."""
    return b"\x00" + _text(name) + _text(value)


def _text(value: bytes) -> bytes:
    assert len(value) < 127
    return bytes([len(value)]) + value

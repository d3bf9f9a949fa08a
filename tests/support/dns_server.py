"""A server of DNS on a loopback port, over UDP and TCP: answers what a table says."""

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Mapping, Sequence

A, AAAA, CNAME, SOA = 1, 28, 5, 6


def name(text: str) -> bytes:
    """A name on the wire."""
    return b"".join(bytes((len(label),)) + label.encode() for label in text.split(".") if label) + b"\0"


def record(owner: str, value: str, ttl: int = 60) -> bytes:
    """An address, or an alias, on the wire."""
    try:
        data = ipaddress.ip_address(value).packed
        kind = A if len(data) == 4 else AAAA
    except ValueError:
        data, kind = name(value), CNAME
    return name(owner) + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def message(query: bytes, records: Sequence[bytes] = (), code: int = 0, truncated: bool = False) -> bytes:
    """The answer to a query."""
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    return query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + question_of(query)[0] + b"".join(records)


def question_of(query: bytes) -> tuple[bytes, str, int]:
    """The question's bytes, its name and its type."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    return query[12 : at + 5], ".".join(labels), int.from_bytes(query[at + 1 : at + 3], "big")


def by_table(table: Mapping[tuple[str, int], Sequence[str]], ttl: int = 17) -> Callable[[bytes, str], bytes | None]:
    """Answers with what a table has for a name and a kind; a name that it has not does not exist."""

    def answer(query: bytes, _transport: str) -> bytes | None:
        _, name, kind = question_of(query)
        known = any(name == found for found, _ in table)
        return message(query, [record(name, value, ttl) for value in table.get((name, kind), ())], 0 if known else 3)

    return answer


class DnsServer:
    """``answering`` makes the bytes for a query and a transport (``udp``, ``tcp``); ``None``: silence."""

    def __init__(self, answering: Callable[[bytes, str], bytes | None]) -> None:
        self.answering = answering
        self.asked: list[tuple[str, int, str]] = []
        self._stream = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._stream.getsockname()[1])
        self._datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagram.bind(("127.0.0.1", self.port))
        for serve in (self._serve_datagrams, self._serve_streams):
            threading.Thread(target=serve, daemon=True).start()

    def _answer(self, query: bytes, transport: str) -> bytes | None:
        _, asked, kind = question_of(query)
        self.asked.append((asked, kind, transport))
        return self.answering(query, transport)

    def _serve_datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                query, peer = self._datagram.recvfrom(4096)
                if not query:
                    return
                made = self._answer(query, "udp")
                if made is not None:
                    self._datagram.sendto(made, peer)

    def _serve_streams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._stream.accept()
                with peer:
                    query = peer.recv(4096)
                    made = self._answer(query[2:], "tcp")
                    if made is not None:
                        peer.sendall(struct.pack(">H", len(made)) + made)

    def close(self) -> None:
        """Stop."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waking:
            waking.sendto(b"", ("127.0.0.1", self.port))
        self._datagram.close()

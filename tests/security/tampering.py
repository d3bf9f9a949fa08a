"""A host in the network between a client and a proxy, which changes what the client sends over TLS, one record of it.

What is changed is drawn by the name of a case, so that it is the same before a real Envoy and before our proxy.
"""

import contextlib
import random
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.parity.case_files import Case, CaseFile
from tests.parity.sides import Through
from tests.support.raw_http import ScriptedServer, Wire

HEAD = 5
"""Bytes of a record's head: its type, a version, a length (RFC 8446 5.1)."""
Change = Callable[[random.Random, bytes], bytes]


def _flipped(dice: random.Random, record: bytes) -> bytes:
    """One bit of its content is another."""
    place = dice.randrange(HEAD, len(record))
    return record[:place] + bytes((record[place] ^ 1 << dice.randrange(8),)) + record[place + 1 :]


def _of_another_type(dice: random.Random, record: bytes) -> bytes:
    kind = dice.choice([kind for kind in (0, 20, 21, 22, 23, 24, 71, 255) if kind != record[0]])
    return bytes((kind,)) + record[1:]


def _of_another_length(dice: random.Random, record: bytes) -> bytes:
    """The length that it tells is not the one that it has: what follows is read as something else."""
    length = max(0, len(record) - HEAD + dice.choice((-20, -3, -1, 1, 3, 20, 5000)))
    return record[:3] + length.to_bytes(2, "big") + record[HEAD:]


def _cut(dice: random.Random, record: bytes) -> bytes:
    """Its end is missing, and its length is right."""
    left = dice.randrange(len(record) - HEAD)
    return record[:3] + left.to_bytes(2, "big") + record[HEAD : HEAD + left]


def _dropped(_dice: random.Random, _record: bytes) -> bytes:
    return b""


def _twice(_dice: random.Random, record: bytes) -> bytes:
    return record + record


def _after_noise(dice: random.Random, record: bytes) -> bytes:
    """A record that nobody has sent comes before it."""
    noise = dice.randbytes(dice.choice((0, 1, 2, 16, 64)))
    return bytes((dice.choice((20, 21, 22, 23)), 3, 3)) + len(noise).to_bytes(2, "big") + noise + record


def _in_pieces(dice: random.Random, record: bytes) -> bytes:
    """The same content in two records: nothing is wrong with that as long as none of it is encrypted."""
    place = dice.randrange(HEAD + 1, len(record)) if len(record) > HEAD + 1 else HEAD
    parts = record[HEAD:place], record[place:]
    return b"".join(record[:3] + len(part).to_bytes(2, "big") + part for part in parts if part)


CHANGES: tuple[Change, ...] = (
    _flipped, _flipped, _of_another_type, _of_another_length, _cut, _dropped, _twice, _after_noise, _in_pieces,
)  # fmt: skip
VERSIONS = (None, ["1.2", "1.2"], ["1.3", "1.3"])


@dataclass(frozen=True, slots=True)
class Draw:
    """What is done to which of the client's records."""

    change: Change
    record: int
    seed: int

    @property
    def name(self) -> str:
        """What it is called in a case's name."""
        return f"record {self.record} {self.change.__name__.strip('_').replace('_', ' ')}"


def cases(name: str, config: dict[str, object], seed: int, count: int) -> tuple[CaseFile, dict[str, Draw]]:
    """So many requests by TLS as a file of cases, and by the name of each what is done on its way."""
    dice = random.Random(seed)
    made: list[Case] = []
    draws: dict[str, Draw] = {}
    for number in range(count):
        draw = Draw(dice.choice(CHANGES), dice.choice((0, 0, 1, 2, 2, 3, 4)), dice.getrandbits(32))
        tls: dict[str, object] = {"certificate": "client", "protocols": ["istio-http/1.1", "istio", "http/1.1"]}
        if (versions := dice.choice(VERSIONS)) is not None:
            tls["versions"] = versions
        called = f"{number}: {draw.name} of TLS {versions[0] if versions else 'as agreed'}"
        made.append(Case(called, "ask", "GET /tampered", tls=tls, patience=3.0))
        draws[called] = draw
    return CaseFile("security", name, "What was changed on its way reaches nobody.", config, tuple(made)), draws


def between(draws: Mapping[str, Draw]) -> Through:
    """Stands between clients and a port in the cases of these names."""

    def through(case: Case, port: int) -> AbstractContextManager[int]:
        draw = draws.get(case.name)
        return contextlib.nullcontext(port) if draw is None else _standing(draw, port)

    return through


@contextlib.contextmanager
def _standing(draw: Draw, port: int) -> Iterator[int]:
    def serve(wire: Wire, _number: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as proxy:
            _relay(draw, wire.sock, proxy)

    server = ScriptedServer(serve)
    try:
        yield server.port
    finally:
        server.close()


def _relay(draw: Draw, client: socket.socket, proxy: socket.socket) -> None:
    """Until either side ends; what it has sent last is passed on."""
    records, count = bytearray(), 0
    while True:
        ready, _, _ = select.select([client, proxy], [], [])
        if proxy in ready:
            data = proxy.recv(1 << 16)
            if not data:
                return
            client.sendall(data)
            continue
        data = client.recv(1 << 16)
        if not data:
            return
        records += data
        while len(records) >= HEAD and len(records) >= (end := HEAD + int.from_bytes(records[3:HEAD], "big")):
            record = bytes(records[:end])
            del records[:end]
            if count == draw.record and len(record) > HEAD:
                record = draw.change(random.Random(draw.seed), record)
            count += 1
            proxy.sendall(record)

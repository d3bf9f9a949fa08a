"""Random damage to requests of HTTP/1, as a case file. A second, plain request follows each, and the connection's end.

Methods stay whole: Envoy takes those that it knows, and ours any name (a difference of ``protocols/http1/messages``).
"""

import random

from tests.parity.case_files import Case, CaseFile

HEADS = (
    b"GET /a HTTP/1.1\r\nhost: test\r\nx-a: b\r\n\r\n",
    b"POST /a HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nx-a: b\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"PUT /a?b HTTP/1.1\r\nhost: test\r\nTransfer-Encoding: chunked\r\nx-a:b\r\n\r\n1;x\r\na\r\n0\r\nx-t: 1\r\n\r\n",
)
LAST = b"GET /last HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
BYTES = b"\r\n\t \x00\x0b\x7f\xff:;,=+-_/%0159aAxX\"'()"
LINES = (
    b"content-length: 3\r\n",
    b"content-length: 0\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: identity\r\n",
    b"connection: keep-alive\r\n",
    b"host: other\r\n",
    b" folded\r\n",
    b"\r\n",
    b"expect: 100-continue\r\n",
)


def damaged(seed: int, count: int) -> CaseFile:
    """So many requests, each damaged in one place or two."""
    dice = random.Random(seed)
    cases = []
    for number in range(count):
        data = dice.choice(HEADS)
        for _ in range(dice.choice((1, 1, 1, 2))):
            data = _damage(dice, data)
        cases.append(Case(f"{number}: {data!r}", "raw", [data, LAST], answers=3, patience=0.5))
    return CaseFile("random", f"bytes{seed}", "Damaged requests.", {}, tuple(cases))


def _damage(dice: random.Random, data: bytes) -> bytes:
    place = dice.randrange(data.index(b" ") + 1, len(data))
    kind = dice.randrange(5)
    if kind == 0:
        return data[:place] + bytes((dice.choice(BYTES),)) + data[place:]
    if kind == 1:
        return data[:place] + data[place + 1 :]
    if kind == 2:
        return data[:place] + bytes((dice.choice(BYTES),)) + data[place + 1 :]
    lines = data.split(b"\r\n")
    line = dice.randrange(1, len(lines))
    repeated = lines[max(line - 1, 1)]
    if kind == 3:
        return b"\r\n".join([*lines[:line], dice.choice(LINES)[:-2], *lines[line:]])
    return b"\r\n".join([*lines[:line], repeated, *lines[line:]])

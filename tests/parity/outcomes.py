"""What came of a case, flat and by names, and without what differs from one run to the next."""

import re
import zlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.parity.backends import Seen
from tests.parity.case_files import Case
from tests.parity.clients import Fields, Heard
from tests.parity.configuration import LOGGED
from tests.support.denials import in_envoys_words

Outcome = dict[str, Any]
"""``status``, ``body``, ``end``, ``answer NAME``, ``trailer NAME``; ``seen NAME`` of what a server was asked, ``log NAME`` of
a line of the access log, ``stat NAME`` of what was counted. Of a second answer, server or line the name begins with ``2``."""

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
NAMED = re.compile(r"(?<=[a-z0-9.\]]):([0-9]{4,5})\b")
LOOPBACK = re.compile(r"\b127\.0\.0\.1:([0-9]+)\b")
DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT")
TOOK, LEFT = "x-envoy-upstream-service-time", "x-envoy-expected-rq-timeout-ms"
ORDINALS = ("first", "second", "third", "fourth")


class Normal:
    """Makes texts of one proxy alike to those of the other: ``ports`` are its servers and listeners by name."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._names = {str(port): name for name, port in ports.items()}
        self._called: Mapping[str, str] = {}

    def call(self, names: Mapping[str, str]) -> "Normal":
        """Another that gives servers other names."""
        made = Normal({})
        made._names = {port: names.get(name, name) for port, name in self._names.items()}
        made._called = names
        return made

    def text(self, value: str) -> str:
        """With names for addresses, and without ids and dates."""
        if value in self._called:
            return self._called[value]
        found = LOOPBACK.sub(lambda match: f"<{self._names.get(match[1], 'client')}>", value)
        found = NAMED.sub(lambda match: f":<{self._names[match[1]]}>" if match[1] in self._names else match[0], found)
        return DATE.sub("<date>", UUID.sub("<uuid>", in_envoys_words(found)))

    def fields(self, fields: Fields, kind: str) -> Outcome:
        """Fields by name; several of one name in their order."""
        found: dict[str, str] = {}
        for name, value in fields:
            value = _time(name, value) if name in (TOOK, LEFT) and value.isdigit() else self.text(value)
            found[f"{kind} {name}"] = f"{found[f'{kind} {name}']}, {value}" if f"{kind} {name}" in found else value
        return dict(found)

    def heard(self, answers: Sequence[Heard]) -> Outcome:
        """What the client heard."""
        found: Outcome = {}
        for place, one in enumerate(answers, 1):
            body = _plain(one.body, one.fields)
            part: Outcome = {"status": one.status, "end": one.end, "body": self.text(body.decode("latin-1"))}
            part |= self.fields(one.fields, "answer") | self.fields(one.trailers, "trailer")
            if one.reason:
                part["reason"] = one.reason
            if one.interim:
                part["interim"] = one.interim
            if one.said:
                part["said"] = tuple(map(self.text, one.said))
            found |= _numbered(part, place)
        return found

    def seen(self, requests: Sequence[Seen]) -> Outcome:
        """What servers were asked."""
        found: Outcome = {}
        for place, one in enumerate(requests, 1):
            part: Outcome = {
                "seen": f"{self._called.get(one.server, one.server)}: {one.method} {one.target} {one.version}"
            }
            part["seen body"] = self.text(_plain(one.body, one.fields).decode("latin-1"))
            part |= self.fields(one.fields, "seen") | self.fields(one.trailers, "seen trailer")
            if one.server_name:
                part["seen name asked for"] = one.server_name
            if not one.complete:
                part["seen end"] = "cut"
            found |= _numbered(part, place)
        return found

    def logged(self, lines: Sequence[str]) -> Outcome:
        """What the log says."""
        found: Outcome = {}
        for place, line in enumerate(lines, 1):
            parts = line.split("\t")
            names = LOGGED if len(parts) == len(LOGGED) else [str(number) for number, _ in enumerate(parts, 1)]
            part = {f"log {name}": self.text(text) for name, text in zip(names, parts, strict=True)}
            found |= _numbered(part, place)
        return found


def _plain(body: bytes, fields: Fields) -> bytes:
    """A body as it was before it was compressed, where it was: two libraries make different bytes of the same."""
    if not any((name.lower(), value) == ("content-encoding", "gzip") for name, value in fields):
        return body
    work = zlib.decompressobj(zlib.MAX_WBITS + 16)
    try:
        plain = work.decompress(body)
    except zlib.error:
        return body
    return plain if work.eof and not work.unused_data else b"cut off: " + plain


def _numbered(part: Outcome, place: int) -> Outcome:
    return part if place == 1 else {f"{place} {name}": value for name, value in part.items()}


def _time(name: str, value: str) -> str:
    """How long something took; how long something may still take, of which the work itself takes a little."""
    if name == TOOK:
        return "<ms>"
    steps = (100, 250, 500, *range(1000, int(value) + 1001, 1000))
    return f"<{next(step for step in steps if int(value) <= step)} ms>"


def in_order(seen: Sequence[Seen]) -> dict[str, str]:
    """Names of servers by the order in which they were first asked."""
    return dict(zip(dict.fromkeys(one.server for one in seen), ORDINALS, strict=False))


class Judgement(NamedTuple):
    """``left``: what differs and nobody has said so; ``faults``: what differs and should not, with the reasons; ``gone``:
    what is said to differ, and does not."""

    left: dict[str, tuple[Any, Any]]
    faults: dict[str, str]
    gone: list[str]


def stricter(envoy: Outcome, ours: Outcome) -> bool:
    """Whether ours refuses what Envoy takes: with 400, the end of the connection, and no whole request for any server."""
    refused = (ours.get("status"), ours.get("answer connection")) == (400, "close")
    return refused and ("seen" not in ours or "seen end" in ours) and 0 < int(envoy.get("status", 0)) < 400


def judged(case: Case, envoy: Outcome, ours: Outcome) -> Judgement:
    """What of the differences the case accounts for."""
    if case.stricter:
        holds = stricter(envoy, ours)
        return Judgement({} if holds else differences(envoy, ours), {}, [] if holds else ["stricter"])
    told = {
        name: both
        for name, both in differences(envoy, ours).items()
        if not any(fnmatchcase(name, what) for what in case.chance)
    }
    faults = {name: reason for name in told for what, reason in case.faults.items() if fnmatchcase(name, what)}
    said = {name for name in told for what in case.differs if fnmatchcase(name, what)}
    left = {name: both for name, both in told.items() if name not in faults and name not in said}
    gone = [what for what in (*case.differs, *case.faults) if not any(fnmatchcase(name, what) for name in told)]
    return Judgement(left, faults, gone)


def differences(envoy: Outcome, ours: Outcome) -> dict[str, tuple[Any, Any]]:
    """Names to what Envoy has and what ours has; ``None``: it does not have that."""
    names = [*envoy, *(name for name in ours if name not in envoy)]
    return {name: (envoy.get(name), ours.get(name)) for name in names if envoy.get(name) != ours.get(name)}

"""The same configuration and the same bytes for a real Envoy and for our worker, many connections at a time."""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from mesh_api.config import AccessLog, ProxyConfig
from mesh_proxy import ipc
from tests.support.envoy_process import EnvoyProcess
from tests.support.raw_http import Client, EndedError
from tests.support.worker_process import LIMIT, WorkerProcess

LOG = (
    "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
)
Ends = tuple[int, int]
"""A connection: the port of the client, and the listener's."""
Make = Callable[[tuple[AccessLog, ...]], ProxyConfig]
VARYING = re.compile(
    r"(?<=date: )[^\r]*|(?<=upstream-service-time: )\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|127\.0\.0\.1:\d+"
)


class Ask(NamedTuple):
    """A conversation of a client: what it sends at once, to which listener, and how many answers it then reads."""

    listener: str
    raw: bytes
    answers: int = 1
    method: str = "GET"


class Outcome(NamedTuple):
    """``answers`` are whole answers, without what varies and with their fields in the order of their names; ``cut`` is what
    came of one that broke off. ``log`` are status, flags and details of each request."""

    answers: tuple[str, ...]
    cut: bytes | None
    log: tuple[str, ...]


class TwoProxies:
    """Both run when it is made; use as a context manager."""

    def __init__(self, envoy: Path, folder: Path, make: Make) -> None:
        self._stack = contextlib.ExitStack()
        self._logs = {name: folder / f"access-{name}.log" for name in ("envoy", "ours")}
        configs = {name: make((AccessLog(str(log), text_format=LOG),)) for name, log in self._logs.items()}
        try:
            self.envoy = self._stack.enter_context(EnvoyProcess(envoy, folder, configs["envoy"]))
            self.ours = self._stack.enter_context(WorkerProcess())
            taken = self.ours.apply(configs["ours"])
            assert isinstance(taken, ipc.Applied), taken
        except BaseException:
            self._stack.close()
            raise
        names = [listener.name for listener in configs["ours"].listeners]
        self.ports = {
            "envoy": {name: self.envoy.port(name) for name in names},
            "ours": {name: self.ours.port(name) for name in names},
        }

    def __enter__(self) -> "TwoProxies":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def outcomes(self, asks: Mapping[str, Ask]) -> dict[str, dict[str, Outcome]]:
        """What comes of the conversations, by name and side (``envoy``, ``ours``)."""
        found: dict[str, dict[str, Outcome]] = {name: {} for name in asks}
        lines = {name: ask.answers for name, ask in asks.items()}
        for side in ("ours", "envoy"):
            with ThreadPoolExecutor(len(asks)) as pool:
                heard = dict(
                    zip(asks, pool.map(lambda ask, side=side: self._ask(side, ask), asks.values()), strict=True)
                )
            logged = self.logged(side, {heard[name][2]: lines[name] for name in asks})
            lines = {name: len(logged[heard[name][2]]) for name in asks}  # Envoy writes later; as many must come
            for name, (answers, cut, port) in heard.items():
                found[name][side] = Outcome(answers, cut, logged[port])
        return found

    def _ask(self, side: str, ask: Ask) -> tuple[tuple[str, ...], bytes | None, Ends]:
        answers: list[str] = []
        with Client(self.ports[side][ask.listener]) as client:
            port = (int(client.sock.getsockname()[1]), self.ports[side][ask.listener])
            client.send(ask.raw)
            for _ in range(ask.answers):
                head = client.head()
                if not head:
                    return tuple(answers), client.rest(), port
                status, *fields = head.decode("latin-1").strip().split("\r\n")
                kept = [status, *sorted(fields)]
                try:
                    body = client.body_of(head, ask.method)
                except EndedError:
                    return (*answers, plain("\n".join(kept))), client.rest(), port
                answers.append(plain("\n".join([*kept, "", body.decode("latin-1")])))
        return tuple(answers), None, port

    def logged(self, side: str, wanted: Mapping[Ends, int]) -> dict[Ends, tuple[str, ...]]:
        """The lines of the log about the connections between these ports, so many of each."""
        deadline = time.monotonic() + LIMIT
        while True:
            if side == "ours":
                self.ours.send(ipc.Reopen())
                self.ours.stats()
            log = self._logs[side]
            lines = log.read_text("latin-1").split("\n")[:-1] if log.exists() else []
            found: dict[Ends, tuple[str, ...]] = dict.fromkeys(wanted, ())
            for line in lines:
                remote, local, rest = line.split(" ", 2)
                ends = int(remote.rpartition(":")[2]), int(local.rpartition(":")[2])
                if ends in found:
                    found[ends] += (rest,)
            if all(len(found[ends]) >= number for ends, number in wanted.items()):
                return found
            assert time.monotonic() < deadline, f"{side}: {found} where {wanted} are expected"

    def counters(self, side: str, names: Iterable[str]) -> dict[str, int]:
        """Counters and gauges by name; 0 where nothing was counted."""
        if side == "ours":
            stats = self.ours.stats()
            known: dict[str, Any] = {**stats.counters, **stats.gauges}
        else:
            lines = self.envoy.ask("/stats").decode().splitlines()
            known = dict(line.split(": ", 1) for line in lines)
        return {name: int(known.get(name, 0)) for name in names}


def plain(text: str) -> str:
    """Without dates, times, ids and ports."""
    return VARYING.sub("*", text)

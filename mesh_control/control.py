"""The control plane at work: sources and streams behind one lock, changes debounced, sets of policies put in force."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_api.xds.session import Request, Response
from mesh_control.push import Debounce, Hub, Sent
from mesh_control.state import State
from mesh_policy import Finding, Level, Policy, PolicyError

log = logging.getLogger("mesh_control")
Deliver = Callable[[str, list[Response]], None]


class Refused(Exception):  # noqa: N818 (an answer, not a failure of ours)
    """A set of policies was not put in force. ``status`` is the HTTP status, ``lines`` say what is wrong."""

    def __init__(self, status: int, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Applied:
    """A set that is in force: the version of the world, the proxies that have taken it, and warnings."""

    version: str
    proxies: tuple[str, ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "version": self.version,
            "proxies": {name: {"state": "acknowledged"} for name in self.proxies},
            "missing": list(self.missing),
            "warnings": list(self.warnings),
        }


@dataclass(slots=True)
class Control:
    """See the module's docstring. ``deliver`` hands responses to a stream's connection."""

    state: State
    deliver: Deliver = lambda stream, responses: None
    clock: Callable[[], float] = time.monotonic
    epoch: int = field(default_factory=lambda: int(time.time()))
    hub: Hub = field(init=False)
    _count: int = 0
    _debounce: Debounce = field(default_factory=Debounce)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.hub = Hub(self.state.reload(), self._next_version(), log.info)
        for problem in self.state.problems():
            log.warning("%s", problem)

    def _next_version(self) -> str:
        self._count += 1
        return f"{self.epoch}.{self._count}"

    async def on_request(self, stream: str, request: Request) -> None:
        """A proxy said something."""
        self._send(stream, self.hub.on_request(stream, request, self.clock()))
        await self._notify()

    async def on_close(self, stream: str) -> None:
        """A proxy has gone."""
        self.hub.close(stream)
        await self._notify()

    def touch(self) -> None:
        """A source may have changed."""
        self._debounce.touch(self.clock())
        self._wake.set()

    async def run(self) -> None:
        """Push changes when they are due and keep the streams' time, for ever."""
        while True:
            deadlines = [d for d in (self._debounce.deadline, self.hub.deadline) if d is not None]
            wait = max(0.0, min(deadlines) - self.clock()) if deadlines else None
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._turn()

    async def _turn(self) -> None:
        now = self.clock()
        if self._debounce.take(now):
            async with self._lock:
                self._push()
            await self._notify()
        self._deliver_all(self.hub.on_timer(now))

    def _push(self) -> None:
        before = self.state.problems()
        world = self.state.world
        after = self.state.reload()
        for problem in self.state.problems():
            if problem not in before:
                log.warning("%s", problem)
        if after != world:
            self._push_world()

    def _push_world(self) -> None:
        version = self._next_version()
        sent, touched = self.hub.set_world(self.state.world, version, self.clock())
        log.info("world %s: %d of %d proxies are affected", version, len(touched), len(self.hub.names()))
        self._deliver_all(sent)
        self._wake.set()

    def _deliver_all(self, sent: Sent) -> None:
        for stream, responses in sent.items():
            self._send(stream, responses)

    def _send(self, stream: str, responses: list[Response]) -> None:
        if responses:
            self.deliver(stream, responses)
        self._wake.set()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def apply(self, owner: str, text: str, seconds: float) -> Applied:
        """Make the documents the whole set of ``owner``; with ``seconds``, wait until every proxy has taken it.

        Raises :class:`Refused`: 422 before anything changed, 409 when a proxy refused it (the former set is back), 504 when
        some did not answer in time (the set stays in force; they take it when they can).
        """
        async with self._lock:
            policies, warnings = self._checked(owner, text)
            former = self.state.directory.of_owner(owner)
            refused_before = {str(refusal) for refusal in self.hub.refusals()}
            self._put(owner, policies)
            version = self.hub.version
            if seconds > 0:
                await self._await_proxies(owner, former, refused_before, seconds)
            return Applied(version, tuple(self.hub.names()), tuple(self.missing()), tuple(map(str, warnings)))

    def _checked(self, owner: str, text: str) -> tuple[list[Policy], list[Finding]]:
        try:
            policies, found = self.state.check(owner, text)
        except PolicyError as error:
            raise Refused(422, str(error).splitlines()) from None
        errors = [str(finding) for finding in found if finding.level is Level.ERROR]
        if errors:
            raise Refused(422, errors)
        return policies, found

    def _put(self, owner: str, policies: list[Policy]) -> None:
        self.state.directory.replace(owner, policies)
        before = self.state.world
        if self.state.reload() != before:
            self._push_world()

    async def _await_proxies(self, owner: str, former: list[Policy], before: set[str], seconds: float) -> None:
        deadline = self.clock() + seconds
        while True:
            refused = [str(refusal) for refusal in self.hub.refusals() if str(refusal) not in before]
            if refused:
                self._put(owner, former)
                raise Refused(409, [*refused, "the former policies are in force again"])
            waiting = self.hub.waiting()
            if not waiting:
                return
            left = deadline - self.clock()
            if left <= 0:
                raise Refused(504, [f"no answer within {seconds:g} s from {', '.join(waiting)}; the set is in force"])
            await self._next_change(left)

    async def _next_change(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait()
        except TimeoutError:
            pass

    async def wait(self, seconds: float) -> list[str]:
        """Wait until every connected proxy has taken the newest world; returns those that have not."""
        deadline = self.clock() + seconds
        while self.hub.waiting() and self.clock() < deadline:
            await self._next_change(max(0.0, deadline - self.clock()))
        return self.hub.waiting()

    def missing(self) -> list[str]:
        """Workloads that ought to have a proxy connected and have none."""
        connected = set(self.hub.names())
        wanted = {f"{w.name}.{w.namespace}" for w in self.state.world.workloads if w.sidecar and w.name}
        return sorted(wanted - connected)

    def status(self) -> Mapping[str, Any]:
        """Everything about the proxies, for people and programs."""
        return {
            "version": self.hub.version,
            "missing": self.missing(),
            "problems": self.state.problems(),
            "proxies": {
                name: {
                    "synced": name not in self.hub.waiting(),
                    "types": {
                        kind: {
                            "sent": s.version_sent,
                            "acked": s.version_acked,
                            "error": s.error,
                            "subscribed": s.subscribed,
                        }
                        for kind, s in kinds.items()
                    },
                }
                for name, kinds in sorted(self.hub.status().items())
            },
        }

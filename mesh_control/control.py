"""The control plane at work: sources and streams, changes debounced, sets of policies put in force one after another."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from mesh_api.xds.session import DeltaRequest
from mesh_api.xds.type_urls import SECRET
from mesh_control.metrics import Metrics
from mesh_control.policy_sets import Applied, Refused, parsed
from mesh_control.push import Answer, Asked, CompileError, Debounce, Hub, Progress, Refusal, Sent
from mesh_control.registration.proof import JoinProof
from mesh_control.secrets.desk import Desk, Keeper
from mesh_control.sources.registrations import HEALTH_TYPE
from mesh_control.state import State
from mesh_control.waking import Changes, woken
from mesh_policy import Finding, Level, Policy

log = logging.getLogger("mesh_control")
Deliver = Callable[[str, list[Answer]], None]

REPORT_QUIET, REPORT_LATEST = 0.5, 5.0
"""Seconds after a change, and at most after the first one, when what is wrong with the sources goes to the log: people read
it, and no proxy has to wait until it is found."""
REGISTRATION_SECONDS = 5.0
"""How long a proxy that registers waits for the world with its workload before it is sent the one that there is."""


@dataclass(slots=True)
class Control:
    """See the module's docstring. ``deliver`` hands responses to a stream's connection.

    ``epoch`` (seconds) begins every version, so that versions of successive processes differ.
    """

    state: State
    deliver: Deliver = lambda stream, responses: None
    address_of: Callable[[str], str] = lambda stream: ""
    """Where a stream comes from, without the port; empty where that is not known."""
    clock: Callable[[], float] = time.monotonic
    epoch: int = field(default_factory=lambda: int(time.time()))
    metrics: Metrics = field(default_factory=Metrics)
    rollback_share: float = 1.0
    """The share of proxies (0 to 1) more than which must refuse a world for the one before to be put back; 1: never."""
    hub: Hub = field(init=False)
    secrets: Desk = field(init=False)
    _renewals: set["asyncio.Task[None]"] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    """Of the software of proxies that have been connected."""
    changes: Changes = field(default_factory=Changes)
    """Told when a proxy has said something, or another world is in force."""
    _count: int = 0
    _reported: tuple[str, ...] = ()
    _debounce: Debounce = field(default_factory=Debounce)
    _reporting: Debounce = field(default_factory=lambda: Debounce(REPORT_QUIET, REPORT_LATEST))
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        if self.state.registrations is not None:
            self.state.registrations.metrics = self.metrics
        self.hub = Hub(self.state.reload(), self._next_version(), self.metrics, log.info, log.debug)
        keepers = tuple(source for source in self.state.others if isinstance(source, Keeper))
        self.secrets = Desk(keepers, lambda: self.metrics.count("pilot_sds_certificate_errors_total"))
        self._report_problems()

    def _next_version(self) -> str:
        self._count += 1
        return f"{self.epoch}.{self._count}"

    # What proxies say

    async def on_request(
        self, stream: str, request: Asked, proof: JoinProof | None = None, identities: Iterable[str] = ()
    ) -> None:
        """A proxy said something; ``proof`` is what it has proven to be, ``identities`` as what it may have secrets.

        Raises :class:`~mesh_control.proxies.ProxyError` for a node that cannot be served.
        """
        registrations = self.state.registrations
        if request.type_url == HEALTH_TYPE:
            if registrations is not None and registrations.health(stream, request.error_detail):
                self.touch()
            return
        if (
            registrations is not None
            and request.node is not None
            and registrations.connect(stream, request.node, proof)
        ):
            self.touch()
            await self._until_registered()
        self._send(stream, self.hub.on_request(stream, request, self.clock()))
        if request.type_url == SECRET:
            who, delta = self.hub.streams()[stream].name, isinstance(request, DeltaRequest)
            world = self.state.world
            self._send(stream, await self.secrets.on_request(stream, request, who, identities, world, delta=delta))
        self.changes.tell()

    async def _until_registered(self) -> None:
        """Until the world has a workload that has just registered, so that its proxy is sent what belongs to it; many of them
        come with one change. A set that waits for proxies delays it, perhaps for this one: then it has its turn later."""
        deadline, version = self.clock() + REGISTRATION_SECONDS, self.hub.version
        while self.hub.version == version and (left := deadline - self.clock()) > 0:
            await self.changes.next(left)

    def on_close(self, stream: str) -> None:
        """A proxy has gone."""
        if self.state.registrations is not None:
            self.state.registrations.disconnect(stream)
        self.hub.close(stream)
        self.secrets.close(stream)
        self.changes.tell()

    # What changes in the sources

    def touch(self) -> None:
        """A source may have changed."""
        self.metrics.count("pilot_inbound_updates", type="config")
        self._debounce.touch(self.clock())
        self._wake.set()

    async def until_synced(self) -> None:
        """Wait until every source has said everything once."""
        waiting: list[str] = []
        while unsynced := self.state.unsynced:
            if unsynced != waiting:
                waiting = unsynced
                log.info("waiting for %s", ", ".join(waiting))
            await self.changes.next()

    async def run(self) -> None:
        """Push changes when they are due and keep the streams' time, for ever."""
        while True:
            # A set that waits for proxies holds the lock; what changed meanwhile has its turn when it is done.
            changes = None if self._lock.locked() else self._debounce.deadline
            known = (changes, self.hub.deadline, self._reporting.deadline)
            deadlines = [deadline for deadline in known if deadline is not None]
            await woken(self._wake, min(deadlines) - self.clock() if deadlines else None)
            await self._turn()

    async def _turn(self) -> None:
        now = self.clock()
        self._deliver_all(self.hub.on_timer(now))
        self._roll_back(now)
        if self._reporting.take(now) is not None:
            self._report_problems()
        if self._lock.locked() or (waited := self._debounce.take(now)) is None:
            return
        self.metrics.observe("pilot_debounce_time", waited)
        async with self._lock:
            self._refresh()
        self._renew_secrets()
        self.changes.tell()

    def _renew_secrets(self) -> None:
        """Others do not wait for it: who may have which is asked elsewhere."""

        async def renew() -> None:
            try:
                self._deliver_all(await self.secrets.renewed(self.state.world))
            except Exception:
                log.exception("secrets cannot be renewed; proxies keep those that they have")

        task = asyncio.create_task(renew(), name="secrets")
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)

    def _roll_back(self, now: float) -> None:
        """A set that waits for proxies takes itself back; anything else that too many refuse is taken back here. The sources
        keep it, and it is tried again with their next change."""
        if self.rollback_share >= 1 or self._lock.locked():
            return
        before = self.hub.rolled_back
        version = f"{self.hub.version}-back"
        try:
            self._deliver_all(self.hub.roll_back(self.rollback_share, version, now))
        except CompileError as error:
            log.error("%s; no rollback", error)
        if self.hub.rolled_back is not before:
            log.error("%s", self.hub.rolled_back)
            self.changes.tell()

    def _refresh(self) -> None:
        """Take over what the sources say now; a world that cannot be compiled is told and not used."""
        before = self.state.world
        try:
            self._use_sources()
        except CompileError as error:
            self.state.world = before
            log.error("%s; what was in force stays", error)

    def _use_sources(self) -> frozenset[str]:
        """Reads the sources and pushes what changed; returns the names of the affected proxies."""
        before, began = self.state.world, self.clock()
        world = self.state.reload()
        self._reporting.touch(self.clock())
        if world == before:
            return frozenset()
        version, made = self._next_version(), self.clock()
        self.metrics.observe("pilot_pushcontext_init_seconds", made - began)
        sent, affected = self.hub.set_world(world, version, self.clock())
        self.metrics.observe("pilot_xds_push_time", self.clock() - made)
        log.info("world %s: %d of %d proxies are affected", version, len(affected), len(self.hub.current()))
        self._deliver_all(sent)
        return affected

    def _report_problems(self) -> None:
        problems = tuple(self.state.problems())
        for problem in problems:
            if problem not in self._reported:
                log.warning("%s", problem)
        self._reported = problems

    # Sets of policies

    async def apply(self, owner: str, text: str, seconds: float) -> Applied:
        """Make the documents the whole set of ``owner``; with ``seconds``, wait until every proxy has taken it.

        Raises :class:`Refused`: 422 before anything changed, 409 when a proxy refused it (the former set is back), 504 when
        some did not answer in time (the set stays in force; they take it when they can).
        """
        try:
            policies, passed_over = await asyncio.to_thread(parsed, text)
            async with self._lock:
                applied = await self._apply(owner, policies, seconds)
        except Refused as refused:
            self.metrics.count("meshwright_control_refused_sets", status=str(refused.status))
            log.warning("set %s: %d: %s", owner, refused.status, "; ".join(refused.lines))
            raise
        finally:
            self._wake.set()
            self._renew_secrets()
            self.changes.tell()
        log.info("set %s is in force as %s", owner, applied.version)
        return replace(applied, warnings=(*passed_over, *applied.warnings))

    async def _apply(self, owner: str, policies: list[Policy], seconds: float) -> Applied:
        self._refresh()
        warnings = self._checked(owner, policies)
        former = self.state.directory.of_owner(owner)
        refused_before = self.hub.refusals()
        affected = self._put(owner, policies)
        if seconds > 0:
            await self._await_proxies(owner, former, affected, refused_before, seconds)
        lines = [*map(str, warnings), *map(str, self.hub.refusals())]
        return Applied(self.hub.version, self.hub.progress(), tuple(self.missing()), tuple(lines))

    def refused(self, policies: Sequence[Policy], source: str) -> list[str]:
        """Why these could not be in force as objects of a source, in the place of those of their names; empty: they could."""
        candidate = self.state.candidate(policies, source)
        errors = [str(finding) for finding in candidate.findings if finding.level is Level.ERROR]
        try:
            self.hub.prepare(candidate.world)
        except CompileError as error:
            errors.append(str(error))
        return errors

    def _checked(self, owner: str, policies: list[Policy]) -> list[Finding]:
        candidate = self.state.check(owner, policies)
        errors = [str(finding) for finding in candidate.findings if finding.level is Level.ERROR]
        if errors:
            raise Refused(422, errors)
        try:
            self.hub.prepare(candidate.world)
        except CompileError as error:
            raise Refused(422, [str(error)]) from None
        return candidate.findings

    def _put(self, owner: str, policies: list[Policy]) -> frozenset[str]:
        try:
            self.state.directory.replace(owner, policies)
        except OSError as error:
            raise Refused(
                507, [f"the set cannot be written to {self.state.directory.path}: {error.strerror}"]
            ) from None
        return self._use_sources()

    async def _await_proxies(
        self, owner: str, former: list[Policy], affected: frozenset[str], before: list[Refusal], seconds: float
    ) -> None:
        deadline = self.clock() + seconds
        while True:
            new = [refusal for refusal in self.hub.refusals() if refusal not in before and refusal.proxy in affected]
            if new:
                self._put(owner, former)
                raise Refused(409, [*map(str, new), "the former policies are in force again"])
            progress = self.hub.progress()
            pending = {name for name, state in progress.items() if state is Progress.PENDING}
            # Who was sent the change and is gone has not taken it; it may be back in time.
            waiting = sorted(pending | (affected - progress.keys()))
            if not waiting:
                return
            left = deadline - self.clock()
            if left <= 0:
                raise Refused(504, [f"no answer within {seconds:g} s from {', '.join(waiting)}; the set is in force"])
            await self.changes.next(left)

    async def wait(self, seconds: float) -> list[str]:
        """Wait until every connected proxy has taken the newest world; returns those that have not."""
        deadline = self.clock() + seconds
        while True:
            progress = self.hub.progress()
            left = deadline - self.clock()
            if Progress.PENDING not in progress.values() or left <= 0:
                return [name for name, state in progress.items() if state is not Progress.ACKNOWLEDGED]
            await self.changes.next(left)

    def _deliver_all(self, sent: Sent) -> None:
        for stream, responses in sent.items():
            self._send(stream, responses)

    def _send(self, stream: str, responses: list[Answer]) -> None:
        if responses:
            self.deliver(stream, responses)
        self._wake.set()

    def missing(self) -> list[str]:
        """Workloads that ought to have a proxy connected and have none."""
        connected = self.hub.progress()
        wanted = {f"{w.name}.{w.namespace}" for w in self.state.world.workloads if w.sidecar and w.name}
        registered = self.state.registrations
        return sorted(wanted - connected.keys() - (registered.connected if registered is not None else set()))

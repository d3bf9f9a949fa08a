"""Which proxy is sent what, and who has taken it: every stream of the mesh, without sockets.

A new world is compiled once for each connected proxy; a proxy whose resources are the same bytes as before is sent
nothing. Time is an argument.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from mesh_api.node import Node
from mesh_api.xds.session import (
    AdsServer,
    DeltaOutput,
    DeltaRequest,
    DeltaResponse,
    DeltaServer,
    Nacked,
    Output,
    Request,
    Response,
    Synced,
    TypeStatus,
)
from mesh_api.xds.session.delta_server import Changes, changes_between
from mesh_api.xds.type_urls import ENDPOINT, SHORT_NAMES
from mesh_control.compiler import compile_shared, unknown_targets
from mesh_control.compiler.moves import Moves, moves
from mesh_control.compiler.proxyless import compile_proxyless
from mesh_control.encoder import Encoder, Resources
from mesh_control.metrics import Metrics
from mesh_control.proxies import Proxy, proxy_of
from mesh_control.world import World

Asked = Request | DeltaRequest
Answer = Response | DeltaResponse
Sent = dict[str, list[Answer]]
REASONS = 5
"""How many refusals are told of a rollback."""
QUIET, LATEST = 0.1, 10.0
"""Seconds without a further change, and at most, before a change is pushed (Istio's debounce)."""


@dataclass(slots=True)
class Debounce:
    """Joins changes that come close together: due when nothing changed for a while, or for too long."""

    quiet: float = QUIET
    latest: float = LATEST
    _first: float | None = None
    _last: float = 0.0

    def touch(self, now: float) -> None:
        """Something changed."""
        self._first = now if self._first is None else self._first
        self._last = now

    @property
    def deadline(self) -> float | None:
        """When the change is due; ``None`` when nothing has changed."""
        return None if self._first is None else min(self._last + self.quiet, self._first + self.latest)

    def take(self, now: float) -> float | None:
        """Takes the change when it is due: the seconds since its first part; ``None`` otherwise."""
        if self._first is None or self.deadline is None or now < self.deadline:
            return None
        waited, self._first = now - self._first, None
        return waited


class Progress(Enum):
    """How far a connected proxy is with the newest configuration."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


@dataclass(slots=True)
class Stream:
    """One connected proxy."""

    session: AdsServer | DeltaServer
    node: Node | None = None
    proxy: Proxy | None = None
    resources: Resources = field(default_factory=dict)
    changed_at: float | None = None
    """When the change happened that the proxy has not taken yet."""
    view: Hashable = None
    """What decides which hosts the proxy is told of, once that was asked for; ``None``: to be asked for again. Hosts that
    move do not change it, but for the proxy's own."""
    notable: bool = False
    """Whether it was sent more than hosts of services since it last had taken everything."""

    @property
    def name(self) -> str:
        """``NAME.NAMESPACE`` of the workload, or a dash before it has said who it is."""
        return f"{self.proxy.name}.{self.proxy.namespace}" if self.proxy is not None else "-"

    @property
    def proxyless(self) -> bool:
        """Whether the application's own gRPC reads the configuration (istiod's metadata ``GENERATOR``)."""
        return self.node is not None and self.node.metadata.get("GENERATOR") == "grpc"

    @property
    def progress(self) -> Progress:
        """A refusal counts once nothing is under way any more: what else was pushed may still be taken."""
        if self.session.synced:
            return Progress.ACKNOWLEDGED
        states = self.session.status().values()
        settled = not any(state.in_flight for state in states)
        return Progress.REFUSED if settled and any(state.error for state in states) else Progress.PENDING


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proxy refused something: resources of ``type_name`` (CDS ...), for ``reason``, which names them."""

    proxy: str
    type_name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.proxy} refused {self.type_name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A version that too many proxies refused, and the one that stands in its place; the first reasons."""

    refused: str
    version: str
    proxies: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.proxies} proxies refused {self.refused}: what all of them had taken before is in force again, as "
            f"{self.version}; {'; '.join(self.reasons)}"
        )


class CompileError(ValueError):
    """A world from which the configuration of some proxy cannot be made; the message names the proxy."""


class Hub:
    """All streams and the newest world.

    ``event`` takes a line on what happened, and ``detail`` one on hosts of services that moved: these come and go all day,
    at many proxies each time.
    """

    def __init__(
        self,
        world: World,
        version: str,
        metrics: Metrics,
        event: Callable[[str], None] = lambda line: None,
        detail: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._world = world
        self.version = version
        self._metrics = metrics
        self._event = event
        self._detail = detail
        self._streams: dict[str, Stream] = {}
        self._deadlines: dict[str, float] = {}
        """Of those streams that wait for time: most do not, and are not looked at."""
        self._refusing: set[str] = set()
        """Streams that may refuse something at this moment."""
        self._good = world
        """The last world that every proxy had taken."""
        self.rolled_back: RolledBack | None = None
        self._encode = Encoder()
        self._prepared: tuple[World, dict[str, Resources]] = (world, {})

    def open(self, stream: str, *, delta: bool = False) -> None:
        """A connection was made; who it is comes with its first request."""
        self._streams[stream] = Stream(DeltaServer(stream, version_of=self._version_of) if delta else AdsServer(stream))

    def close(self, stream: str) -> None:
        """A connection has ended."""
        gone = self._streams.pop(stream, None)
        self._deadlines.pop(stream, None)
        self._refusing.discard(stream)
        if gone is not None and gone.proxy is not None:
            self._event(f"{gone.name} disconnected")

    def on_request(self, stream: str, request: Asked, now: float) -> list[Answer]:
        """What to send in answer. Raises :class:`~mesh_control.proxies.ProxyError` for a node that cannot be served."""
        state = self._streams[stream]
        outputs: list[Output | DeltaOutput] = []
        if state.proxy is None and request.node is not None:
            state.node, state.proxy = request.node, proxy_of(request.node)
            self._event(
                f"{state.name} connected as {request.node.id} ({request.node.user_agent or 'unknown software'})"
            )
            for target in unknown_targets(self._world, state.proxy):
                self._event(f"{state.name}: nothing listens for {target}: there is no such service")
            self._metrics.count("pilot_push_triggers", type="proxyrequest")
            state.resources = _compile(self._world, state.proxy, self._encode, proxyless=state.proxyless)
            state.changed_at = now
            outputs += state.session.push(state.resources, self.version, now)
        stale = state.session.stale
        outputs += _heard(state.session, request, now)
        if state.session.stale > stale:
            kind = SHORT_NAMES.get(request.type_url, request.type_url)
            self._metrics.count("pilot_xds_expired_nonce", type=kind.lower())
        return self._sent(stream, outputs, now)

    def prepare(self, world: World) -> None:
        """Compiles a world for every connected proxy, changing nothing. Raises :class:`CompileError`."""
        compiled = self._compiled(world)
        self._prepared = (world, compiled)

    def _compiled(self, world: World) -> dict[str, Resources]:
        """Of every proxy. Where only hosts of services have moved, nothing but endpoints is looked at for most."""
        moved = moves(world, self._world)
        if moved is None:  # what is kept is asked for again, as far as it still counts
            world.parts.sweep()
            self._encode.sweep()
        renewed: dict[Hashable, Mapping[str, bytes] | None] = {}
        compiled: dict[str, Resources] = {}
        for key, state in self._streams.items():
            if state.proxy is None:
                continue
            hosts = None
            if moved is None or moved.concern(state.proxy):
                state.view = None
            elif not state.proxyless:
                hosts = self._renewed(moved, state, state.proxy, renewed)
            if hosts is not None:
                compiled[key] = {**state.resources, ENDPOINT: hosts}
            else:
                compiled[key] = _compile(world, state.proxy, self._encode, proxyless=state.proxyless)
        return compiled

    def _renewed(
        self, moved: Moves, state: Stream, proxy: Proxy, known: dict[Hashable, Mapping[str, bytes] | None]
    ) -> Mapping[str, bytes] | None:
        """The endpoints of a proxy after hosts have moved that are not its own; ``None`` where more has to be compiled.
        ``known``: what was found for others with the same endpoints."""
        former = state.resources[ENDPOINT]
        if state.view is None:
            state.view = moved.view(proxy)
        key = (id(former), state.view)
        if key not in known:
            found = moved.assignments(proxy)
            known[key] = None if found is None else self._encode.renewed(former, found)
        return known[key]

    def set_world(self, world: World, version: str, now: float) -> tuple[Sent, frozenset[str]]:
        """Makes a world the newest: what to send to each stream, and the names of the proxies whose resources changed.

        A proxy that has not taken the former world yet is sent the newest only, when its turn comes. Raises
        :class:`CompileError`; nothing has changed then.
        """
        if self._prepared[0] != world or self._prepared[1].keys() != self._identified():
            self.prepare(world)
        if not self._unsynced():
            self._good = self._world
        self.rolled_back = None
        self._world, compiled = self._prepared
        self._prepared = (self._world, {})
        self.version = version
        self._metrics.count("pilot_push_triggers", type="config")
        sent: Sent = {}
        affected = set()
        known: dict[tuple[int, int], Changes] = {}
        for key, resources in compiled.items():
            state = self._streams[key]
            changes = _changes(state.resources, resources, known)
            if not any(changes.values()):
                continue
            affected.add(state.name)
            state.resources = resources
            state.changed_at = now if state.changed_at is None else state.changed_at
            if isinstance(state.session, DeltaServer):
                sent[key] = self._sent(key, state.session.push(resources, version, now, changes), now)
            else:
                sent[key] = self._sent(key, state.session.push(resources, version, now), now)
        return sent, frozenset(affected)

    def roll_back(self, share: float, version: str, now: float) -> Sent:
        """Gives every proxy the last world that all had taken, when more than ``share`` of them (0 to 1) refuse something of
        the newest; otherwise sends nothing. What was put back stands in :attr:`rolled_back` until the next world."""
        refusing = sorted(k for k in self._refusing if self._streams[k].progress is Progress.REFUSED)
        if len(refusing) <= share * len(self._identified()) or self._good is self._world or self._good == self._world:
            return {}
        told = self.refusals()
        refused = self.version
        sent, _ = self.set_world(self._good, version, now)
        self.rolled_back = RolledBack(refused, version, len(refusing), tuple(map(str, told[:REASONS])))
        self._metrics.count("meshwright_control_rollbacks")
        self._event(str(self.rolled_back))
        return sent

    @property
    def world(self) -> World:
        """What proxies are sent: the newest world, or after a rollback the one before."""
        return self._world

    def _version_of(self, data: bytes) -> str:
        return self._encode.version_of(data)

    def _unsynced(self) -> bool:
        return any(state.proxy is not None and not state.session.synced for state in self._streams.values())

    def on_timer(self, now: float) -> Sent:
        """What waited long enough."""
        due = [key for key, deadline in self._deadlines.items() if deadline <= now]
        return {key: self._sent(key, self._streams[key].session.on_timer(now), now) for key in due}

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` wants to be called."""
        return min(self._deadlines.values(), default=None)

    def _identified(self) -> set[str]:
        return {key for key, state in self._streams.items() if state.proxy is not None}

    def current(self) -> dict[str, Stream]:
        """By name, sorted. Of two streams of one proxy the newer counts: the other one is dying."""
        known = {state.name: state for state in self._streams.values() if state.proxy is not None}
        return dict(sorted(known.items()))

    def streams(self) -> Mapping[str, Stream]:
        """Every connection, whoever it is."""
        return self._streams

    def progress(self) -> dict[str, Progress]:
        """How far each connected proxy is, by name."""
        return {name: state.progress for name, state in self.current().items()}

    def refusals(self) -> list[Refusal]:
        """What connected proxies refuse at this moment."""
        return [
            Refusal(name, SHORT_NAMES[type_url], status.error)
            for name, state in self.current().items()
            for type_url, status in state.session.status().items()
            if status.error
        ]

    def status(self) -> dict[str, dict[str, TypeStatus]]:
        """By proxy and type (CDS ...), what was sent and what came back."""
        return {
            name: {SHORT_NAMES[url]: status for url, status in state.session.status().items()}
            for name, state in self.current().items()
        }

    def nodes(self) -> dict[str, Node]:
        """Who is connected, by name."""
        return {name: state.node for name, state in self.current().items() if state.node is not None}

    def _sent(self, key: str, outputs: Sequence[Output | DeltaOutput], now: float) -> list[Answer]:
        responses: list[Answer] = []
        state = self._streams[key]
        if (deadline := state.session.deadline) is None:
            self._deadlines.pop(key, None)
        else:
            self._deadlines[key] = deadline
        if key in self._refusing and not any(known.error for known in state.session.status().values()):
            self._refusing.discard(key)
        for output in outputs:
            if isinstance(output, Response | DeltaResponse):
                responses.append(output)
                self._on_response(state, output)
            elif isinstance(output, Nacked):
                kind = SHORT_NAMES[output.type_url]
                self._metrics.count("pilot_total_xds_rejects", type=kind.lower())
                self._metrics.count(f"pilot_xds_{kind.lower()}_reject")
                self._refusing.add(key)
                self._event(f"{state.name} refused {kind} {output.version}: {output.message}")
            elif isinstance(output, Synced):
                if state.changed_at is not None:
                    self._metrics.observe("pilot_proxy_convergence_time", now - state.changed_at)
                tell = self._event if state.notable else self._detail
                state.changed_at, state.notable = None, False
                tell(f"{state.name} has taken {output.version}")
        return responses

    def _on_response(self, state: Stream, response: Answer) -> None:
        kind = SHORT_NAMES[response.type_url]
        size = sum(len(item[-1]) for item in response.resources)
        self._metrics.count("pilot_xds_pushes", type=kind.lower())
        self._metrics.observe("pilot_xds_config_size_bytes", size, type=kind.lower())
        state.notable |= response.type_url != ENDPOINT
        tell = self._event if state.notable else self._detail
        tell(f"{state.name} is sent {kind} {response.version_info}: {len(response.resources)} resources")


def _heard(session: AdsServer | DeltaServer, request: Asked, now: float) -> Sequence[Output | DeltaOutput]:
    if isinstance(session, DeltaServer) and isinstance(request, DeltaRequest):
        return session.on_request(request, now)
    if isinstance(session, AdsServer) and isinstance(request, Request):
        return session.on_request(request, now)
    raise TypeError("a request of one protocol on a stream of the other")


def _changes(former: Resources, wanted: Resources, known: dict[tuple[int, int], Changes]) -> Changes:
    """What differs between two configurations of a proxy. Most proxies share their mappings, and then the comparison:
    ``known`` has those that were made, by the identity of both mappings."""
    found: dict[str, Collection[str]] = {}
    for type_url, new in wanted.items():
        old = former.get(type_url, {})
        if old is new:
            found[type_url] = ()
            continue
        key = (id(old), id(new))
        if key not in known:
            known[key] = changes_between({type_url: old}, {type_url: new})
        found[type_url] = known[key][type_url]
    return found


def _compile(world: World, proxy: Proxy, encode: Encoder, *, proxyless: bool) -> Resources:
    try:
        return encode(compile_proxyless(world, proxy) if proxyless else compile_shared(world, proxy))
    except Exception as error:  # whatever is wrong with one proxy must not take the others' control plane away
        raise CompileError(f"{proxy.name}.{proxy.namespace} cannot be configured: {error!r}") from error

"""Which proxy is sent what, and who has taken it: every stream of the mesh, without sockets.

A new world is compiled once for each connected proxy; a proxy whose resources are the same bytes as before is sent
nothing. Time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mesh_api.node import Node
from mesh_api.xds.encode import encode_resources
from mesh_api.xds.session import Acked, AdsServer, Nacked, Output, Request, Response, TypeStatus
from mesh_api.xds.type_urls import SHORT_NAMES
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import Proxy, proxy_of
from mesh_control.world import World

Resources = Mapping[str, Mapping[str, bytes]]
Sent = dict[str, list[Response]]
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

    def take(self, now: float) -> bool:
        """Whether a change is due now; it is taken then."""
        due = self.deadline is not None and now >= self.deadline
        if due:
            self._first = None
        return due


@dataclass(slots=True)
class Stream:
    """One connected proxy."""

    session: AdsServer
    node: Node | None = None
    proxy: Proxy | None = None
    resources: Resources = field(default_factory=dict)
    connected_at: float = 0.0

    @property
    def name(self) -> str:
        """``NAME.NAMESPACE`` of the workload, or a dash before it has said who it is."""
        return f"{self.proxy.name}.{self.proxy.namespace}" if self.proxy is not None else "-"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A proxy refused something: the resources of ``type_name`` (CDS ...), for ``reason``."""

    proxy: str
    type_name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.proxy} refused {self.type_name}: {self.reason}"


class Hub:
    """All streams and the newest world."""

    def __init__(self, world: World, version: str, event: Callable[[str], None] = lambda line: None) -> None:
        self._world = world
        self.version = version
        self._event = event
        self.streams: dict[str, Stream] = {}
        self.counters: dict[tuple[str, str], int] = {}

    def open(self, stream: str, now: float) -> None:
        """A proxy has connected."""
        self.streams[stream] = Stream(AdsServer(stream), connected_at=now)

    def close(self, stream: str) -> None:
        """A proxy has gone."""
        gone = self.streams.pop(stream, None)
        if gone is not None:
            self._event(f"{gone.name} disconnected")

    def on_request(self, stream: str, request: Request, now: float) -> list[Response]:
        """What to send in answer. Raises :class:`~mesh_control.proxies.ProxyError` for a node that cannot be served."""
        state = self.streams[stream]
        outputs: list[Output] = []
        if state.proxy is None and request.node is not None:
            state.node, state.proxy = request.node, proxy_of(request.node)
            self._event(f"{state.name} connected as {request.node.id}")
            state.resources = self._compile(self._world, state.proxy)
            outputs += state.session.push(state.resources, self.version, now)
        outputs += state.session.on_request(request, now)
        return self._sent(state, outputs)

    def set_world(self, world: World, version: str, now: float) -> tuple[Sent, frozenset[str]]:
        """Makes a world the newest; returns what to send to each stream, and the streams whose resources changed."""
        self._world, self.version = world, version
        sent: Sent = {}
        touched = set()
        for key, state in self.streams.items():
            if state.proxy is None:
                continue
            resources = self._compile(world, state.proxy)
            if resources == state.resources and not state.session.synced:
                touched.add(key)  # what it still owes an answer for is the same
            if resources != state.resources:
                touched.add(key)
                state.resources = resources
                sent[key] = self._sent(state, state.session.push(resources, version, now))
        return sent, frozenset(touched)

    def on_timer(self, now: float) -> Sent:
        """What waited long enough."""
        return {
            key: self._sent(state, state.session.on_timer(now))
            for key, state in self.streams.items()
            if state.session.deadline is not None and state.session.deadline <= now
        }

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` wants to be called."""
        return min((d for s in self.streams.values() if (d := s.session.deadline) is not None), default=None)

    def refusals(self) -> list[Refusal]:
        """What connected proxies refuse at this moment."""
        return [
            Refusal(state.name, SHORT_NAMES[type_url], status.error)
            for state in self.streams.values()
            for type_url, status in state.session.status().items()
            if status.error
        ]

    def waiting(self) -> list[str]:
        """Names of connected proxies that have not taken everything yet, sorted."""
        return sorted(s.name for s in self.streams.values() if s.proxy is not None and not s.session.synced)

    def names(self) -> list[str]:
        """Names of the connected proxies, sorted."""
        return sorted(s.name for s in self.streams.values() if s.proxy is not None)

    def status(self) -> dict[str, dict[str, TypeStatus]]:
        """By proxy and type (CDS ...), what was sent and what came back."""
        return {
            state.name: {SHORT_NAMES[url]: status for url, status in state.session.status().items()}
            for state in self.streams.values()
            if state.proxy is not None
        }

    def _compile(self, world: World, proxy: Proxy) -> Resources:
        return encode_resources(compile_proxy(world, proxy))

    def _sent(self, state: Stream, outputs: list[Output]) -> list[Response]:
        for output in outputs:
            if isinstance(output, Response):
                self._count("pushes", output.type_url)
            elif isinstance(output, Acked):
                self._count("acks", output.type_url)
            elif isinstance(output, Nacked):
                self._count("rejects", output.type_url)
                self._event(f"{state.name} refused {SHORT_NAMES[output.type_url]} {output.version}: {output.message}")
            else:
                self._event(f"{state.name} has taken {output.version}")
        return [output for output in outputs if isinstance(output, Response)]

    def _count(self, what: str, type_url: str) -> None:
        key = (what, SHORT_NAMES[type_url].lower())
        self.counters[key] = self.counters.get(key, 0) + 1

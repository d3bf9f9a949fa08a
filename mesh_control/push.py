"""Which proxy is sent what, and who has taken it: every stream of the mesh, without sockets.

A new world is compiled once for each connected proxy; a proxy whose resources are the same bytes as before is sent
nothing. Time is an argument.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mesh_api.config import ProxyConfig
from mesh_api.node import Node
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.resources import KINDS, resource_name
from mesh_api.xds.session import AdsServer, Nacked, Output, Request, Response, Synced, TypeStatus
from mesh_api.xds.type_urls import SHORT_NAMES
from mesh_control.compiler import compile_proxy, unknown_targets
from mesh_control.metrics import Metrics
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

    session: AdsServer
    node: Node | None = None
    proxy: Proxy | None = None
    resources: Resources = field(default_factory=dict)
    changed_at: float | None = None
    """When the change happened that the proxy has not taken yet."""

    @property
    def name(self) -> str:
        """``NAME.NAMESPACE`` of the workload, or a dash before it has said who it is."""
        return f"{self.proxy.name}.{self.proxy.namespace}" if self.proxy is not None else "-"

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


class Encoder:
    """Serializes what is compiled of one world. Resources that proxies share are serialized once, and their bytes shared."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, bytes]] = {}

    def __call__(self, config: ProxyConfig) -> Resources:
        """By type URL and name."""
        return {
            kind.type_url: {resource_name(item): self._bytes(item) for item in getattr(config, kind.section)}
            for kind in KINDS
        }

    def _bytes(self, resource: Any) -> bytes:
        known = self._known.get(id(resource))
        if known is None:
            # The resource is kept with its bytes, so that its identity stays taken.
            known = self._known[id(resource)] = (resource, encode_resource(resource))
        return known[1]


class CompileError(ValueError):
    """A world from which the configuration of some proxy cannot be made; the message names the proxy."""


class Hub:
    """All streams and the newest world."""

    def __init__(
        self, world: World, version: str, metrics: Metrics, event: Callable[[str], None] = lambda line: None
    ) -> None:
        self._world = world
        self.version = version
        self._metrics = metrics
        self._event = event
        self._streams: dict[str, Stream] = {}
        self._encode = Encoder()
        self._prepared: tuple[World, dict[str, Resources], Encoder] = (world, {}, self._encode)

    def open(self, stream: str) -> None:
        """A connection was made; who it is comes with its first request."""
        self._streams[stream] = Stream(AdsServer(stream))

    def close(self, stream: str) -> None:
        """A connection has ended."""
        gone = self._streams.pop(stream, None)
        if gone is not None and gone.proxy is not None:
            self._event(f"{gone.name} disconnected")

    def on_request(self, stream: str, request: Request, now: float) -> list[Response]:
        """What to send in answer. Raises :class:`~mesh_control.proxies.ProxyError` for a node that cannot be served."""
        state = self._streams[stream]
        outputs: list[Output] = []
        if state.proxy is None and request.node is not None:
            state.node, state.proxy = request.node, proxy_of(request.node)
            self._event(
                f"{state.name} connected as {request.node.id} ({request.node.user_agent or 'unknown software'})"
            )
            for target in unknown_targets(self._world, state.proxy):
                self._event(f"{state.name}: nothing listens for {target}: there is no such service")
            self._metrics.count("pilot_push_triggers", type="proxyrequest")
            state.resources, state.changed_at = _compile(self._world, state.proxy, self._encode), now
            outputs += state.session.push(state.resources, self.version, now)
        outputs += state.session.on_request(request, now)
        return self._sent(state, outputs, now)

    def prepare(self, world: World) -> None:
        """Compiles a world for every connected proxy, changing nothing. Raises :class:`CompileError`."""
        encode = Encoder()
        compiled = {
            key: _compile(world, state.proxy, encode) for key, state in self._streams.items() if state.proxy is not None
        }
        self._prepared = (world, compiled, encode)

    def set_world(self, world: World, version: str, now: float) -> tuple[Sent, frozenset[str]]:
        """Makes a world the newest: what to send to each stream, and the names of the proxies whose resources changed.

        A proxy that has not taken the former world yet is sent the newest only, when its turn comes. Raises
        :class:`CompileError`; nothing has changed then.
        """
        if self._prepared[0] != world or self._prepared[1].keys() != self._identified():
            self.prepare(world)
        self._world, compiled, self._encode = self._prepared
        self._prepared = (self._world, {}, self._encode)
        self.version = version
        self._metrics.count("pilot_push_triggers", type="config")
        sent: Sent = {}
        affected = set()
        for key, resources in compiled.items():
            state = self._streams[key]
            if resources == state.resources:
                continue
            affected.add(state.name)
            state.resources = resources
            state.changed_at = now if state.changed_at is None else state.changed_at
            sent[key] = self._sent(state, state.session.push(resources, version, now), now)
        return sent, frozenset(affected)

    def on_timer(self, now: float) -> Sent:
        """What waited long enough."""
        return {
            key: self._sent(state, state.session.on_timer(now), now)
            for key, state in self._streams.items()
            if state.session.deadline is not None and state.session.deadline <= now
        }

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` wants to be called."""
        return min((d for s in self._streams.values() if (d := s.session.deadline) is not None), default=None)

    def _identified(self) -> set[str]:
        return {key for key, state in self._streams.items() if state.proxy is not None}

    def _current(self) -> dict[str, Stream]:
        """By name, sorted. Of two streams of one proxy the newer counts: the other one is dying."""
        known = {state.name: state for state in self._streams.values() if state.proxy is not None}
        return dict(sorted(known.items()))

    def progress(self) -> dict[str, Progress]:
        """How far each connected proxy is, by name."""
        return {name: state.progress for name, state in self._current().items()}

    def refusals(self) -> list[Refusal]:
        """What connected proxies refuse at this moment."""
        return [
            Refusal(name, SHORT_NAMES[type_url], status.error)
            for name, state in self._current().items()
            for type_url, status in state.session.status().items()
            if status.error
        ]

    def status(self) -> dict[str, dict[str, TypeStatus]]:
        """By proxy and type (CDS ...), what was sent and what came back."""
        return {
            name: {SHORT_NAMES[url]: status for url, status in state.session.status().items()}
            for name, state in self._current().items()
        }

    def nodes(self) -> dict[str, Node]:
        """Who is connected, by name."""
        return {name: state.node for name, state in self._current().items() if state.node is not None}

    def _sent(self, state: Stream, outputs: list[Output], now: float) -> list[Response]:
        responses = []
        for output in outputs:
            if isinstance(output, Response):
                responses.append(output)
                self._on_response(state, output)
            elif isinstance(output, Nacked):
                kind = SHORT_NAMES[output.type_url]
                self._metrics.count("pilot_total_xds_rejects", type=kind.lower())
                self._event(f"{state.name} refused {kind} {output.version}: {output.message}")
            elif isinstance(output, Synced):
                if state.changed_at is not None:
                    self._metrics.observe("pilot_proxy_convergence_time", now - state.changed_at)
                state.changed_at = None
                self._event(f"{state.name} has taken {output.version}")
        return responses

    def _on_response(self, state: Stream, response: Response) -> None:
        kind = SHORT_NAMES[response.type_url]
        size = sum(len(data) for _, data in response.resources)
        self._metrics.count("pilot_xds_pushes", type=kind.lower())
        self._metrics.observe("pilot_xds_config_size_bytes", size, type=kind.lower())
        self._event(f"{state.name} is sent {kind} {response.version_info}: {len(response.resources)} resources")


def _compile(world: World, proxy: Proxy, encode: Encoder) -> Resources:
    try:
        return encode(compile_proxy(world, proxy))
    except Exception as error:  # whatever is wrong with one proxy must not take the others' control plane away
        raise CompileError(f"{proxy.name}.{proxy.namespace} cannot be configured: {error!r}") from error

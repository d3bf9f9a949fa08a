"""The control plane's end of the conversation: one object for one stream."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mesh_api.node import Node
from mesh_api.xds.session.messages import Acked, Nacked, Output, Request, Response, Synced
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, WILDCARD

PATIENCE = 10.0
"""Seconds after which waiting for the proxy ends: changed listeners and routes then go out before their clusters were
taken, and an unanswered response is superseded by a newer one."""

Resources = Mapping[str, Mapping[str, bytes]]
"""Type URL to resource name to serialized message, as :func:`mesh_api.xds.encode.encode_resources` makes it."""

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one proxy. ``error`` is the reason of the last NACK while what it refused is still wanted."""

    subscribed: bool
    version_sent: str
    version_acked: str
    in_flight: bool
    error: str


@dataclass(slots=True)
class _Stream:
    """What is known of one type on this stream.

    ``acked`` is ``None`` until the first ACK: what the proxy has is unknown then.
    """

    subscribed: bool = False
    names: frozenset[str] = frozenset()
    nonce: str = ""
    version_sent: str = ""
    version_acked: str = ""
    acked: dict[str, bytes] | None = None
    in_flight: Mapping[str, bytes] | None = None
    sent: Mapping[str, bytes] = field(default_factory=dict)
    """What the newest response carried, whatever became of it."""
    sent_at: float = _NEVER
    rejected: Mapping[str, bytes] | None = None
    error: str = ""
    named: bool = False
    """Whether names were asked for on this stream: then no names means nothing, not everything (the legacy wildcard)."""
    owed: bool = False
    """Whether a response has to go out that may say nothing new: names were asked for that none has answered yet, be it by
    leaving them out, or one under way makes way."""

    @property
    def everything(self) -> bool:
        """Whether all resources of the type are subscribed (Envoy's xDS protocol, "How the client specifies what resources
        to return")."""
        return "*" in self.names or not self.named


@dataclass(frozen=True, slots=True)
class _Target:
    """The newest configuration for this proxy; no version: nothing was pushed yet."""

    version: str | None = None
    resources: Resources = field(default_factory=dict)
    pushed_at: float = _NEVER


class AdsServer:
    """Sends what changed, in an order that breaks nothing, with one response of a type under way.

    Make before break: clusters, endpoints, listeners, routes. Listeners and routes that the proxy already runs change
    only after it took the clusters and endpoints of the same push (for at most ``patience`` seconds; without end when it
    refused them); those it never had wait for no answer, and go out behind the clusters of the same push. Clusters that
    are no longer wanted stay until the proxy took the listeners and routes that let go of them; for a client of single
    names, until it lets go of their names as well, or for ``patience`` seconds: gRPC keeps a name while a call that has
    chosen its route waits for a host, and such a call would find none (A31, "Config Selector").

    A refused response is not sent again until something in it changes. ``stream`` makes nonces unique. ``now`` is in
    seconds of any steady clock.
    """

    def __init__(self, stream: str, patience: float = PATIENCE) -> None:
        self._stream = stream
        self._patience = patience
        self._counter = 0
        self._types = {type_url: _Stream() for type_url in ADS_ORDER}
        self._target = _Target()
        self._left: Mapping[str, bytes] = {}
        self._told_gone = False
        """Whether a client of single names is told which clusters of the newest push are gone, though it still names them."""
        self._announced: str | None = None
        self.stale = 0
        """Answers that came with a nonce that waits for none."""
        self.node: Node | None = None
        """Who is at the other end; ``None`` before the first request."""

    def push(self, resources: Resources, version: str, now: float) -> list[Output]:
        """Makes ``resources`` the wanted configuration; an older one that was not sent yet is forgotten."""
        self._left = self._endpoints_left(resources)
        self._target = _Target(version, resources, now)
        self._told_gone = False
        return self._advance(now)

    def _endpoints_left(self, resources: Resources) -> Mapping[str, bytes]:
        """Endpoints that are no longer wanted, of clusters that the proxy has or is about to get. It may let go of their
        names and ask again while the clusters stay, and takes nothing before it has them."""
        known = {**self._left, **self._target.resources.get(ENDPOINT, {})}
        state = self._types[CLUSTER]
        clusters = {*(state.acked or {}), *(state.in_flight or {})} - resources.get(ENDPOINT, {}).keys()
        return {name: known[name] for name in clusters if name in known}

    def on_request(self, request: Request, now: float) -> list[Output]:
        """Takes a request: a subscription, an ACK, a NACK, or several of these at once.

        A stale nonce answers nothing. Its names count all the same: requests arrive in order, so the latest are right.
        """
        self.node = request.node or self.node
        if request.type_url not in self._types:
            return []
        if not request.nonce:
            # The first request of a type on this stream. Whatever version it names is not trusted: everything is sent.
            self._types[request.type_url] = _Stream()
        state = self._types[request.type_url]
        current = request.nonce == state.nonce
        self.stale += bool(request.nonce) and not current
        events = self._on_answer(request, state) if request.nonce and current else []
        self._subscribe(request, state)
        return events + self._advance(now)

    def on_timer(self, now: float) -> list[Output]:
        """To be called at :attr:`deadline`: sends what waited long enough."""
        return self._advance(now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` wants to be called; ``None``: nothing waits for time."""
        times = [
            state.sent_at + self._patience
            for type_url, state in self._types.items()
            if state.in_flight is not None and self._outdated(type_url, state)
        ]
        if self._awaited() and any(self._waits(type_url) for type_url in (LISTENER, ROUTE)):
            times.append(self._target.pushed_at + self._patience)
        if self._lingering():
            times.append(self._target.pushed_at + self._patience)
        return min(times, default=None)

    @property
    def synced(self) -> bool:
        """Whether the proxy has accepted all that it asked for of the newest configuration."""
        return (
            self._target.version is not None
            and all(self._types[type_url].subscribed for type_url in self._awaited_types)
            and all(self._settled(type_url) for type_url in ADS_ORDER)
        )

    @property
    def _awaited_types(self) -> Iterable[str]:
        """A client of single names asks for what it needs; everybody else for every cluster and every listener."""
        return (LISTENER,) if self._types[LISTENER].named else WILDCARD

    def accepted(self, type_url: str) -> Mapping[str, bytes]:
        """What the proxy has taken of a type on this stream."""
        return self._types[type_url].acked or {}

    def names(self, type_url: str) -> tuple[str, ...]:
        """The names that are subscribed, sorted; ``*`` for all."""
        state = self._types[type_url]
        whole = state.subscribed and type_url in WILDCARD and state.everything
        return tuple(sorted({*state.names, "*"} if whole else state.names))

    def status(self) -> dict[str, TypeStatus]:
        """By type URL, what was sent and what came back."""
        return {
            type_url: TypeStatus(
                state.subscribed, state.version_sent, state.version_acked, state.in_flight is not None, state.error
            )
            for type_url, state in self._types.items()
        }

    def _on_answer(self, request: Request, state: _Stream) -> list[Output]:
        sent = state.in_flight
        if sent is None:
            return []
        if request.error_detail is not None:
            state.in_flight, state.rejected, state.error = None, sent, request.error_detail
            return [Nacked(request.type_url, state.version_sent, request.error_detail)]
        if request.version_info != state.version_sent:
            # Names changed while the proxy still works on the response; its answer is yet to come.
            return []
        state.in_flight, state.error = None, ""
        state.acked = dict(sent) if request.type_url in WILDCARD else {**(state.acked or {}), **sent}
        state.version_acked = state.version_sent
        return [Acked(request.type_url, state.version_acked)]

    def _forget_endpoints(self, clusters: Mapping[str, bytes]) -> None:
        """A cluster that changes is built anew and waits for its endpoints, even when they are the same as before (Envoy's
        xDS protocol, "Resource warming"); until they come Envoy does not acknowledge the clusters either.

        An assignment has the name of its cluster here.
        """
        state, endpoints = self._types[CLUSTER], self._types[ENDPOINT]
        known = (state.acked or {}, state.sent)
        changed = {name for name, data in clusters.items() if any(had.get(name, data) != data for had in known)}
        if changed & (endpoints.in_flight or {}).keys():
            _supersede(ENDPOINT, endpoints)
        if endpoints.acked is not None:
            endpoints.acked = {name: data for name, data in endpoints.acked.items() if name not in changed}

    def _subscribe(self, request: Request, state: _Stream) -> None:
        names = frozenset(request.resource_names)
        added = names - state.names
        state.subscribed, state.names, state.named = True, names, state.named or bool(names - {"*"})
        if request.type_url in WILDCARD:
            if added:
                # Here leaving a name out says that there is no such resource, so every new name has an answer.
                state.owed = True
                _supersede(request.type_url, state)
            return
        if state.acked is not None:
            # What the proxy let go of must be sent when it asks again.
            state.acked = {name: data for name, data in state.acked.items() if name in names}
        if added & self._wanted(request.type_url).keys():
            # The proxy may need these before it can answer what is under way: one response with both takes its place.
            _supersede(request.type_url, state)

    def _advance(self, now: float) -> list[Output]:
        """Sends, in order, what may go now."""
        if self._target.version is None:
            return []
        self._told_gone = self._told_gone or now >= self._target.pushed_at + self._patience
        self._forgive()
        self._make_way()
        outputs: list[Output] = []
        for type_url in ADS_ORDER:
            state = self._types[type_url]
            given_up = self._given_up(type_url, state, now)
            if given_up:
                _supersede(type_url, state)
            if not state.subscribed or state.in_flight is not None:
                continue
            payload = self._payload(type_url)
            if not given_up and self._gated(type_url, now):
                if type_url in WILDCARD:
                    continue
                payload = self._first(type_url)
            if given_up or self._worth_sending(type_url, state, payload):
                outputs.append(self._send(type_url, state, payload, now))
        if self.synced and self._announced != self._target.version:
            self._announced = self._target.version
            outputs.append(Synced(self._target.version))
        return outputs

    def _forgive(self) -> None:
        """Forgets refusals of what is no longer wanted; of listeners and routes first, as clusters wait for them."""
        for type_url in reversed(ADS_ORDER):
            state = self._types[type_url]
            if state.rejected is not None and self._payload(type_url) != state.rejected:
                state.rejected, state.error = None, ""

    def _make_way(self) -> None:
        """Listeners and routes that the proxy never had wait for nothing, as it may wait for them. They may lead to clusters
        that the clusters under way lack: the newest go out before them then, in their place."""
        clusters = self._types[CLUSTER]
        outdated = clusters.in_flight is not None and self._outdated(CLUSTER, clusters)
        if outdated and (self._first(LISTENER) or self._first(ROUTE)):
            _supersede(CLUSTER, clusters)

    def _first(self, type_url: str) -> Mapping[str, bytes]:
        """Resources that could go out now, and that the proxy never took on this stream."""
        state = self._types[type_url]
        if not state.subscribed or state.in_flight is not None:
            return {}
        if type_url in WILDCARD and state.acked is not None:
            return {}
        return {name: data for name, data in self._payload(type_url).items() if name not in (state.acked or {})}

    def _send(self, type_url: str, state: _Stream, payload: Mapping[str, bytes], now: float) -> Response:
        self._counter += 1
        state.nonce = f"{self._stream}-{self._counter}"
        state.version_sent = self._target.version or ""
        state.in_flight, state.sent_at, state.owed = payload, now, False
        if type_url == CLUSTER:
            self._forget_endpoints(payload)
        state.sent = payload
        return Response(type_url, state.version_sent, state.nonce, tuple(sorted(payload.items())))

    def _outdated(self, type_url: str, state: _Stream) -> bool:
        """Whether a response under way no longer says what is wanted."""
        payload = self._payload(type_url)
        return payload != state.in_flight and (bool(payload) or type_url in WILDCARD)

    def _given_up(self, type_url: str, state: _Stream, now: float) -> bool:
        """Whether the response under way waited too long for an answer and a newer one exists: the proxy may be waiting
        for a resource that is no longer wanted, and would never answer."""
        waited = state.in_flight is not None and now >= state.sent_at + self._patience
        return waited and self._outdated(type_url, state)

    def _worth_sending(self, type_url: str, state: _Stream, payload: Mapping[str, bytes]) -> bool:
        if state.rejected is not None and payload == state.rejected and not state.owed:
            return False
        if type_url not in WILDCARD:
            return bool(payload)
        # Before the first ACK on this stream nobody knows what the proxy has: even the empty set is news.
        return state.owed or payload != state.acked

    def _payload(self, type_url: str) -> Mapping[str, bytes]:
        """What a response of this type would carry: the whole set, or of endpoints and routes what changed."""
        state = self._types[type_url]
        acked = state.acked or {}
        wanted = self._wanted(type_url)
        if type_url not in WILDCARD:
            return {name: data for name, data in wanted.items() if name in state.names and acked.get(name) != data}
        if type_url == CLUSTER and (self._lingering() or not (self._settled(LISTENER) and self._settled(ROUTE))):
            wanted = {**acked, **wanted}
        if state.everything:
            return wanted
        return {name: data for name, data in wanted.items() if name in state.names}

    def _lingering(self) -> bool:
        """Whether the client names clusters that it has, are no longer wanted, and may have calls under way."""
        state = self._types[CLUSTER]
        if self._told_gone or state.everything or not state.acked:
            return False
        return bool((state.acked.keys() & state.names) - self._target.resources.get(CLUSTER, {}).keys())

    def _wanted(self, type_url: str) -> Mapping[str, bytes]:
        """The resources of a type that the proxy may ask for, whether it has or not."""
        wanted = self._target.resources.get(type_url, {})
        if type_url != ENDPOINT or not self._left:
            return wanted
        state = self._types[CLUSTER]
        kept = {*self._payload(CLUSTER), *(state.in_flight or {})}
        return {**{name: data for name, data in self._left.items() if name in kept}, **wanted}

    def _settled(self, type_url: str) -> bool:
        """Whether the proxy needs nothing more of this type."""
        state = self._types[type_url]
        if not state.subscribed:
            return True
        if state.in_flight is not None or state.rejected is not None:
            return False
        return not self._worth_sending(type_url, state, self._payload(type_url))

    def _gated(self, type_url: str, now: float) -> bool:
        """Whether changes of this type wait for the clusters and endpoints of the same push."""
        if type_url not in (LISTENER, ROUTE) or self._types[type_url].acked is None:
            return False
        if self._refused():
            return True
        return self._awaited() and now < self._target.pushed_at + self._patience

    def _refused(self) -> bool:
        return any(self._types[type_url].rejected is not None for type_url in (CLUSTER, ENDPOINT))

    def _awaited(self) -> bool:
        """Whether clusters or endpoints are under way, or endpoints of new clusters not even asked for."""
        endpoints = self._types[ENDPOINT]
        new = (self._target.resources.get(ENDPOINT, {}).keys() & self._payload(CLUSTER).keys()) - endpoints.names
        in_flight = self._types[CLUSTER].in_flight is not None or endpoints.in_flight is not None
        return in_flight or (endpoints.subscribed and bool(new))

    def _waits(self, type_url: str) -> bool:
        """Whether this type has something that :meth:`_gated` holds back until a time."""
        state = self._types[type_url]
        idle = state.subscribed and state.in_flight is None and state.acked is not None
        return idle and not self._refused() and not self._settled(type_url) and state.rejected is None


def _supersede(type_url: str, state: _Stream) -> None:
    """Makes way for a newer response. The proxy takes both as one, so what it has is open then: single names go out again,
    and a whole set even when it is the one that was acknowledged last."""
    state.owed = state.owed or (type_url in WILDCARD and state.in_flight is not None)
    if type_url not in WILDCARD and state.acked is not None and state.in_flight is not None:
        state.acked = {name: data for name, data in state.acked.items() if name not in state.in_flight}
    state.in_flight = None

"""The control plane's end of the delta protocol (incremental xDS): one object for one stream."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from mesh_api.node import Node
from mesh_api.xds.session.ledger import EVERYTHING, Ledger, Payload, version_of
from mesh_api.xds.session.messages import Acked, DeltaOutput, DeltaRequest, DeltaResponse, Nacked, Synced
from mesh_api.xds.session.server import PATIENCE, Resources, TypeStatus
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, WILDCARD

Changes = Mapping[str, Collection[str]]
"""Type URL to the names whose resources differ between two configurations."""

_NEVER, _FOREVER = float("-inf"), float("inf")


@dataclass(slots=True)
class _Stream:
    """One type on this stream, beside what the client has of it."""

    ledger: Ledger
    begun: bool = False
    """Whether the client runs resources of this type: from then on their order matters."""
    unanswered: bool = False
    """Whether the first request has no response yet; a client waits for one, be it empty."""
    version_sent: str = ""
    version_acked: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    """Nonce to version of what waits for an answer."""
    sent_at: float = _NEVER
    error: str = ""


class DeltaServer:
    """Sends what changed and what went away, in an order that breaks nothing.

    Make before break: clusters and endpoints first. Listeners and routes wait until the client has taken these (for at most
    ``patience`` seconds; without end when it refused them), and clusters go away after it has taken the listeners and routes
    that let go of them. What a client asks for by name does not wait for answers; of what changed by itself, one response
    of a type is under way.

    What was refused is not sent again until something in it changes. ``stream`` makes nonces unique; ``now`` is in seconds
    of any steady clock.
    """

    def __init__(
        self, stream: str, patience: float = PATIENCE, version_of: Callable[[bytes], str] = version_of
    ) -> None:
        self._stream = stream
        self._patience = patience
        self._version_of = version_of
        self._counter = 0
        self._types = {type_url: _Stream(Ledger(version_of)) for type_url in ADS_ORDER}
        self._target: Resources = {}
        self._version: str | None = None
        self._pushed_at = _NEVER
        self._left: dict[str, bytes] = {}
        """Endpoints that are no longer wanted, of clusters that the client still has."""
        self._expected: set[str] = set()
        """Clusters that were sent, and whose endpoints have not been asked for."""
        self._announced: str | None = None
        self.stale = 0
        """Answers that came with a nonce that waits for none."""
        self.node: Node | None = None
        """Who is at the other end; ``None`` before the first request."""

    def push(self, resources: Resources, version: str, now: float, changes: Changes | None = None) -> list[DeltaOutput]:
        """Makes ``resources`` the wanted configuration. ``changes`` from the former one are looked for where not given."""
        changed = changes_between(self._target, resources) if changes is None else changes
        self._keep_endpoints(resources, changed.get(ENDPOINT, ()))
        self._target, self._version, self._pushed_at = resources, version, now
        for type_url, state in self._types.items():
            state.ledger.want(resources.get(type_url, {}), changed.get(type_url, ()))
        return self._advance(now)

    def on_request(self, request: DeltaRequest, now: float) -> list[DeltaOutput]:
        """Takes a request: a subscription, an ACK, a NACK, or several of these at once. Of one with a stale nonce only the
        names count."""
        self.node = request.node or self.node
        state = self._types.get(request.type_url)
        if state is None:
            return []
        events = self._on_answer(request, state)
        if state.ledger.subscribed or not request.nonce:  # an answer begins no subscription
            self._subscribe(request, state)
        return events + self._advance(now)

    def on_timer(self, now: float) -> list[DeltaOutput]:
        """To be called at :attr:`deadline`: sends what waited long enough."""
        return self._advance(now)

    @property
    def deadline(self) -> float | None:
        """When :meth:`on_timer` wants to be called; ``None``: nothing waits for time."""
        times = []
        for type_url, state in self._types.items():
            if state.ledger.quiet or not self._allowed(type_url):
                continue
            moments = [state.sent_at + self._patience] if state.ledger.in_flight else []
            if self._runs(type_url) and (held := self._held()) is not None:
                moments.append(held or _FOREVER)
            times += [max(moments)] if moments and max(moments) < _FOREVER else []
        return min(times, default=None)

    @property
    def synced(self) -> bool:
        """Whether the client has accepted all that it asked for of the newest configuration."""
        return (
            self._version is not None and self._types[LISTENER].ledger.subscribed and all(map(self._settled, ADS_ORDER))
        )

    def status(self) -> dict[str, TypeStatus]:
        """By type URL, what was sent and what came back."""
        return {
            type_url: TypeStatus(
                state.ledger.subscribed,
                state.version_sent,
                state.version_acked,
                bool(state.ledger.in_flight),
                state.error if state.ledger.rejected else "",
            )
            for type_url, state in self._types.items()
        }

    def accepted(self, type_url: str) -> Mapping[str, bytes]:
        """What the client has of a type, as far as this stream knows."""
        return self._types[type_url].ledger.accepted

    def names(self, type_url: str) -> tuple[str, ...]:
        """The names that are subscribed, sorted; ``*`` for all."""
        ledger = self._types[type_url].ledger
        return tuple(sorted({*ledger.names, EVERYTHING} if ledger.everything else ledger.names))

    def _on_answer(self, request: DeltaRequest, state: _Stream) -> list[DeltaOutput]:
        if not request.nonce:
            return []
        if request.nonce not in state.ledger.in_flight:
            self.stale += 1
            return []
        version = state.versions.pop(request.nonce)
        if request.error_detail is not None:
            state.ledger.refuse(request.nonce)
            state.error = request.error_detail
            return [Nacked(request.type_url, version, request.error_detail)]
        state.ledger.accept(request.nonce)
        state.begun, state.version_acked = True, version
        return [Acked(request.type_url, version)]

    def _subscribe(self, request: DeltaRequest, state: _Stream) -> None:
        first, ledger = not state.ledger.subscribed, state.ledger
        if not (first or request.subscribe or request.unsubscribe):
            return  # as nearly every answer
        # No names in the first request ask for everything, of the types where that is possible (the legacy wildcard).
        everything = EVERYTHING in request.subscribe or (
            first and not request.subscribe and request.type_url in WILDCARD
        )
        initial = request.initial if first else {}
        state.begun = state.begun or bool(initial)
        state.unanswered = state.unanswered or first
        ledger.subscribed = True
        ledger.unsubscribe(set(request.unsubscribe) - {EVERYTHING}, everything=EVERYTHING in request.unsubscribe)
        names = [name for name in request.subscribe if name != EVERYTHING]
        # The names of kept resources are subscribed with them; some clients name them in ``initial`` alone.
        kept = [] if everything else [name for name in initial if name not in request.subscribe]
        ledger.subscribe([*names, *kept], initial, everything=everything)
        if request.type_url == ENDPOINT:
            # Endpoints from an earlier stream do not count for a cluster that was built anew on this one.
            ledger.lose(self._expected.intersection([*names, *kept]))
            self._expected.difference_update(names, kept)

    def _keep_endpoints(self, resources: Resources, changed: Collection[str]) -> None:
        """A client that lets go of the endpoints of a cluster that it has, and asks again, takes nothing before it has
        them; so they stay as long as the cluster."""
        former, wanted, clusters = (
            self._target.get(ENDPOINT, {}),
            resources.get(ENDPOINT, {}),
            self._types[CLUSTER].ledger,
        )
        for name in changed:
            if name in wanted:
                self._left.pop(name, None)
            elif name in former and (clusters.has(name) is not None or name in clusters.under_way()):
                self._left[name] = former[name]

    def _advance(self, now: float) -> list[DeltaOutput]:
        """Sends, in order, what may go now."""
        if self._version is None:
            return []
        outputs: list[DeltaOutput] = []
        for type_url in ADS_ORDER:
            state = self._types[type_url]
            if not state.ledger.subscribed or (state.ledger.quiet and not state.unanswered):
                continue
            payload = self._payload(type_url, state, now)
            if payload or state.unanswered:
                outputs.append(self._send(type_url, state, payload, now))
        if self._announced != self._version and self.synced:
            self._announced = self._version
            outputs.append(Synced(self._version))
        return outputs

    def _payload(self, type_url: str, state: _Stream, now: float) -> Payload:
        """What may be sent of a type at this moment: all that is due, or only what was asked for by name."""
        due = self._allowed(type_url)
        busy = bool(state.ledger.in_flight) and now < state.sent_at + self._patience
        if not due:
            return due
        gated = self._gated(type_url, now)
        if type_url == ROUTE and gated and not self._refused():
            return {}  # a route that is asked for may lead to a cluster that waits for its endpoints
        return {name: data for name, data in due.items() if name in state.ledger.owed} if busy or gated else due

    def _allowed(self, type_url: str) -> Payload:
        """What is due, without the removals that others have to go before."""
        ledger = self._types[type_url].ledger
        due = ledger.due()
        if type_url == CLUSTER and not (self._settled(LISTENER) and self._settled(ROUTE)):
            return {name: data for name, data in due.items() if data is not None or self._told(name)}
        if type_url == ENDPOINT:
            return {name: self._endpoints(name, data) for name, data in due.items() if self._answerable(name, data)}
        return due

    def _told(self, cluster: str) -> bool:
        """Whether it can be said at once that there is no such cluster: somebody asked, and has none."""
        ledger = self._types[CLUSTER].ledger
        return cluster in ledger.owed and ledger.has(cluster) is None

    def _answerable(self, name: str, data: bytes | None) -> bool:
        """Whether something can be said about these endpoints: none are taken away before their cluster."""
        if data is not None or self._types[CLUSTER].ledger.has(name) is None:
            return True
        return name in self._types[ENDPOINT].ledger.owed

    def _endpoints(self, name: str, data: bytes | None) -> bytes | None:
        kept = data is None and self._types[CLUSTER].ledger.has(name) is not None
        return (
            self._left.get(name) if kept or (data is None and name in self._types[CLUSTER].ledger.under_way()) else data
        )

    def _send(self, type_url: str, state: _Stream, payload: Payload, now: float) -> DeltaResponse:
        self._counter += 1
        nonce = f"{self._stream}-{self._counter}"
        version = self._version or ""
        state.version_sent, state.sent_at, state.unanswered = version, now, False
        state.versions[nonce] = version
        state.ledger.sent(nonce, payload)
        if type_url == CLUSTER:
            self._expect_endpoints(payload)
        present = sorted((name, data) for name, data in payload.items() if data is not None)
        resources = tuple((name, self._version_of(data), data) for name, data in present)
        removed = tuple(sorted(name for name, data in payload.items() if data is None))
        return DeltaResponse(type_url, version, nonce, resources, removed)

    def _expect_endpoints(self, clusters: Payload) -> None:
        """A cluster that changes is built anew and waits for its endpoints, even when they are the same as before; a client
        that follows them already does not ask again (Envoy's xDS protocol, "Resource warming")."""
        endpoints = self._types[ENDPOINT].ledger
        for name, data in clusters.items():
            if data is None or name not in self._target.get(ENDPOINT, {}):
                self._expected.discard(name)
            elif not endpoints.follows(name):
                self._expected.add(name)
        endpoints.lose(name for name, data in clusters.items() if data is not None and endpoints.follows(name))

    def _settled(self, type_url: str) -> bool:
        state = self._types[type_url]
        return not state.ledger.subscribed or (state.ledger.settled and not state.unanswered)

    def _gated(self, type_url: str, now: float) -> bool:
        """Whether changes of this type wait for clusters and endpoints."""
        if not self._runs(type_url):
            return False
        held = self._held()
        return held is not None and (not held or now < held)

    def _runs(self, type_url: str) -> bool:
        """Whether the client runs listeners or routes already, so that those of this type have their turn only."""
        return type_url in (LISTENER, ROUTE) and (self._types[type_url].begun or self._types[LISTENER].begun)

    def _refused(self) -> bool:
        return any(self._types[type_url].ledger.rejected for type_url in (CLUSTER, ENDPOINT))

    def _held(self) -> float | None:
        """Until when listeners and routes wait: ``None``, not at all; 0, without end."""
        clusters, endpoints = self._types[CLUSTER], self._types[ENDPOINT]
        if self._refused():
            return 0.0
        coming = any(data is not None for data in clusters.ledger.due().values())
        under_way = clusters.ledger.in_flight or endpoints.ledger.in_flight
        asked = endpoints.ledger.subscribed and (self._expected & self._target.get(ENDPOINT, {}).keys())
        if coming or under_way or asked or (endpoints.ledger.subscribed and self._allowed(ENDPOINT)):
            return self._pushed_at + self._patience
        return None


def changes_between(former: Resources, wanted: Resources) -> dict[str, list[str]]:
    """The names of each type whose resources differ; nothing is looked at in a mapping that both have."""
    return {
        type_url: []
        if (old := former.get(type_url, {})) is (new := wanted.get(type_url, {}))
        else [name for name in {**old, **new} if old.get(name) != new.get(name)]
        for type_url in ADS_ORDER
    }

"""What the proxy was told and what of it is in force. Pure: no sockets, no time.

Responses come in, requests (ACK, NACK, subscriptions) come out, and :meth:`ConfigStore.next_snapshot` says what the workers
should run next. A snapshot is complete or it is not made: until every endpoint assignment and route configuration that it
refers to has arrived, what was in force stays so, and the answer to the control plane waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mesh_api.config import (
    Cluster,
    ClusterType,
    HttpConnectionManager,
    Listener,
    ProxyConfig,
    Secret,
    SecretSource,
)
from mesh_api.config.proxy_config import filter_chains, secret_sources
from mesh_api.node import Node
from mesh_api.xds.decode import decode_resource
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.resources import BY_TYPE_URL, KINDS, Resource, resource_name
from mesh_api.xds.secrets import secret_from_bytes
from mesh_api.xds.session import (
    AdsClient,
    Conversation,
    DeltaConversation,
    DeltaRequest,
    DeltaResponse,
    Known,
    Request,
    Response,
    Update,
)
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, WILDCARD

MAX_REASON: Final = 4096
"""Characters of a NACK: gRPC metadata and logs on the way have limits, and the first findings matter most."""

Decoded = Mapping[str, Resource]
Asked = Request | DeltaRequest
Answer = Response | DeltaResponse


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A complete configuration, and the updates (type to nonce) and versions (type to version) that it is made of."""

    number: int
    config: ProxyConfig
    nonces: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


Judge = Callable[[Secret], None]
"""Raises :class:`ValueError` for a secret that nothing can be made of; the text has nothing secret in it."""


def _anything(secret: Secret) -> None:
    """Every secret is good."""


class ConfigStore:
    """One proxy's configuration: the bootstrap's static resources and what the control plane sent."""

    def __init__(
        self, node: Node, static: ProxyConfig, *, controlled: bool = True, judge: Judge = _anything, delta: bool = False
    ) -> None:
        self._static = static
        self._judge = judge
        self._controlled = controlled
        self._static_names = {
            CLUSTER: {cluster.name for cluster in static.clusters},
            LISTENER: {listener.name for listener in static.listeners},
        }
        self._client: Conversation[Any, Any] = DeltaConversation(node) if delta else AdsClient(node)
        self._decoded: dict[str, dict[bytes, Resource]] = {type_url: {} for type_url in ADS_ORDER}
        self._counter = 0
        self._settled: set[str] = set()
        self._refused: ProxyConfig | None = None
        self.in_force: Snapshot | None = None
        """What every worker runs."""
        self.errors: dict[str, str] = {}
        """By type, why its latest update was refused; gone when a later one is accepted."""
        self.streamed: dict[str, Secret] = {}
        """Secrets of the control plane that are accepted. Each counts by itself, and at once: nothing waits for another."""

    def restore(self, known: Mapping[str, Known]) -> None:
        """Starts from what an earlier run accepted. Raises :class:`DecodeError` when this software cannot read it."""
        for type_url, last in known.items():
            self._decode(type_url, last.resources)
        # Gives the resources to the session at once, so that they count although nobody is connected yet.
        self._client.start(known)
        self._settled.update(type_url for type_url in known if known[type_url].version)

    def connect(self) -> list[Asked]:
        """The first requests of a new stream."""
        return self._client.start() + self._subscriptions()

    def on_response(self, response: Answer) -> list[Asked]:
        """Takes a response; answers a refusal at once, and asks for the names that it makes necessary."""
        update = self._client.on_response(response)
        if update is None:
            return []
        requests: list[Asked] = [] if update.resubscribe is None else [update.resubscribe]
        if update.type_url == SECRET:
            return requests + self._take_secrets(update)
        try:
            self._decode(update.type_url, update.resources)
        except DecodeError as error:
            requests += self._refuse(update.type_url, str(error), update.nonce)
        return requests + self._subscriptions()

    def again(self) -> Snapshot:
        """What is in force, under a new number: to be run with other secrets."""
        assert self.in_force is not None  # noqa: S101 - the caller has looked
        self._counter += 1
        return replace(self.in_force, number=self._counter, nonces={})

    def next_snapshot(self) -> Snapshot | None:
        """What the workers should run now: ``None`` when that is in force, or when nothing complete is there.

        When listeners and routes still wait for something, clusters and endpoints go ahead (make before break), unless
        some of them would vanish under the routes in force; failing that, new endpoints of the clusters in force do.
        """
        for choice in self._choices():
            config = self._build(choice)
            if config.missing():
                continue
            if not choice and self._is_nothing_new(config):
                continue
            return self._snapshot(config, choice)
        return None

    def applied(self, snapshot: Snapshot) -> list[Asked]:
        """All workers run ``snapshot``: accepts the updates in it."""
        self.in_force = snapshot
        self._refused = None
        requests: list[Asked] = []
        for type_url, nonce in snapshot.nonces.items():
            if answers := self._client.accept(type_url, nonce):
                requests += answers
                self._settled.add(type_url)
                self.errors.pop(type_url, None)
        self._forget()
        return requests + self._subscriptions()

    def rejected(self, snapshot: Snapshot, reason: str, type_url: str | None = None) -> list[Asked]:
        """The workers refuse ``snapshot``. ``type_url`` tells whose resource is at fault, when that is known.

        Refuses the updates in it; what was accepted before counts again. With nothing to refuse (a configuration of the
        bootstrap or of an earlier run) the configuration is not tried again unchanged.
        """
        self._refused = snapshot.config
        blamed = {each: nonce for each, nonce in snapshot.nonces.items() if each == type_url} or snapshot.nonces
        requests: list[Asked] = []
        for each, nonce in blamed.items():
            requests += self._refuse(each, reason, nonce)
        return requests + self._subscriptions()

    def accepted(self) -> dict[str, Known]:
        """Accepted versions and resources by type: what to keep for the next start."""
        return {type_url: self._accepted(type_url) for type_url in ADS_ORDER}

    @property
    def informed(self) -> bool:
        """Whether the control plane has said, now or in an earlier run, which clusters and listeners there are."""
        return self._settled >= WILDCARD

    @property
    def has_policy(self) -> bool:
        """Whether the control plane gave this proxy anything at all."""
        return any(self._client.accepted(type_url).resources for type_url in WILDCARD)

    def waits_for(self) -> tuple[str, ...]:
        """What keeps the newest configuration from being complete."""
        return self._build(set(ADS_ORDER)).missing()

    def _accepted(self, type_url: str) -> Known:
        """Without endpoints and routes that nothing refers to any more: they leave the session with its next answer."""
        known = self._client.accepted(type_url)
        if type_url in WILDCARD:
            return known
        names = set(self._client.names(type_url))
        return Known(known.version, {name: data for name, data in known.resources.items() if name in names})

    def _is_nothing_new(self, config: ProxyConfig) -> bool:
        if self.in_force is None and self._controlled and not self.informed and config == ProxyConfig():
            # Nobody has said that there is nothing to do.
            return True
        return config == self._refused or (self.in_force is not None and config == self.in_force.config)

    def _choices(self) -> list[set[str]]:
        """Sets of types whose pending updates to take, the best first."""
        pending = {type_url for type_url in ADS_ORDER if self._client.pending(type_url) is not None}
        removed = self._client.accepted(CLUSTER).resources.keys() - self._client.candidate(CLUSTER).keys()
        ahead = [] if removed else [pending & {CLUSTER, ENDPOINT}]
        choices = [pending]
        for choice in (*ahead, pending & {ENDPOINT}):
            if choice and choice not in choices:
                choices.append(choice)
        return choices

    def _snapshot(self, config: ProxyConfig, choice: set[str]) -> Snapshot:
        self._counter += 1
        nonces, versions = {}, {}
        for type_url in ADS_ORDER:
            update = self._client.pending(type_url) if type_url in choice else None
            versions[type_url] = self._client.accepted(type_url).version if update is None else update.version_info
            if update is not None:
                nonces[type_url] = update.nonce
        return Snapshot(self._counter, config, nonces, versions)

    def _build(self, choice: set[str]) -> ProxyConfig:
        """The configuration with the pending updates of the types in ``choice``, and of the others what is accepted."""
        chosen = {type_url: self._resources(type_url, type_url in choice) for type_url in ADS_ORDER}
        named = {
            ENDPOINT: _assignment_names(chosen[CLUSTER]),
            ROUTE: _route_names(chosen[LISTENER]),
        }
        sections: dict[str, Any] = {}
        for kind in KINDS:
            wanted = named.get(kind.type_url)
            found = [each for name, each in chosen[kind.type_url].items() if wanted is None or name in wanted]
            found += getattr(self._static, kind.section)
            sections[kind.section] = tuple(sorted(found, key=resource_name))
        return ProxyConfig(**sections)

    def _resources(self, type_url: str, candidate: bool) -> dict[str, Resource]:
        client = self._client
        encoded = client.candidate(type_url) if candidate else client.accepted(type_url).resources
        return {name: self._decoded[type_url][data] for name, data in encoded.items()}

    def _subscriptions(self) -> list[Asked]:
        """Asks for the endpoints and routes that the accepted or the pending clusters and listeners need."""
        requests = []
        for parent, child, names in ((CLUSTER, ENDPOINT, _assignment_names), (LISTENER, ROUTE, _route_names)):
            wanted = names(self._resources(parent, candidate=True)) | names(self._resources(parent, candidate=False))
            request = self._client.subscribe(child, wanted)
            if request is not None:
                requests.append(request)
        request = self._client.subscribe(SECRET, self._secret_names())
        return requests if request is None else [*requests, request]

    def _secret_names(self) -> set[str]:
        """Of the secrets that come by the stream."""
        found: list[SecretSource] = []
        for candidate in (True, False):
            clusters, listeners = (self._resources(url, candidate).values() for url in (CLUSTER, LISTENER))
            found += secret_sources(ProxyConfig(listeners=tuple(listeners), clusters=tuple(clusters)))  # type: ignore[arg-type]
        found += secret_sources(self._static)
        return {source.name for source in found if not source.cluster and not source.static}

    def _take_secrets(self, update: Update) -> list[Asked]:
        """Takes those that are good. One that is not leaves the former of its name as it was, and refuses the update."""
        names, findings = set(self._client.names(SECRET)), []
        taken = {name: secret for name, secret in self.streamed.items() if name in names}
        for name in sorted(update.resources):
            try:
                secret = secret_from_bytes(update.resources[name])
                self._judge(secret)
                taken[name] = secret
            except ValueError as error:
                findings.append(str(error))
        self.streamed = taken
        if findings:
            return self._refuse(SECRET, "; ".join(findings), update.nonce)
        self.errors.pop(SECRET, None)
        return self._client.accept(SECRET, update.nonce)

    def _decode(self, type_url: str, resources: Mapping[str, bytes]) -> None:
        """Decodes what is new in ``resources``. Raises :class:`DecodeError` with every finding."""
        known, findings = self._decoded[type_url], []
        for name, data in resources.items():
            if name in self._static_names.get(type_url, ()):
                findings.append(f"{BY_TYPE_URL[type_url].noun} {name}: the bootstrap has a static one of that name")
                continue
            try:
                known[data] = known.get(data) or decode_resource(type_url, data)
            except DecodeError as error:
                findings.append(str(error))
            except Exception as error:
                # Our own fault; all the same nothing that could be applied, and the control plane is told which it was.
                findings.append(f"{BY_TYPE_URL[type_url].noun} {name}: {type(error).__name__}: {error}")
        if findings:
            raise DecodeError("; ".join(findings))

    def _refuse(self, type_url: str, reason: str, nonce: str) -> list[Asked]:
        text = reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 4] + " ..."
        self.errors[type_url] = text
        return self._client.refuse(type_url, text, nonce)

    def _forget(self) -> None:
        """Drops decoded resources that are neither accepted nor pending."""
        for type_url, known in self._decoded.items():
            used = {*self._client.candidate(type_url).values(), *self._client.accepted(type_url).resources.values()}
            self._decoded[type_url] = {data: known[data] for data in used}


def _assignment_names(clusters: Decoded) -> set[str]:
    return {
        cluster.assignment_name
        for cluster in clusters.values()
        if isinstance(cluster, Cluster) and cluster.type is ClusterType.EDS
    }


def _route_names(listeners: Decoded) -> set[str]:
    return {
        chain.filter.rds_name
        for listener in listeners.values()
        if isinstance(listener, Listener)
        for chain in filter_chains(listener)
        if isinstance(chain.filter, HttpConnectionManager) and chain.filter.route_config is None
    }

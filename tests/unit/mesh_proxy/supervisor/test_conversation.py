"""The store and a real session of a control plane, with workers that take their time and sometimes refuse."""

from collections import deque
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    FilterChain,
    HttpConnectionManager,
    Listener,
    LocalityEndpoints,
    ProxyConfig,
    RouteConfiguration,
    RouterFilter,
    SocketAddress,
)
from mesh_api.node import Node
from mesh_api.xds.encode import encode_resources
from mesh_api.xds.session import AdsServer, DeltaResponse, DeltaServer, Response
from mesh_api.xds.type_urls import LISTENER
from mesh_proxy.supervisor.config_store import ConfigStore, Snapshot

NODE = Node("sidecar~10.0.0.1~order-1.default~default.svc.cluster.local")
REFUSED_PORT = 666
NAMES = st.sampled_from("abc")
PORTS = st.integers(1, 3)


def configuration(clusters: dict[str, int], listeners: dict[str, int]) -> ProxyConfig:
    """Clusters and listeners by name, with a port that makes versions of them differ."""

    def chain(name: str) -> FilterChain:
        return FilterChain(HttpConnectionManager("in", (RouterFilter(),), rds_name=name))

    def hosts(port: int) -> LocalityEndpoints:
        return LocalityEndpoints((Endpoint(SocketAddress("10.0.0.9", port)),))

    return ProxyConfig(
        listeners=tuple(
            Listener(name, SocketAddress("127.0.0.1", port), (chain(name),)) for name, port in sorted(listeners.items())
        ),
        routes=tuple(RouteConfiguration(name, max_direct_response_body_size=4096) for name in sorted(listeners)),
        clusters=tuple(Cluster(name, ClusterType.EDS, float(port)) for name, port in sorted(clusters.items())),
        endpoints=tuple(ClusterLoadAssignment(name, (hosts(port),)) for name, port in sorted(clusters.items())),
    )


CONFIGURATIONS = st.builds(configuration, st.dictionaries(NAMES, PORTS), st.dictionaries(NAMES, PORTS))


class Conversation(RuleBasedStateMachine):
    """Requests and responses wait in order; one snapshot at a time is with the workers; the stream may break."""

    delta = False

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.version = 0
        self.wanted: ProxyConfig | None = None
        self.store = self.made()
        self.applying: Snapshot | None = None
        self.up: deque[Any] = deque()
        self.down: deque[Any] = deque()

    def made(self) -> ConfigStore:
        return ConfigStore(NODE, ProxyConfig(), delta=self.delta)

    @initialize()
    def first_stream(self) -> None:
        self.connect()

    @rule()
    def connect(self) -> None:
        self.server: Any = DeltaServer("s") if self.delta else AdsServer("s")
        self.up, self.down = deque(), deque()
        if self.wanted is not None:
            self.emit(self.server.push(encode_resources(self.wanted), str(self.version), self.now))
        self.up.extend(self.store.connect())

    @rule()
    def restart(self) -> None:
        """A new process takes up what the one before had kept."""
        kept = self.store.accepted()
        self.store = self.made()
        self.store.restore(kept)
        self.applying = None
        self.connect()

    def emit(self, outputs: list[Any]) -> None:
        self.down.extend(output for output in outputs if isinstance(output, Response | DeltaResponse))

    @rule(config=CONFIGURATIONS)
    def push(self, config: ProxyConfig) -> None:
        self.version += 1
        self.wanted = config
        self.emit(self.server.push(encode_resources(config), str(self.version), self.now))

    @rule(clusters=st.dictionaries(NAMES, PORTS))
    def push_what_workers_refuse(self, clusters: dict[str, int]) -> None:
        self.push(configuration(clusters, {"a": REFUSED_PORT}))

    @rule()
    @precondition(lambda self: self.up)
    def server_hears(self) -> None:
        self.emit(self.server.on_request(self.up.popleft(), self.now))

    @rule()
    @precondition(lambda self: self.down)
    def proxy_hears(self) -> None:
        self.up.extend(self.store.on_response(self.down.popleft()))

    @rule()
    def workers_begin(self) -> None:
        if self.applying is None:
            self.applying = self.store.next_snapshot()

    @rule()
    @precondition(lambda self: self.applying is not None)
    def workers_end(self) -> None:
        snapshot, self.applying = self.applying, None
        assert snapshot is not None
        if any(listener.address.port == REFUSED_PORT for listener in snapshot.config.listeners):
            self.up.extend(self.store.rejected(snapshot, "listener a: no", LISTENER))
        else:
            self.up.extend(self.store.applied(snapshot))

    @rule(seconds=st.sampled_from([0.5, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        if self.server.deadline is not None and self.server.deadline <= self.now:
            self.emit(self.server.on_timer(self.now))

    @invariant()
    def what_is_in_force_is_complete_and_not_refused(self) -> None:
        if self.store.in_force is not None:
            config = self.store.in_force.config
            assert config.missing() == ()
            assert all(listener.address.port != REFUSED_PORT for listener in config.listeners)

    def settle(self) -> None:
        """Everything that can happen without time passing."""
        for _ in range(200):
            while self.up or self.down:
                if self.up:
                    self.server_hears()
                if self.down:
                    self.proxy_hears()
            self.workers_begin()
            if self.applying is None:
                return
            self.workers_end()
        raise AssertionError("the conversation does not end")

    def teardown(self) -> None:
        """Left alone with something sound, the two agree, and that is what runs."""
        self.settle()
        self.push(configuration({"a": 1, "b": 2}, {"b": 3}))
        for _ in range(4):
            self.settle()
            self.time_passes(11.0)
        assert self.server.synced
        assert self.store.in_force is not None
        assert self.store.in_force.config == self.wanted
        assert self.store.informed
        assert self.store.errors == {}


class DeltaConversation(Conversation):
    """The same, in the delta protocol."""

    delta = True


for machine in (Conversation, DeltaConversation):
    machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestConversation = Conversation.TestCase
TestDeltaConversation = DeltaConversation.TestCase

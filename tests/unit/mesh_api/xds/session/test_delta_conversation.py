"""Both ends of the delta protocol together: a client like Envoy, that takes each response by itself and warms clusters."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh_api.node import Node
from mesh_api.xds.session import DeltaClient, DeltaOutput, DeltaRequest, DeltaResponse, DeltaServer, Synced
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.mesh_api.xds.session.test_conversation import BAD, NAMES, World, mesh, worlds

NODE = Node("sidecar~10.0.0.1~order-1.default~default.svc.cluster.local")


class DeltaConversation(RuleBasedStateMachine):
    """Messages wait in order in each direction; the client takes its time; the stream may break."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.streams = 0
        self.version = 0
        self.world: World = {}
        self.client = DeltaClient(NODE)
        self.warming: set[str] = set()
        """Clusters that wait for their endpoints."""
        self.active: set[str] = set()
        """Clusters that traffic can go to."""
        self.up: deque[DeltaRequest] = deque()
        self.down: deque[DeltaResponse] = deque()
        self.bad: list[object] = []
        """What was sent since the last change that the client refuses."""
        self.steady = False
        """Whether the order is promised: from the first agreement on a stream until patience ends."""

    @initialize()
    def first_stream(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.steady = False
        self.streams += 1
        self.server = DeltaServer(f"s{self.streams}")
        self.up.clear()
        self.down.clear()
        self.bad.clear()
        self.synced: list[str] = []
        if self.world:
            self.emit(self.server.push(self.world, str(self.version), self.now))
        self.up.extend(self.client.start())

    def emit(self, outputs: list[DeltaOutput]) -> None:
        sent = [output for output in outputs if isinstance(output, DeltaResponse)]
        self.down.extend(sent)
        for response in sent:
            if any(data == BAD for _, _, data in response.resources):
                # Once more is right for endpoints whose cluster was sent meanwhile, and is built anew.
                told = (response.type_url, response.resources, response.removed)
                assert self.bad.count(told) < (2 if response.type_url == ENDPOINT else 1), "a refusal is sent again"
                self.bad.append(told)
        synced = [output.version for output in outputs if isinstance(output, Synced)]
        self.synced.extend(synced)
        self.steady = self.steady or bool(synced)

    # --- what happens -------------------------------------------------------------------------------------------------
    @rule(world=worlds())
    def push(self, world: World) -> None:
        self.version += 1
        self.world = world
        self.bad.clear()
        self.emit(self.server.push(world, str(self.version), self.now))

    @rule(type_url=st.sampled_from([CLUSTER, ENDPOINT, LISTENER]), name=NAMES)
    @precondition(lambda self: self.world)
    def push_something_bad(self, type_url: str, name: str) -> None:
        world = {**self.world, type_url: {**self.world[type_url], name: BAD}}
        if type_url == LISTENER:
            world[ROUTE] = {name: min(world[CLUSTER]).encode(), **world[ROUTE]}
        else:
            world[CLUSTER] = {name: b"1", **world[CLUSTER]}
            world[ENDPOINT] = {name: b"1", **world[ENDPOINT]}
        self.push(world)

    @rule()
    @precondition(lambda self: self.up)
    def server_hears(self) -> None:
        self.emit(self.server.on_request(self.up.popleft(), self.now))

    @rule()
    @precondition(lambda self: self.down)
    def client_hears(self) -> None:
        response = self.down.popleft()
        if any(data == BAD for _, _, data in response.resources):
            self.up.append(self.client.nack(response, "bad"))
            return
        self.up.append(self.client.ack(response))
        self.take(response)
        for type_url, follows in ((CLUSTER, ENDPOINT), (LISTENER, ROUTE)):
            if response.type_url == type_url:
                asked = self.client.subscribe(follows, self.client.accepted(type_url))
                self.up.extend([] if asked is None else [asked])
                self.bad = [] if asked is not None and asked.subscribe else self.bad  # it is asked for again
        self.look()

    @rule(response=st.sampled_from(ADS_ORDER))
    def an_answer_to_nothing(self, response: str) -> None:
        """Changes nothing and is answered by nothing."""
        before = (self.server.status(), self.server.deadline, self.server.synced)
        assert self.server.on_request(DeltaRequest(response, "nobody-1", error_detail="?"), self.now) == []
        assert (self.server.status(), self.server.deadline, self.server.synced) == before

    @rule()
    def both_hear_everything(self) -> None:
        while self.up or self.down:
            while self.up:
                self.server_hears()
            while self.down:
                self.client_hears()

    @rule()
    def stream_breaks(self) -> None:
        self.connect()

    @rule(seconds=st.sampled_from([0.5, 11.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        if self.server.deadline is not None and self.server.deadline <= self.now:
            self.steady = False
            self.emit(self.server.on_timer(self.now))
            assert self.server.deadline is None or self.server.deadline > self.now

    @rule()
    def all_goes_well_for_a_while(self) -> None:
        self.settle()

    # --- the client ---------------------------------------------------------------------------------------------------
    def take(self, response: DeltaResponse) -> None:
        changed = {name for name, _, _ in response.resources}
        if response.type_url == CLUSTER:
            self.warming = (self.warming | changed) - set(response.removed)
            self.client.wait_for(ENDPOINT, changed)
            self.active -= set(response.removed)
        if response.type_url == ENDPOINT:
            ready = self.warming & changed
            self.warming -= ready
            self.active |= ready

    def look(self) -> None:
        if not self.steady:
            return
        clusters = self.client.accepted(LISTENER).keys() & self.client.accepted(ROUTE).keys()
        used = {self.client.accepted(ROUTE)[name].decode() for name in clusters}
        assert used <= self.active, "a route leads nowhere"

    # --- what must hold -----------------------------------------------------------------------------------------------
    @invariant()
    def states_can_be_looked_at(self) -> None:
        assert set(self.server.status()) == set(ADS_ORDER)

    def teardown(self) -> None:
        """Left alone, the two agree; after that a new stream brings nothing that the client has."""
        if not self.world:
            return
        clusters = {name: b"1" if data == BAD else data for name, data in self.world[CLUSTER].items()}
        names = {name: data for name, data in self.world[LISTENER].items() if data != BAD}
        good = {
            CLUSTER: clusters,
            ENDPOINT: {n: b"1" if d == BAD else d for n, d in self.world[ENDPOINT].items()},
            LISTENER: names,
            ROUTE: {name: self.world[ROUTE][name] for name in names},
        }
        self.push(good)
        self.agree(good)
        self.connect()
        sent = self.settle()
        assert all(not response.resources for response in sent), "what the client has is sent again"
        self.agree(good)

    def agree(self, good: World) -> None:
        self.settle()
        assert self.server.synced
        assert self.synced[-1] == str(self.version)
        for type_url in ADS_ORDER:
            assert dict(self.client.accepted(type_url)) == good[type_url]
            assert self.server.accepted(type_url) == good[type_url]
        assert self.warming == set()

    def settle(self) -> list[DeltaResponse]:
        """Everything is said; what the server sent meanwhile."""
        sent = list(self.down)
        for _ in range(400):
            before = set(map(id, self.down))
            while self.up:
                self.server_hears()
                sent += [response for response in self.down if id(response) not in before]
                before = set(map(id, self.down))
            while self.down:
                self.client_hears()
            if not self.up and self.server.deadline is None:
                return sent
            if not self.up and self.server.deadline is not None:
                self.time_passes(max(0.0, self.server.deadline - self.now))
        raise AssertionError("the conversation does not end")


DeltaConversation.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestDeltaConversation = DeltaConversation.TestCase


def test_a_change_reaches_a_client_that_had_everything() -> None:
    state = DeltaConversation()
    state.first_stream()
    state.push(mesh("a", x="a"))
    state.settle()
    assert state.steady
    state.push(mesh("b", x="b"))
    sent = state.settle()
    assert [response.type_url for response in sent] == [CLUSTER, ENDPOINT, ROUTE, CLUSTER, ENDPOINT]
    assert [response.removed for response in sent] == [(), (), (), ("a",), ("a",)]
    state.teardown()


def test_a_cluster_that_waits_for_its_endpoints_gets_them_on_the_next_stream() -> None:
    """Found by the machine above: the stream broke between a changed cluster and its endpoints, which were the same."""
    state = DeltaConversation()
    state.first_stream()
    state.push(mesh("a"))
    state.settle()
    state.push({**mesh("a"), CLUSTER: {"a": b"2"}})
    state.client_hears()
    state.stream_breaks()
    state.teardown()


def test_endpoints_of_an_earlier_stream_do_not_count_for_a_cluster_that_changed() -> None:
    """Found by the machine above: what the client has of them is the same, and the cluster waits for them."""
    state = DeltaConversation()
    state.first_stream()
    state.push(mesh("ab"))
    state.settle()
    state.stream_breaks()
    state.push({**mesh("ab"), CLUSTER: {"a": b"1", "b": b"2"}})
    state.teardown()


def test_a_route_that_is_asked_for_waits_for_its_cluster() -> None:
    """Found by the machine above: the first listener was under way when its route came to lead to a new cluster."""
    state = DeltaConversation()
    state.first_stream()
    state.push(mesh("b"))
    state.settle()
    state.push(mesh("b", a="b"))
    state.push(mesh("a", a="a"))
    state.settle()
    state.teardown()

"""The server's end, as conversations: what the proxy says, what the server answers."""

from collections.abc import Iterable

from mesh_api.node import Node
from mesh_api.xds.session import Acked, AdsServer, Nacked, Output, Request, Response, Synced
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

NODE = Node("sidecar~10.0.0.1~order-1.default~default.svc.cluster.local")
WORLD = {
    CLUSTER: {"a": b"cluster a", "b": b"cluster b"},
    ENDPOINT: {"a": b"hosts a", "b": b"hosts b"},
    LISTENER: {"out": b"listener"},
    ROUTE: {"80": b"to a"},
}


class Proxy:
    """A proxy that speaks when it is told to, and remembers what it was sent."""

    def __init__(self, server: AdsServer) -> None:
        self.server = server
        self.now = 100.0
        self.responses: dict[str, Response] = {}
        self.names: dict[str, tuple[str, ...]] = {}

    def _take(self, outputs: Iterable[Output]) -> list[object]:
        seen: list[object] = []
        for output in outputs:
            if isinstance(output, Response):
                self.responses[output.type_url] = output
                seen.append((output.type_url, dict(output.resources)))
            else:
                seen.append(output)
        return seen

    def subscribe(self, type_url: str, *names: str) -> list[object]:
        self.names[type_url] = names
        last = self.responses.get(type_url)
        request = Request(type_url, "", last.nonce if last else "", names, node=None if last else NODE)
        return self._take(self.server.on_request(request, self.now))

    def ack(self, type_url: str) -> list[object]:
        last = self.responses[type_url]
        names = self.names.get(type_url, ())
        return self._take(self.server.on_request(Request(type_url, last.version_info, last.nonce, names), self.now))

    def nack(self, type_url: str, text: str) -> list[object]:
        last = self.responses[type_url]
        request = Request(type_url, "", last.nonce, self.names.get(type_url, ()), error_detail=text)
        return self._take(self.server.on_request(request, self.now))

    def push(self, world: dict[str, dict[str, bytes]], version: str) -> list[object]:
        return self._take(self.server.push(world, version, self.now))

    def tick(self, seconds: float) -> list[object]:
        self.now += seconds
        return self._take(self.server.on_timer(self.now))


def connected() -> Proxy:
    """A proxy that has taken all of WORLD as version 1."""
    proxy = Proxy(AdsServer("s"))
    proxy.push(WORLD, "1")
    proxy.subscribe(CLUSTER)
    proxy.ack(CLUSTER)
    proxy.subscribe(ENDPOINT, "a", "b")
    proxy.ack(ENDPOINT)
    proxy.subscribe(LISTENER)
    proxy.ack(LISTENER)
    proxy.subscribe(ROUTE, "80")
    proxy.ack(ROUTE)
    return proxy


def test_first_connection_is_answered_type_by_type() -> None:
    proxy = Proxy(AdsServer("s"))
    assert proxy.push(WORLD, "1") == []
    assert proxy.subscribe(CLUSTER) == [(CLUSTER, WORLD[CLUSTER])]
    assert proxy.server.node == NODE
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "1")]
    assert proxy.subscribe(ENDPOINT, "a", "b") == [(ENDPOINT, WORLD[ENDPOINT])]
    assert proxy.subscribe(LISTENER) == [(LISTENER, WORLD[LISTENER])]
    assert proxy.subscribe(ROUTE, "80") == [(ROUTE, WORLD[ROUTE])]
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "1")]
    assert proxy.ack(LISTENER) == [Acked(LISTENER, "1")]
    assert not proxy.server.synced
    assert proxy.ack(ROUTE) == [Acked(ROUTE, "1"), Synced("1")]
    assert proxy.server.synced


def test_proxy_that_comes_before_the_first_push_waits_for_it() -> None:
    proxy = Proxy(AdsServer("s"))
    assert proxy.subscribe(CLUSTER) == []
    assert proxy.subscribe(LISTENER) == []
    assert proxy.push(WORLD, "1") == [(CLUSTER, WORLD[CLUSTER]), (LISTENER, WORLD[LISTENER])]


def test_wildcard_type_is_answered_even_with_nothing() -> None:
    proxy = Proxy(AdsServer("s"))
    proxy.push({}, "1")
    assert proxy.subscribe(CLUSTER) == [(CLUSTER, {})]
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "1")]


def test_a_changed_cluster_gets_its_endpoints_again() -> None:
    """Envoy builds it anew, and acknowledges no clusters before the endpoints have come."""
    proxy = connected()
    changed = WORLD | {CLUSTER: WORLD[CLUSTER] | {"a": b"cluster a, other"}}
    assert proxy.push(changed, "2") == [(CLUSTER, changed[CLUSTER]), (ENDPOINT, {"a": b"hosts a"})]
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "2")]
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "2"), Synced("2")]


def test_endpoints_under_way_are_sent_again_with_a_changed_cluster() -> None:
    proxy = connected()
    hosts = WORLD | {ENDPOINT: WORLD[ENDPOINT] | {"a": b"hosts a, one more"}}
    assert proxy.push(hosts, "2") == [(ENDPOINT, {"a": b"hosts a, one more"})]
    changed = hosts | {CLUSTER: WORLD[CLUSTER] | {"a": b"cluster a, other"}}
    assert proxy.push(changed, "3") == [(CLUSTER, changed[CLUSTER]), (ENDPOINT, {"a": b"hosts a, one more"})]
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "3")]
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "3"), Synced("3")]


def test_a_cluster_that_changed_back_before_it_was_taken_gets_its_endpoints_again() -> None:
    proxy = connected()
    changed = WORLD | {CLUSTER: WORLD[CLUSTER] | {"a": b"cluster a, other"}}
    proxy.push(changed, "2")
    proxy.ack(ENDPOINT)
    assert proxy.push(WORLD, "3") == []
    assert proxy.tick(10) == [(CLUSTER, WORLD[CLUSTER]), (ENDPOINT, {"a": b"hosts a"})]


def test_only_what_changed_is_sent() -> None:
    proxy = connected()
    assert proxy.push(WORLD, "2") == [Synced("2")]
    changed = WORLD | {ENDPOINT: WORLD[ENDPOINT] | {"b": b"hosts b, one more"}}
    assert proxy.push(changed, "3") == [(ENDPOINT, {"b": b"hosts b, one more"})]
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "3"), Synced("3")]
    assert proxy.server.status()[CLUSTER].version_sent == "1"


def test_unsubscribed_names_are_not_sent() -> None:
    proxy = connected()
    assert proxy.push(WORLD | {ENDPOINT: WORLD[ENDPOINT] | {"c": b"hosts c"}}, "2") == [Synced("2")]


def test_new_cluster_is_taken_before_the_route_that_uses_it() -> None:
    proxy = connected()
    world = {
        CLUSTER: WORLD[CLUSTER] | {"c": b"cluster c"},
        ENDPOINT: WORLD[ENDPOINT] | {"c": b"hosts c"},
        LISTENER: WORLD[LISTENER],
        ROUTE: {"80": b"to c"},
    }
    assert proxy.push(world, "2") == [(CLUSTER, world[CLUSTER])]
    # Envoy acknowledges the clusters first and asks for their endpoints afterwards: the route goes on waiting.
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "2")]
    assert proxy.subscribe(ENDPOINT, "a", "b", "c") == [(ENDPOINT, {"c": b"hosts c"})]
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "2"), (ROUTE, {"80": b"to c"})]
    assert proxy.ack(ROUTE) == [Acked(ROUTE, "2"), Synced("2")]


def test_waiting_for_new_clusters_ends_after_patience() -> None:
    proxy = connected()
    world = WORLD | {CLUSTER: WORLD[CLUSTER] | {"c": b"cluster c"}, ROUTE: {"80": b"to c"}}
    assert proxy.push(world, "2") == [(CLUSTER, world[CLUSTER])]
    assert proxy.server.deadline == 110.0
    assert proxy.tick(9.9) == []
    assert proxy.tick(0.1) == [(ROUTE, {"80": b"to c"})]
    assert proxy.server.deadline is None


def test_old_cluster_goes_after_the_route_that_used_it() -> None:
    proxy = connected()
    only_b = {"b": WORLD[CLUSTER]["b"]}
    world = {CLUSTER: only_b, ENDPOINT: {"b": b"hosts b"}, LISTENER: WORLD[LISTENER], ROUTE: {"80": b"to b"}}
    assert proxy.push(world, "2") == [(ROUTE, {"80": b"to b"})]
    assert proxy.ack(ROUTE) == [Acked(ROUTE, "2"), (CLUSTER, only_b)]
    assert proxy.ack(CLUSTER) == [Acked(CLUSTER, "2"), Synced("2")]


def of_single_names() -> Proxy:
    """A client of gRPC's that has a route to cluster a and has taken what it needs for it, as version 1."""
    client = Proxy(AdsServer("s"))
    client.push(WORLD, "1")
    for type_url, name in ((LISTENER, "out"), (ROUTE, "80"), (CLUSTER, "a"), (ENDPOINT, "a")):
        client.subscribe(type_url, name)
        client.ack(type_url)
    return client


MOVED = {**WORLD, CLUSTER: {"b": b"cluster b"}, ENDPOINT: {"b": b"hosts b"}, ROUTE: {"80": b"to b"}}
"""Cluster a is gone, and the route of :func:`of_single_names` leads to b."""


def moved_to_b() -> Proxy:
    client = of_single_names()
    assert client.push(MOVED, "2") == [(ROUTE, MOVED[ROUTE])]
    assert client.ack(ROUTE) == [Acked(ROUTE, "2"), Synced("2")]
    assert client.subscribe(CLUSTER, "a", "b") == [(CLUSTER, {"a": b"cluster a", "b": b"cluster b"})]
    assert client.ack(CLUSTER) == [Acked(CLUSTER, "2")]
    assert client.subscribe(ENDPOINT, "a", "b") == [(ENDPOINT, {"b": b"hosts b"})]
    client.ack(ENDPOINT)
    return client


def test_old_cluster_stays_while_a_client_of_single_names_has_calls_for_it() -> None:
    client = moved_to_b()
    assert client.server.synced
    assert client.tick(5) == []
    assert client.subscribe(CLUSTER, "b") == [(CLUSTER, {"b": b"cluster b"})]
    client.ack(CLUSTER)
    assert client.server.deadline is None


def test_old_cluster_that_a_client_goes_on_naming_is_told_gone_after_patience() -> None:
    client = moved_to_b()
    assert client.server.deadline == client.now + 10
    assert client.tick(9.9) == []
    assert client.tick(0.2) == [(CLUSTER, {"b": b"cluster b"})]
    client.ack(CLUSTER)
    assert client.server.synced
    assert client.server.deadline is None


def test_old_cluster_stays_when_the_route_is_refused() -> None:
    proxy = connected()
    world = WORLD | {CLUSTER: {"b": WORLD[CLUSTER]["b"]}, ROUTE: {"80": b"nonsense"}}
    assert proxy.push(world, "2") == [(ROUTE, {"80": b"nonsense"})]
    assert proxy.nack(ROUTE, "routes[0]: no") == [Nacked(ROUTE, "2", "routes[0]: no")]
    assert proxy.server.status()[ROUTE].error == "routes[0]: no"
    assert not proxy.server.synced


def test_refused_response_is_not_repeated_and_is_forgotten_with_its_cause() -> None:
    proxy = connected()
    world = WORLD | {ROUTE: {"80": b"nonsense"}}
    proxy.push(world, "2")
    proxy.nack(ROUTE, "no")
    assert proxy.push(world, "3") == []
    assert proxy.push(WORLD, "4") == [Synced("4")]
    assert proxy.server.status()[ROUTE].error == ""


def test_refused_cluster_holds_the_route_back_without_end() -> None:
    proxy = connected()
    world = WORLD | {CLUSTER: WORLD[CLUSTER] | {"c": b"bad"}, ROUTE: {"80": b"to c"}}
    proxy.push(world, "2")
    assert proxy.nack(CLUSTER, "bad") == [Nacked(CLUSTER, "2", "bad")]
    assert proxy.server.deadline is None
    assert proxy.tick(1000) == []


def test_one_response_under_way_and_the_newest_kept() -> None:
    proxy = connected()
    worlds = [WORLD | {ROUTE: {"80": f"route {n}".encode()}} for n in range(5)]
    assert proxy.push(worlds[2], "2") == [(ROUTE, {"80": b"route 2"})]
    assert proxy.push(worlds[3], "3") == []
    assert proxy.push(worlds[4], "4") == []
    assert proxy.ack(ROUTE) == [Acked(ROUTE, "2"), (ROUTE, {"80": b"route 4"})]
    assert proxy.ack(ROUTE) == [Acked(ROUTE, "4"), Synced("4")]


def test_unanswered_response_is_superseded_after_patience() -> None:
    proxy = connected()
    proxy.push(WORLD | {LISTENER: {"out": b"needs route 90"}}, "2")
    newer = WORLD | {LISTENER: {"out": b"needs route 80"}}
    assert proxy.push(newer, "3") == []
    assert proxy.server.deadline == 110.0
    assert proxy.tick(10) == [(LISTENER, newer[LISTENER])]
    assert proxy.server.deadline is None


def test_stale_nonce_answers_nothing_but_its_names_count() -> None:
    proxy = connected()
    old = proxy.responses[ENDPOINT]
    world = WORLD | {ENDPOINT: {"a": b"new hosts a", "b": b"hosts b", "c": b"hosts c"}}
    assert proxy.push(world, "2") == [(ENDPOINT, {"a": b"new hosts a"})]
    crossed = Request(ENDPOINT, "1", old.nonce, ("a", "b", "c"))
    outputs = proxy._take(proxy.server.on_request(crossed, proxy.now))
    assert outputs == [(ENDPOINT, {"a": b"new hosts a", "c": b"hosts c"})]
    proxy.names[ENDPOINT] = ("a", "b", "c")
    assert proxy.ack(ENDPOINT) == [Acked(ENDPOINT, "2"), Synced("2")]


def test_name_that_was_let_go_of_is_sent_again() -> None:
    proxy = connected()
    assert proxy.subscribe(ENDPOINT, "a") == []
    assert proxy.subscribe(ENDPOINT, "a", "b") == [(ENDPOINT, {"b": b"hosts b"})]


def test_first_request_of_a_stream_is_answered_whatever_version_it_names() -> None:
    server = AdsServer("s")
    server.push(WORLD, "7", 0.0)
    (response,) = server.on_request(Request(CLUSTER, version_info="7"), 0.0)
    assert isinstance(response, Response)
    assert dict(response.resources) == WORLD[CLUSTER]


def test_empty_set_reaches_a_proxy_that_may_have_more() -> None:
    """After a reconnection nobody knows what the proxy runs; a refusal on the new stream does not change that."""
    proxy = Proxy(AdsServer("s"))
    proxy.push({LISTENER: {"out": b"bad"}}, "1")
    proxy.subscribe(LISTENER)
    proxy.nack(LISTENER, "no")
    assert proxy.push({}, "2") == [(LISTENER, {})]


def test_unknown_type_is_passed_over() -> None:
    assert AdsServer("s").on_request(Request("type.googleapis.com/unheard.Of"), 0.0) == []

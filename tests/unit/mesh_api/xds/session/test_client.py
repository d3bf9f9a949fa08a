"""The client's end, as conversations."""

from mesh_api.node import Node
from mesh_api.xds.session import AdsClient, Known, Request, Response
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE

NODE = Node("sidecar~10.0.0.1~order-1.default~default.svc.cluster.local")


def test_new_proxy_asks_for_clusters_and_listeners_and_says_who_it_is_once() -> None:
    assert AdsClient(NODE).start() == [Request(CLUSTER, node=NODE), Request(LISTENER)]


def test_accepted_update_becomes_the_version_of_later_requests() -> None:
    client = AdsClient(NODE)
    client.start()
    update = client.on_response(Response(CLUSTER, "1", "n1", (("a", b"A"),)))
    assert update is not None
    assert (update.changed, update.removed, update.resources) == ({"a"}, frozenset(), {"a": b"A"})
    assert client.accepted(CLUSTER) == Known("", {})
    assert client.ack(CLUSTER) == Request(CLUSTER, "1", "n1")
    assert client.accepted(CLUSTER) == Known("1", {"a": b"A"})
    assert client.ack(CLUSTER) is None


def test_refused_update_leaves_what_was_accepted() -> None:
    client = AdsClient(NODE)
    client.start()
    client.on_response(Response(CLUSTER, "1", "n1", (("a", b"A"),)))
    client.ack(CLUSTER)
    update = client.on_response(Response(CLUSTER, "2", "n2", (("b", b"bad"),)))
    assert update is not None
    assert update.removed == {"a"}
    assert client.nack(CLUSTER, "cluster b: no") == Request(CLUSTER, "1", "n2", error_detail="cluster b: no")
    assert client.candidate(CLUSTER) == {"a": b"A"}


def test_names_are_asked_for_and_may_arrive_bit_by_bit() -> None:
    client = AdsClient(NODE)
    client.start()
    assert client.subscribe(ENDPOINT, []) is None
    assert client.subscribe(ENDPOINT, ["b", "a"]) == Request(ENDPOINT, resource_names=("a", "b"))
    assert client.subscribe(ENDPOINT, ["a", "b"]) is None
    client.on_response(Response(ENDPOINT, "1", "n1", (("a", b"A"),)))
    client.on_response(Response(ENDPOINT, "1", "n2", (("b", b"B"), ("unasked", b"-"))))
    assert client.candidate(ENDPOINT) == {"a": b"A", "b": b"B"}
    assert client.ack(ENDPOINT, "n1") is None
    assert client.ack(ENDPOINT, "n2") == Request(ENDPOINT, "1", "n2", ("a", "b"))


def test_names_change_while_an_update_waits_for_its_answer() -> None:
    client = AdsClient(NODE)
    client.start()
    client.subscribe(ROUTE, ["80"])
    client.on_response(Response(ROUTE, "1", "n1", (("80", b"r"),)))
    assert client.subscribe(ROUTE, ["80", "90"]) == Request(ROUTE, "", "n1", ("80", "90"))
    assert client.ack(ROUTE) == Request(ROUTE, "1", "n1", ("80", "90"))


def test_names_that_crossed_a_response_are_sent_again() -> None:
    client = AdsClient(NODE)
    client.start()
    client.subscribe(ENDPOINT, ["a"])
    client.on_response(Response(ENDPOINT, "1", "n1", (("a", b"A"),)))
    client.ack(ENDPOINT)
    client.subscribe(ENDPOINT, ["a", "b"])
    crossed = client.on_response(Response(ENDPOINT, "2", "n2", (("a", b"A2"),)))
    assert crossed is not None
    assert crossed.resubscribe == Request(ENDPOINT, "1", "n2", ("a", "b"))
    complete = client.on_response(Response(ENDPOINT, "2", "n3", (("b", b"B"),)))
    assert complete is not None
    assert complete.resubscribe is None
    assert complete.resources == {"a": b"A2", "b": b"B"}


def test_dropped_names_leave_with_the_next_acceptance() -> None:
    client = AdsClient(NODE)
    client.start()
    client.subscribe(ENDPOINT, ["a", "b"])
    client.on_response(Response(ENDPOINT, "1", "n1", (("a", b"A"), ("b", b"B"))))
    client.ack(ENDPOINT)
    client.subscribe(ENDPOINT, ["a"])
    assert client.candidate(ENDPOINT) == {"a": b"A", "b": b"B"}
    client.on_response(Response(ENDPOINT, "2", "n2", (("a", b"A2"),)))
    client.ack(ENDPOINT)
    assert client.accepted(ENDPOINT) == Known("2", {"a": b"A2"})


def test_name_that_returns_is_not_taken_from_memory() -> None:
    client = AdsClient(NODE)
    client.start()
    client.subscribe(ROUTE, ["80", "90"])
    client.on_response(Response(ROUTE, "1", "n1", (("80", b"r"), ("90", b"old"))))
    client.ack(ROUTE)
    client.subscribe(ROUTE, ["80"])
    assert client.subscribe(ROUTE, ["80", "90"]) == Request(ROUTE, "1", "n1", ("80", "90"))
    assert client.candidate(ROUTE) == {"80": b"r"}


def test_new_stream_goes_on_from_the_accepted_version_without_nonces() -> None:
    client = AdsClient(NODE)
    client.start()
    client.on_response(Response(CLUSTER, "1", "n1", (("a", b"A"),)))
    client.ack(CLUSTER)
    client.subscribe(ENDPOINT, ["a"])
    client.on_response(Response(ENDPOINT, "1", "n2", (("a", b"hosts"),)))
    assert client.start() == [
        Request(CLUSTER, "1", node=NODE),
        Request(ENDPOINT, "", resource_names=("a",)),
        Request(LISTENER),
    ]
    assert client.ack(ENDPOINT) is None


def test_proxy_that_was_restarted_goes_on_from_what_it_kept() -> None:
    client = AdsClient(NODE)
    known = {CLUSTER: Known("5", {"a": b"A"}), ROUTE: Known("5", {"80": b"r"})}
    assert client.start(known) == [
        Request(CLUSTER, "5", node=NODE),
        Request(LISTENER),
        Request(ROUTE, "5", resource_names=("80",)),
    ]
    assert client.candidate(CLUSTER) == {"a": b"A"}


def test_type_that_was_never_asked_for_is_passed_over() -> None:
    assert AdsClient(NODE).on_response(Response("type.googleapis.com/unheard.Of", "1", "n")) is None

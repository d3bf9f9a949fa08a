"""What becomes of the fields of a request and of an answer on their way."""

import re

import pytest

from mesh_api.config import RouteAction
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, host, http_config, http_listener, route
from tests.support.raw_http import Request, answer

pytestmark = pytest.mark.integration

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def seen(proxy: Proxy, servers: Servers) -> list[Request]:
    """What the server is asked, as it comes."""
    backend, port = servers.http()
    proxy.to(port)
    return backend.requests


def test_fields_arrive_as_they_are(proxy: Proxy, seen: list[Request]) -> None:
    proxy.client().get("/a?b=%20c", accept="*/*", x_empty="", cookie="a=1; b=2", user_agent="x y")
    assert seen[0].head.startswith(b"GET /a?b=%20c HTTP/1.1\r\n")
    wanted = {"host": "test", "accept": "*/*", "x-empty": "", "cookie": "a=1; b=2", "user-agent": "x y"}
    assert wanted.items() <= seen[0].fields.items()


def test_repeated_fields_stay_in_their_order(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nx-a: 1\r\nhost: test\r\nX-A: 2\r\nx-a:3\r\n\r\n")
    assert client.reply().status == 200
    assert seen[0].fields["x-a"] == "1, 2, 3"


def test_bytes_beyond_ascii_arrive_as_they_are(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\nx-name: J\xc3\xbcrgen \xff\r\n\r\n")
    assert client.reply().status == 200
    assert b"x-name: J\xc3\xbcrgen \xff\r\n" in seen[0].head


def test_fields_for_this_hop_do_not_go_on(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(
        b"GET / HTTP/1.1\r\nhost: test\r\nconnection: keep-alive, X-Mine\r\nkeep-alive: timeout=5\r\nx-mine: 1\r\n"
        b"proxy-connection: keep-alive\r\nx-other: 2\r\n\r\n"
    )
    assert client.reply().status == 200
    assert not {"connection", "keep-alive", "proxy-connection", "x-mine"} & seen[0].fields.keys()
    assert seen[0].fields["x-other"] == "2"


def test_fields_that_only_the_proxy_may_set_are_not_believed(proxy: Proxy, seen: list[Request]) -> None:
    proxy.client().get(
        x_envoy_internal="1",
        x_envoy_upstream_rq_timeout_ms="1",
        x_envoy_max_retries="1",
        x_envoy_retry_on="5xx",
        x_envoy_attempt_count="9",
    )
    assert {name for name in seen[0].fields if name.startswith("x-envoy-")} == {"x-envoy-attempt-count"}
    assert seen[0].fields["x-envoy-attempt-count"] == "1"


def test_a_request_without_an_id_gets_one_of_its_own(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    for _ in range(300):
        client.get()
    ids = {request.fields["x-request-id"] for request in seen}
    assert len(ids) == 300
    assert all(UUID.fullmatch(one) for one in ids)


def test_the_id_of_a_request_is_kept(proxy: Proxy, seen: list[Request]) -> None:
    proxy.client().get(x_request_id="mine")
    assert seen[0].fields["x-request-id"] == "mine"


def test_ids_are_not_made_where_they_are_not_wanted(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, generate_request_id=False)
    proxy.client().get()
    assert "x-request-id" not in backend.requests[0].fields


def test_the_server_learns_the_protocol_and_the_attempt(proxy: Proxy, seen: list[Request]) -> None:
    proxy.client().get()
    assert seen[0].fields["x-forwarded-proto"] == "http"
    assert seen[0].fields["x-envoy-attempt-count"] == "1"


def test_the_attempt_is_told_only_where_it_is_wanted(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    config = http_config((), (cluster("backend", port),))
    quiet = host(route(), include_request_attempt_count=False)
    proxy.run(type(config)((http_listener(quiet),), clusters=config.clusters))
    proxy.client().get()
    assert "x-envoy-attempt-count" not in backend.requests[0].fields


def test_the_server_learns_the_timeout_where_there_is_one(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.routes(
        route("/limited", RouteAction("backend", timeout=2.5)),
        route("/default", RouteAction("backend")),
        route(),
        clusters=(cluster("backend", port),),
    )
    client = proxy.client()
    for path in ("/limited", "/default", "/unlimited"):
        client.get(path)
    told = [request.fields.get("x-envoy-expected-rq-timeout-ms") for request in backend.requests]
    assert told == ["2500", "15000", None]


def test_the_clients_address_is_told_at_the_edge(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.to(port, use_remote_address=True)
    client = proxy.client()
    client.get()
    client.get(x_forwarded_for="1.2.3.4")
    assert [request.fields["x-forwarded-for"] for request in backend.requests] == ["127.0.0.1", "1.2.3.4,127.0.0.1"]


def test_the_clients_address_is_not_told_within_the_mesh(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.get()
    client.get(x_forwarded_for="1.2.3.4")
    assert [request.fields.get("x-forwarded-for") for request in seen] == [None, "1.2.3.4"]


def test_the_target_may_name_its_host(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(b"GET http://other:80/a?b HTTP/1.1\r\nhost: test\r\n\r\n")
    assert client.reply().status == 200
    assert seen[0].head.startswith(b"GET /a?b HTTP/1.1\r\n")
    assert seen[0].fields["host"] == "other:80"


def test_options_may_ask_for_the_whole_server(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(b"OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n")
    assert client.reply().status == 404  # no route's path matches it, in Envoy neither
    assert seen == []


def test_methods_of_any_name_go_on(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    for method in ("PROPFIND", "M-SEARCH"):
        assert client.get("/", method).status == 200
    assert [request.method for request in seen] == ["PROPFIND", "M-SEARCH"]


def test_methods_in_small_letters_do_not(proxy: Proxy, seen: list[Request]) -> None:
    """As with Envoy: a server that reads them as their capitals would undo rules about methods."""
    assert proxy.client().get("/", "patch").status == 400
    assert seen == []


def test_an_answer_says_who_served_it_and_when_and_how_long_it_took(proxy: Proxy, seen: list[Request]) -> None:
    fields = proxy.client().get().fields
    assert fields["server"] == "istio-envoy"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields["date"])
    assert fields["x-envoy-upstream-service-time"].isdigit()


def test_fields_of_an_answer_arrive_but_those_for_this_hop(proxy: Proxy, servers: Servers) -> None:
    extra = (
        "Server: apache\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty:\r\n"
        "Connection: keep-alive, x-mine\r\nKeep-Alive: timeout=5\r\nX-Mine: 1\r\nX-Envoy-Upstream-Service-Time: 99999\r\n"
    )
    _, port = servers.http(lambda request: answer(extra=extra))
    proxy.to(port)
    reply = proxy.client().get()
    assert reply.fields.pop("x-envoy-upstream-service-time") != "99999"
    assert reply.fields == {
        "server": "istio-envoy",
        "date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "set-cookie": "a=1, b=2",
        "x-empty": "",
        "content-length": "2",
    }


def test_answers_of_the_proxy_itself_say_who_and_when(proxy: Proxy) -> None:
    proxy.routes()
    reply = proxy.client().get()
    assert (reply.status, reply.body) == (404, b"")
    assert reply.fields.keys() == {"server", "date", "content-length"}


def test_a_large_head_is_passed_on(proxy: Proxy, seen: list[Request]) -> None:
    reply = proxy.client().get(x_large="x" * 50_000)
    assert reply.status == 200
    assert len(seen[0].fields["x-large"]) == 50_000


def test_a_large_head_of_an_answer_is_passed_on(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(extra=f"x-large: {'x' * 50_000}\r\n"))
    proxy.to(port)
    assert len(proxy.client().get().fields["x-large"]) == 50_000


def test_a_head_that_is_too_large_is_refused(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.ask(x_large="x" * 61 * 1024)
    reply = client.reply()
    assert (reply.status, reply.fields["connection"]) == (431, "close")
    assert client.ended()
    assert seen == []


def test_a_head_that_never_ends_is_refused(proxy: Proxy, seen: list[Request]) -> None:
    client = proxy.client()
    client.send(b"GET / HTTP/1.1\r\nhost: test\r\n" + b"x: y\r\n" * 12_000)
    assert client.reply().status == 431
    assert client.ended()
    assert seen == []


def test_a_server_whose_head_never_ends_is_not_waited_for(proxy: Proxy, servers: Servers) -> None:
    server = servers.script(lambda wire, number: wire.send(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000))
    proxy.to(server.port)
    assert proxy.client().get().status == 502

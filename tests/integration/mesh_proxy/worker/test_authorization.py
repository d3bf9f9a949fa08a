"""The gate of authorization in a worker: at its place among the filters, and what becomes of the connection."""

import pytest

from mesh_api.config import (
    CorsFilter,
    FaultFilter,
    FaultPolicy,
    HeaderMatch,
    HttpFilter,
    Rbac,
    RbacAction,
    RbacFilter,
    RbacPolicy,
    RouterFilter,
)
from mesh_api.config.authorization import ANYTHING
from mesh_api.config.routes import MILLION
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.proxy_config import cluster, route

pytestmark = pytest.mark.integration

DENY = RbacFilter(Rbac(RbacAction.DENY, (RbacPolicy("p", (HeaderMatch("x-bad"),), (ANYTHING,)),)))
DENIED = b"RBAC: access denied"
DELAY = FaultPolicy(delay=0.01, delay_fraction=MILLION)
ABORT = FaultPolicy(abort_http_status=503, abort_fraction=MILLION)


def run(proxy: Proxy, servers: Servers, *filters: HttpFilter, fault: FaultPolicy | None = None) -> None:
    _, port = servers.http()
    given = (route("/", fault=fault),)
    proxy.routes(*given, clusters=(cluster("backend", port),), http_filters=(*filters, RouterFilter()))


def test_the_connection_is_kept_after_a_refusal(proxy: Proxy, servers: Servers) -> None:
    run(proxy, servers, DENY)
    client = proxy.client()
    for _ in range(2):
        reply = client.get(x_bad="1")
        assert (reply.status, reply.body, reply.fields["content-type"]) == (403, DENIED, "text/plain")
        assert client.get().status == 200


def test_a_refusal_of_head_has_no_body(proxy: Proxy, servers: Servers) -> None:
    run(proxy, servers, DENY)
    client = proxy.client()
    reply = client.get(method="HEAD", x_bad="1")
    assert (reply.status, reply.body, reply.fields["content-length"]) == (403, b"", str(len(DENIED)))
    assert client.get().status == 200


def test_a_body_that_is_not_wanted_does_not_become_a_request(proxy: Proxy, servers: Servers) -> None:
    run(proxy, servers, DENY)
    client = proxy.client()
    client.send(b"POST / HTTP/1.1\r\nhost: a\r\nx-bad: 1\r\ncontent-length: 30\r\n\r\n")
    assert client.reply().status == 403
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    assert client.rest() == b""


@pytest.mark.parametrize(
    "filters", [(DENY, FaultFilter(), CorsFilter()), (FaultFilter(), DENY), (FaultFilter(), CorsFilter(), DENY)]
)
def test_a_delay_opens_no_gate_behind_it(proxy: Proxy, servers: Servers, filters: tuple[HttpFilter, ...]) -> None:
    run(proxy, servers, *filters, fault=DELAY)
    assert proxy.client().get(x_bad="1").status == 403
    assert proxy.client().get().status == 200


@pytest.mark.parametrize(("filters", "status"), [((DENY, FaultFilter()), 403), ((FaultFilter(), DENY), 503)])
def test_filters_are_asked_in_their_order(
    proxy: Proxy, servers: Servers, filters: tuple[HttpFilter, ...], status: int
) -> None:
    run(proxy, servers, *filters, fault=ABORT)
    assert proxy.client().get(x_bad="1").status == status


def test_an_upgrade_is_asked_for_like_any_other(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    proxy.routes(
        route(), clusters=(cluster("backend", port),), http_filters=(DENY, RouterFilter()), upgrades=("websocket",)
    )
    reply = proxy.client().get(x_bad="1", connection="upgrade", upgrade="websocket")
    assert (reply.status, reply.body) == (403, DENIED)


def test_who_may_not_ask_is_not_told_what_there_is(proxy: Proxy, servers: Servers) -> None:
    proxy.routes(route("/here", "missing"), http_filters=(DENY, RouterFilter()))
    client = proxy.client()
    assert [client.get(path, x_bad="1").status for path in ("/here", "/nowhere")] == [403, 403]
    assert [client.get(path).status for path in ("/here", "/nowhere")] == [503, 404]
    assert proxy.counter("http.test.rbac.denied") == 2

"""The store, as conversations with a control plane on one side and workers on the other."""

from dataclasses import replace

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    CommonTls,
    DownstreamTls,
    Endpoint,
    FilterChain,
    HttpConnectionManager,
    Listener,
    LocalityEndpoints,
    ProxyConfig,
    RouteConfiguration,
    RouterFilter,
    SecretSource,
    SocketAddress,
    TcpProxy,
)
from mesh_api.node import Node
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.resources import BY_CONFIG, Resource, resource_name
from mesh_api.xds.secrets import encode_certificate
from mesh_api.xds.session import Known, Request, Response
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from mesh_proxy.supervisor.config_store import MAX_REASON, ConfigStore, Judge
from mesh_proxy.tls.contexts import check
from tests.support.authority import Authority

NODE = Node("sidecar~10.0.0.1~order-1.default~default.svc.cluster.local")


def cluster(name: str, kind: ClusterType = ClusterType.EDS, **more: float) -> Cluster:
    return Cluster(name, kind, **more)  # type: ignore[arg-type]


def endpoints(name: str, port: int = 80) -> ClusterLoadAssignment:
    return ClusterLoadAssignment(name, (LocalityEndpoints((Endpoint(SocketAddress("10.0.0.9", port)),)),))


def listener(name: str, rds: str = "", port: int = 80) -> Listener:
    chain = FilterChain(HttpConnectionManager("in", (RouterFilter(),), rds) if rds else TcpProxy("tcp", "a"))
    return Listener(name, SocketAddress("127.0.0.1", port), (chain,))


def routes(name: str) -> RouteConfiguration:
    return RouteConfiguration(name)


def response(type_url: str, nonce: str, *resources: Resource) -> Response:
    named = sorted((resource_name(each), encode_resource(each)) for each in resources)
    return Response(type_url, f"v-{nonce}", nonce, tuple(named))


def broken(type_url: str, nonce: str, name: str) -> Response:
    return Response(type_url, f"v-{nonce}", nonce, ((name, b"\xff\xff\xff"),))


class Proxy:
    """A store whose workers take what is complete, one snapshot at a time."""

    def __init__(self, static: ProxyConfig | None = None, judge: Judge = lambda secret: None) -> None:
        self.store = ConfigStore(NODE, static or ProxyConfig(), judge=judge)
        self.first = self.store.connect()

    def receive(self, *responses: Response) -> list[Request]:
        """What is sent upon ``responses``, when the workers apply every snapshot."""
        sent: list[Request] = []
        for each in responses:
            sent += self.store.on_response(each)
            while (snapshot := self.store.next_snapshot()) is not None:
                sent += self.store.applied(snapshot)
        return sent

    @property
    def running(self) -> ProxyConfig:
        assert self.store.in_force is not None
        return self.store.in_force.config


FULL = (
    response(CLUSTER, "c1", cluster("a")),
    response(ENDPOINT, "e1", endpoints("a")),
    response(LISTENER, "l1", listener("l", "80")),
    response(ROUTE, "r1", routes("80")),
)


def test_configuration_arrives_piece_by_piece_and_is_acknowledged_when_it_runs() -> None:
    proxy = Proxy()
    assert proxy.receive(FULL[0]) == [Request(ENDPOINT, resource_names=("a",))]
    assert proxy.store.in_force is None
    assert proxy.receive(FULL[1]) == [
        Request(CLUSTER, "v-c1", "c1"),
        Request(ENDPOINT, "v-e1", "e1", ("a",)),
    ]
    assert not proxy.store.informed
    assert proxy.receive(FULL[2]) == [Request(ROUTE, resource_names=("80",))]
    assert proxy.store.waits_for() == ("route configuration 80",)
    assert proxy.receive(FULL[3]) == [Request(LISTENER, "v-l1", "l1"), Request(ROUTE, "v-r1", "r1", ("80",))]
    assert proxy.store.informed
    assert proxy.running == ProxyConfig((listener("l", "80"),), (routes("80"),), (cluster("a"),), (endpoints("a"),))


@pytest.mark.parametrize("order", [(2, 3, 0, 1), (2, 0, 3, 1), (0, 2, 1, 3), (2, 0, 1, 3)])
def test_any_order_ends_in_the_same_configuration(order: tuple[int, ...]) -> None:
    expected, proxy = Proxy(), Proxy()
    expected.receive(*FULL)
    proxy.receive(*(FULL[place] for place in order))
    assert proxy.running == expected.running
    assert proxy.store.accepted() == expected.store.accepted()


def test_nothing_is_applied_twice() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    assert proxy.store.next_snapshot() is None


def test_incomplete_update_leaves_what_is_in_force() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    before = proxy.running
    sent = proxy.receive(response(LISTENER, "l2", listener("l", "90")))
    assert sent == [Request(ROUTE, "v-r1", "r1", ("80", "90"))]
    assert proxy.running == before
    sent = proxy.receive(response(ROUTE, "r2", routes("90")))
    assert Request(LISTENER, "v-l2", "l2") in sent
    assert proxy.running.routes == (routes("90"),)
    # What nobody refers to any more is let go of.
    assert sent[-1] == Request(ROUTE, "v-r2", "r2", ("90",))


def test_clusters_go_ahead_of_listeners_that_wait() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.receive(response(LISTENER, "l2", listener("l", "90")))
    sent = proxy.receive(response(CLUSTER, "c2", cluster("a"), cluster("s", ClusterType.ORIGINAL_DST)))
    assert sent == [Request(CLUSTER, "v-c2", "c2")]
    assert [each.name for each in proxy.running.clusters] == ["a", "s"]
    assert [each.name for each in proxy.running.routes] == ["80"]


def test_clusters_do_not_vanish_under_routes_in_force() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.receive(response(LISTENER, "l2", listener("l", "90")))
    assert proxy.receive(response(CLUSTER, "c2")) == []
    assert [each.name for each in proxy.running.clusters] == ["a"]
    proxy.receive(response(ROUTE, "r2", routes("90")))
    assert (proxy.running.clusters, proxy.running.endpoints) == ((), ())


def test_endpoints_of_running_clusters_do_not_wait_for_new_clusters() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.receive(response(CLUSTER, "c2", cluster("a"), cluster("b")))
    sent = proxy.receive(response(ENDPOINT, "e2", endpoints("a", 81)))
    assert sent[-1] == Request(ENDPOINT, "v-e2", "e2", ("a", "b"))
    assert proxy.running.endpoints == (endpoints("a", 81),)
    proxy.receive(response(ENDPOINT, "e3", endpoints("b")))
    assert [each.name for each in proxy.running.clusters] == ["a", "b"]


def test_removal_of_everything() -> None:
    proxy = Proxy()
    proxy.receive(*FULL, response(LISTENER, "l2"), response(CLUSTER, "c2"))
    assert proxy.running == ProxyConfig()
    assert not proxy.store.has_policy
    assert not any(known.resources for known in proxy.store.accepted().values())


def test_broken_resource_is_refused_by_name_and_the_last_good_stays() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    before = proxy.running
    (nack,) = proxy.receive(broken(CLUSTER, "c2", "bad"))
    assert (nack.type_url, nack.version_info, nack.nonce) == (CLUSTER, "v-c1", "c2")
    assert nack.error_detail is not None
    assert "malformed" in nack.error_detail
    assert proxy.store.errors == {CLUSTER: nack.error_detail}
    assert proxy.running == before
    assert proxy.receive(response(CLUSTER, "c3", cluster("a"))) == [Request(CLUSTER, "v-c3", "c3")]
    assert proxy.store.errors == {}


def test_long_reason_is_cut() -> None:
    proxy = Proxy()
    many = tuple((f"bad-{number}", b"\xff") for number in range(1000))
    (nack,) = proxy.receive(Response(CLUSTER, "1", "c1", many))
    assert nack.error_detail is not None
    assert len(nack.error_detail) == MAX_REASON


def test_name_of_a_static_resource_is_taken() -> None:
    proxy = Proxy(ProxyConfig(clusters=(cluster("a", ClusterType.STATIC),)))
    (nack,) = proxy.receive(response(CLUSTER, "c1", cluster("a", ClusterType.ORIGINAL_DST)))
    assert nack.error_detail == "cluster a: the bootstrap has a static one of that name"


def test_static_resources_are_a_snapshot_of_their_own() -> None:
    static = ProxyConfig(listeners=(listener("s"),), clusters=(cluster("a", ClusterType.ORIGINAL_DST),))
    snapshot = ConfigStore(NODE, static).next_snapshot()
    assert snapshot is not None
    assert (snapshot.config, snapshot.nonces) == (static, {})


def test_refusal_of_the_workers_blames_one_type_and_the_rest_is_tried_again() -> None:
    proxy = Proxy()
    for each in FULL:
        proxy.store.on_response(each)
    snapshot = proxy.store.next_snapshot()
    assert snapshot is not None
    sent = proxy.store.rejected(snapshot, "listener l: address in use", LISTENER)
    assert sent == [Request(LISTENER, "", "l1", error_detail="listener l: address in use"), Request(ROUTE, "", "r1")]
    rest = proxy.store.next_snapshot()
    assert rest is not None
    assert (rest.config.listeners, rest.config.clusters) == ((), (cluster("a"),))


def test_refusal_without_a_culprit_refuses_all_that_was_new() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    before = proxy.running
    proxy.store.on_response(response(CLUSTER, "c2", cluster("a", connect_timeout=1.0)))
    snapshot = proxy.store.next_snapshot()
    assert snapshot is not None
    assert proxy.store.rejected(snapshot, "no") == [Request(CLUSTER, "v-c1", "c2", error_detail="no")]
    assert proxy.store.next_snapshot() is None
    assert proxy.running == before


def test_refused_static_configuration_is_not_tried_for_ever() -> None:
    store = ConfigStore(NODE, ProxyConfig(listeners=(listener("s"),)))
    snapshot = store.next_snapshot()
    assert snapshot is not None
    assert store.rejected(snapshot, "address in use") == []
    assert store.next_snapshot() is None


def test_newer_update_during_an_application_is_answered_instead_of_the_older() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.store.on_response(response(CLUSTER, "c2", cluster("a", connect_timeout=1.0)))
    snapshot = proxy.store.next_snapshot()
    assert snapshot is not None
    proxy.store.on_response(response(CLUSTER, "c3", cluster("a", connect_timeout=2.0)))
    assert proxy.store.applied(snapshot) == []
    newer = proxy.store.next_snapshot()
    assert newer is not None
    assert proxy.store.applied(newer) == [Request(CLUSTER, "v-c3", "c3")]


def test_applied_but_superseded_update_is_rolled_back_when_the_newer_one_is_broken() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.store.on_response(response(CLUSTER, "c2", cluster("a", connect_timeout=1.0)))
    snapshot = proxy.store.next_snapshot()
    assert snapshot is not None
    proxy.store.on_response(broken(CLUSTER, "c3", "bad"))
    proxy.store.applied(snapshot)
    back = proxy.store.next_snapshot()
    assert back is not None
    assert back.config.clusters == (cluster("a"),)


def test_last_good_is_a_complete_start() -> None:
    earlier = Proxy()
    earlier.receive(*FULL)
    later = ConfigStore(NODE, ProxyConfig())
    later.restore(earlier.store.accepted())
    assert later.informed
    snapshot = later.next_snapshot()
    assert snapshot is not None
    assert snapshot.config == earlier.running
    later.applied(snapshot)
    assert later.connect() == [
        Request(CLUSTER, "v-c1", node=NODE),
        Request(ENDPOINT, "v-e1", resource_names=("a",)),
        Request(LISTENER, "v-l1"),
        Request(ROUTE, "v-r1", resource_names=("80",)),
    ]


def test_last_good_that_this_software_cannot_read_is_an_error() -> None:
    with pytest.raises(DecodeError, match="malformed"):
        ConfigStore(NODE, ProxyConfig()).restore({CLUSTER: Known("1", {"bad": b"\xff"})})


def test_stream_starts_anew_from_what_is_accepted() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    proxy.store.on_response(response(CLUSTER, "c2", cluster("a"), cluster("b")))
    again = proxy.store.connect()
    assert again[0] == Request(CLUSTER, "v-c1", node=NODE)
    assert proxy.store.next_snapshot() is None
    assert {request.type_url for request in again} >= {BY_CONFIG[Listener].type_url, ENDPOINT, ROUTE}


# Secrets.

AUTHORITY = Authority()


def secured(name: str, *secrets: str) -> Listener:
    tls = DownstreamTls(CommonTls(tuple(SecretSource(secret) for secret in secrets)))
    return replace(listener(name), filter_chains=(FilterChain(TcpProxy("t", "a"), tls=tls),))


def secrets(nonce: str, **content: bytes) -> Response:
    """Each as its name with its serialized form."""
    return Response(SECRET, f"v-{nonce}", nonce, tuple(sorted(content.items())))


def good(name: str) -> bytes:
    made = AUTHORITY.certificate("a.example")
    return encode_certificate(name, made.chain, made.key)


def test_secrets_are_asked_for_by_name_and_count_at_once() -> None:
    proxy = Proxy()
    sent = proxy.receive(*FULL[:2], response(LISTENER, "l1", secured("l", "web")))
    assert Request(SECRET, resource_names=("web",)) in sent
    assert proxy.running.listeners == (
        secured("l", "web"),
    )  # it runs, and refuses connections until the secret is there
    assert proxy.receive(secrets("s1", web=good("web"))) == [Request(SECRET, "v-s1", "s1", ("web",))]
    assert set(proxy.store.streamed) == {"web"}
    sent = proxy.receive(response(LISTENER, "l2", secured("l", "web", "shop")))
    assert Request(SECRET, "v-s1", "s1", ("shop", "web")) in sent
    assert proxy.store.accepted().keys() == set(ADS_ORDER)  # no secret is kept on the disk


def test_a_broken_secret_is_refused_by_name_and_holds_up_no_other() -> None:
    proxy = Proxy(judge=check)
    proxy.receive(*FULL[:2], response(LISTENER, "l1", secured("l", "shop", "web")), secrets("s1", web=good("web")))
    former = proxy.store.streamed["web"]
    (nack,) = proxy.receive(secrets("s2", web=encode_certificate("web", b"SECRET", b"SECRET"), shop=good("shop")))
    assert (nack.version_info, nack.nonce) == ("v-s1", "s2")
    assert nack.error_detail is not None
    assert "the secret web is no certificate with its key" in nack.error_detail
    assert "SECRET" not in nack.error_detail
    assert proxy.store.streamed["web"] == former
    assert set(proxy.store.streamed) == {"shop", "web"}
    assert SECRET in proxy.store.errors
    proxy.receive(secrets("s3", web=good("web"), shop=good("shop")))
    assert SECRET not in proxy.store.errors


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "a secret that cannot be read"),
        (b"", "nothing is not supported: expected tls_certificate or validation_context"),
    ],
)
def test_what_is_no_secret_is_refused(content: bytes, reason: str) -> None:
    proxy = Proxy()
    proxy.receive(*FULL[:2], response(LISTENER, "l1", secured("l", "web")))
    (nack,) = proxy.receive(secrets("s1", web=content))
    assert reason in (nack.error_detail or "")


def test_the_same_again_has_another_number() -> None:
    proxy = Proxy()
    proxy.receive(*FULL)
    before = proxy.store.in_force
    again = proxy.store.again()
    assert before is not None
    assert (again.config, again.versions, again.nonces) == (before.config, before.versions, {})
    assert again.number > before.number

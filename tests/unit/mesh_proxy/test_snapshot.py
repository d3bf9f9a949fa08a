"""A configuration becomes a snapshot: complete or refused by name, with everything that lives on."""

from dataclasses import replace
from typing import Any

import pytest

from mesh_api.config import (
    AccessLog,
    Cluster,
    ClusterType,
    CorsFilter,
    DirectResponse,
    DnsCache,
    FaultFilter,
    FilterChain,
    FilterChainMatch,
    ForwardProxyFilter,
    HttpConnectionManager,
    HttpProtocolOptions,
    Listener,
    ListenerFilter,
    OutlierDetection,
    PathMatchKind,
    PipeAddress,
    ProxyConfig,
    RouteConfiguration,
    RouterFilter,
    SniForwardProxy,
    SocketAddress,
    TcpProxy,
    VirtualHost,
    WeightedCluster,
)
from mesh_proxy.chains import Arrival
from mesh_proxy.snapshot import Builder, HttpChain, Snapshot, SnapshotError, TcpChain
from mesh_proxy.telemetry.logs import FileLog
from tests.unit.mesh_proxy.making import assignment, cluster, endpoint, match, route

ADDRESS = SocketAddress("10.9.9.9", 80)
ANY = "0.0.0.0"
ARRIVAL = Arrival(("10.9.9.9", 80), "1.1.1.1")


def chain(name: str, **conditions: Any) -> FilterChain:
    """A chain that is told by the cluster it sends to."""
    return FilterChain(TcpProxy("tcp", cluster=name), match=FilterChainMatch(**conditions))


def listener(*chains: FilterChain, name: str = "l", address: Any = ADDRESS, **fields: Any) -> Listener:
    return Listener(name, address, chains, **fields)


def manager(*routes: Any, **fields: Any) -> HttpConnectionManager:
    config = RouteConfiguration("r", (VirtualHost("v", ("*",), routes),))
    settings: dict[str, Any] = {"http_filters": (RouterFilter(),), "route_config": config} | fields
    return HttpConnectionManager("http", **settings)


def http(*routes: Any, **fields: Any) -> Listener:
    return listener(FilterChain(manager(*routes, **fields)))


def build(config: ProxyConfig, before: Snapshot | None = None) -> Snapshot:
    return Builder(before or Snapshot(), lambda: 0.0).build(config)


def of(*listeners: Listener, **fields: Any) -> ProxyConfig:
    return ProxyConfig(listeners, **fields)


# Which listener.


def test_a_connection_is_handed_to_the_listener_of_its_destination_then_of_its_port() -> None:
    def virtual(name: str, address: str, port: int, **fields: Any) -> Listener:
        return listener(chain("c"), name=name, address=SocketAddress(address, port), **fields)

    made = build(
        of(
            virtual("bound", ANY, 15001, use_original_dst=True),
            virtual("exact", "10.0.0.1", 80, bind_to_port=False),
            virtual("port", ANY, 80, bind_to_port=False),
            listener(chain("c"), name="pipe", address=PipeAddress("/run/a"), bind_to_port=False),
        )
    )
    found = [made.hand_over(where) for where in (("10.0.0.1", 80), ("10.0.0.2", 80), ("10.0.0.1", 81), (ANY, 15001))]
    assert [None if one is None else one.name for one in found] == ["exact", "port", None, None]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"use_original_dst": True}, True),
        ({"listener_filters": (ListenerFilter.ORIGINAL_DST,)}, True),
        ({"listener_filters": (ListenerFilter.HTTP_INSPECTOR,)}, False),
    ],
)
def test_the_original_destination_is_asked_for_where_the_listener_says_so(
    fields: dict[str, Any], expected: bool
) -> None:
    assert build(of(listener(chain("c"), **fields))).listeners["l"].wants_original is expected


# What a chain knows.


@pytest.mark.parametrize(
    ("fields", "chosen"),
    [
        ({"cluster": "one"}, [(0.0, "one"), (0.99, "one")]),
        (
            {"weighted_clusters": (WeightedCluster("a", 1), WeightedCluster("b", 3))},
            [(0.0, "a"), (0.2499, "a"), (0.25, "b"), (0.9999, "b")],
        ),
        ({"weighted_clusters": (WeightedCluster("a", 0), WeightedCluster("b", 3))}, [(0.0, "b")]),
    ],
)
def test_a_tcp_proxy_chooses_its_cluster_by_weight(fields: dict[str, Any], chosen: list[tuple[float, str]]) -> None:
    made = (
        build(of(listener(FilterChain(TcpProxy("t", **fields)))))
        .listeners["l"]
        .chain(Arrival(("10.9.9.9", 80), "1.1.1.1"))
    )
    assert isinstance(made, TcpChain)
    assert [(number, made.choose(number)) for number, _ in chosen] == chosen


def http_chain(snapshot: Snapshot) -> HttpChain:
    made = snapshot.listeners["l"].chain(ARRIVAL)
    assert isinstance(made, HttpChain)
    return made


def test_a_connection_manager_knows_its_routes_filters_and_limits() -> None:
    filters = (CorsFilter(), FaultFilter(), RouterFilter())
    logs = (AccessLog("/dev/null", "%RESPONSE_CODE%\n"),)
    made = http_chain(
        build(
            of(
                http(
                    route(name="only"), http_filters=filters, access_logs=logs, server_name="s", upgrades=("WebSocket",),
                    max_request_headers_kb=2,
                )
            )
        )
    )  # fmt: skip
    assert [type(one).__name__ for one in made.filters] == ["Cors", "Fault"]
    assert (made.server_field.value, made.upgrades, made.max_head) == (b"s", frozenset({b"websocket"}), 2048)
    assert [log.path for log in made.logs if isinstance(log, FileLog)] == ["/dev/null"]
    host = made.table.host(b"x")
    assert host is not None
    assert [one.config.name for one in host.routes] == ["only"]


def test_routes_are_inline_or_found_by_name() -> None:
    named = RouteConfiguration("80", (VirtualHost("v", ("*",), (route(name="named"),)),))
    made = http_chain(build(of(http(route_config=None, rds_name="80"), routes=(named,))))
    assert made.table.config is named


# What lives on.


def test_clusters_and_counters_live_on_by_name() -> None:
    first = build(of(listener(chain("c")), clusters=(cluster(endpoint(1)), cluster(endpoint(2), name="gone"))))
    first.counters["tcp.tcp"].add("downstream_cx_total")
    runtime = first.clusters["c"]
    host = runtime.hosts["10.0.0.1:80"]
    config = of(listener(chain("c")), clusters=(cluster(endpoint(1, weight=2), endpoint(3)), cluster(name="new")))
    second = build(config, first)
    assert second.clusters["c"] is runtime
    assert runtime.hosts["10.0.0.1:80"] is host
    assert (host.weight, set(runtime.hosts)) == (2, {"10.0.0.1:80", "10.0.0.3:80"})
    assert second.counters["tcp.tcp"].named() == {"tcp.tcp.downstream_cx_total": 1}
    assert set(second.clusters) == {"c", "new"}


def test_chains_with_one_prefix_count_together() -> None:
    made = build(of(listener(chain("a", destination_port=1), chain("b"))))
    first, second = (made.listeners["l"].chain(Arrival(("10.9.9.9", port), "1.1.1.1")) for port in (1, 2))
    assert first.stats is second.stats


def test_a_cluster_of_another_type_begins_anew() -> None:
    first = build(of(clusters=(cluster(endpoint(1)),)))
    changed = Cluster("c", ClusterType.EDS)
    second = build(of(clusters=(changed,), endpoints=(assignment(endpoint(1)),)), first)
    assert second.clusters["c"] is not first.clusters["c"]


def test_what_is_ejected_stays_ejected() -> None:
    config = of(clusters=(cluster(endpoint(1), outlier_detection=OutlierDetection(max_ejection_percent=100)),))
    first = build(config)
    runtime = first.clusters["c"]
    for _ in range(5):
        runtime.on_status(runtime.hosts["10.0.0.1:80"], 500, 1.0)
    assert build(config, first).clusters["c"].pick(None, [], 0) is None


# What is refused.

REFUSED: list[tuple[ProxyConfig, str, str]] = [
    (of(http(rds_name="80", route_config=None)), "route configuration 80", "is referred to and not there"),
    (of(clusters=(Cluster("c", ClusterType.EDS),)), "endpoints c", "is referred to and not there"),
    (of(listener(chain("c", prefix_ranges=("10.0.0.0/99",)))), "listener l", "10.0.0.0/99"),
    (of(listener(chain("c", source_prefix_ranges=("x",)))), "listener l", "x"),
    (of(http(http_filters=())), "listener l", "the last HTTP filter must be the router"),
    (of(http(http_filters=(RouterFilter(), FaultFilter()))), "listener l", "the last HTTP filter must be the router"),
    (of(http(http_filters=(RouterFilter(), RouterFilter()))), "listener l", "RouterFilter is not supported before"),
    (of(http(access_logs=(AccessLog("/l", "%X_Y%"),))), "listener l", "the access log operator %X_Y% is not supported"),
    (of(listener(access_logs=(AccessLog("/l", "%"),))), "listener l", "'%' has a % that begins no operator"),
    (
        of(listener(FilterChain(TcpProxy("t", "c", access_logs=(AccessLog("/l", "", (("a", "%X%"),)),))))),
        "listener l",
        "the access log operator %X% is not supported",
    ),
    (of(http(route(match("(", PathMatchKind.REGEX)))), "listener l", "virtual host v: '(' is not a regular expression"),
    (
        of(routes=(RouteConfiguration("80", (VirtualHost("v", ("*",), (route(match("(", PathMatchKind.REGEX)),)),)),)),
        "route configuration 80",
        "virtual host v: '(' is not a regular expression of RE2",
    ),
    (
        of(clusters=(cluster(http=HttpProtocolOptions("auto")),)),
        "cluster c",
        "an upstream protocol that TLS is to agree on needs TLS",
    ),
]


@pytest.mark.parametrize(("config", "resource", "reason"), REFUSED, ids=[f"{row[1]}: {row[2]}" for row in REFUSED])
def test_what_cannot_be_run_is_refused_with_its_name_and_the_reason(
    config: ProxyConfig, resource: str, reason: str
) -> None:
    with pytest.raises(SnapshotError) as caught:
        build(config)
    assert caught.value.resource == resource
    assert reason in caught.value.reason
    assert str(caught.value) == f"{resource}: {caught.value.reason}"


@pytest.mark.parametrize(("config", "resource", "reason"), REFUSED, ids=[f"{row[1]}: {row[2]}" for row in REFUSED])
def test_a_refused_configuration_leaves_the_one_before_as_it_is(
    config: ProxyConfig, resource: str, reason: str
) -> None:
    good = of(http(route(action=DirectResponse(200))), clusters=(cluster(endpoint(1), name="a"),))
    before = build(good)
    runtime = before.clusters["a"]
    changed = cluster(endpoint(2), endpoint(3), name="a", outlier_detection=OutlierDetection())
    with pytest.raises(SnapshotError):
        build(replace(config, clusters=(changed, *config.clusters)), before)
    assert before.clusters == {"a": runtime}
    assert runtime.config is good.clusters[0]
    assert set(runtime.hosts) == {"10.0.0.1:80"}
    assert runtime.outliers is None


def test_of_one_name_there_is_one_cache_of_names() -> None:
    one, other = DnsCache("names"), DnsCache("names", "V4_ONLY")

    def named(cache: DnsCache) -> Cluster:
        return Cluster("c", ClusterType.FORWARD_PROXY, dns_cache=cache)

    def looking(cache: DnsCache) -> Listener:
        return http(route(), http_filters=(ForwardProxyFilter(cache), RouterFilter()))

    made = build(ProxyConfig(listeners=(looking(one),), clusters=(named(one),)))
    assert made.counters["dns_cache.names"].scope == "dns_cache.names"
    with pytest.raises(SnapshotError, match="the DNS cache names has other settings elsewhere"):
        build(ProxyConfig(listeners=(looking(one),), clusters=(named(other),)))


def test_names_of_tls_are_looked_up_for_bytes() -> None:
    guards = (SniForwardProxy(DnsCache("names"), 8443),)
    made = build(
        ProxyConfig(
            listeners=(listener(FilterChain(TcpProxy("tcp", cluster="c"), guards=guards)),), clusters=(cluster(),)
        )
    )
    found = made.listeners["l"].chain(ARRIVAL)
    assert isinstance(found, TcpChain)
    assert found.names_port == 8443
    with pytest.raises(SnapshotError, match="server names are looked up for bytes alone"):
        build(ProxyConfig(listeners=(listener(FilterChain(manager(route()), guards=guards)),), clusters=(cluster(),)))


def test_managers_of_one_name_are_counted_by_listener() -> None:
    pair = http(route()), replace(http(route()), name="other", address=SocketAddress("10.9.9.9", 81))
    made = build(ProxyConfig(listeners=pair, clusters=(cluster(),)))
    found = [made.listeners[name].chain(ARRIVAL) for name in ("l", "other")]
    assert [chain.stats.owner for chain in found if chain is not None] == [
        "listener.10.9.9.9_80",
        "listener.10.9.9.9_81",
    ]
    again = build(ProxyConfig(listeners=pair, clusters=(cluster(),)), made)
    kept = [again.listeners[name].chain(ARRIVAL) for name in ("l", "other")]
    assert [chain.stats for chain in kept if chain is not None] == [chain.stats for chain in found if chain is not None]

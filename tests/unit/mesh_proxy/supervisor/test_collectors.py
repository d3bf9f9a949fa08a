"""Which hosts of a cluster the supervisor speaks to itself, and how."""

from dataclasses import replace
from typing import Any

import pytest

from mesh_api.config import (
    Cluster,
    Endpoint,
    HealthStatus,
    HttpService,
    LocalityEndpoints,
    PipeAddress,
    ProxyConfig,
    SocketAddress,
    TransportSocketMatch,
    UpstreamProxyProtocol,
    UpstreamTls,
)
from mesh_api.config.endpoints import ClusterLoadAssignment
from mesh_proxy.supervisor.collectors import Collector, CollectorError, Reached, collector, url
from tests.support.proxy_config import cluster

TLS = UpstreamTls(sni="outbound_.4317_._.otlp.example")
MATCHES = (TransportSocketMatch("tlsMode-istio", (("tlsMode", "istio"),), TLS),)


def host(number: int, **fields: Any) -> Endpoint:
    return Endpoint(SocketAddress(f"192.0.2.{number}", 4317), **fields)


def of(*endpoints: Endpoint, **fields: Any) -> Cluster:
    assignment = ClusterLoadAssignment("otlp", (LocalityEndpoints(endpoints),))
    return replace(cluster("otlp", 1), load_assignment=assignment, **fields)


def found(made: Cluster) -> Collector:
    return collector(ProxyConfig(clusters=(made,)), "otlp")


def test_each_host_is_spoken_to_as_its_labels_say() -> None:
    reached = found(of(host(1, tls_mode="istio"), host(2), tls_matches=MATCHES))
    assert reached.hosts == (Reached("192.0.2.1:4317", TLS), Reached("192.0.2.2:4317"))
    assert not reached.plain
    assert found(of(host(1), host(2))).plain
    assert found(of(host(1), tls=TLS)).hosts == (Reached("192.0.2.1:4317", TLS),)


def test_the_request_s_host_is_asked_for_and_checked_where_the_cluster_wants_it() -> None:
    wanted = of(host(1, hostname="otlp.example"), tls=TLS)
    wanted = replace(wanted, http=replace(wanted.http, auto_sni=True, auto_san_validation=True))
    assert found(wanted).hosts == (Reached("192.0.2.1:4317", TLS, "otlp.example", True, True),)
    assert found(replace(wanted, tls=None)).hosts == (Reached("192.0.2.1:4317", None, "otlp.example"),)


@pytest.mark.parametrize(
    "made",
    [
        of(),
        of(host(1, health=HealthStatus.UNHEALTHY), host(2, health=HealthStatus.DRAINING)),
        of(Endpoint(PipeAddress("/run/otlp.sock"))),
        of(host(1), tls=UpstreamProxyProtocol("V1")),
        of(host(1), tls=UpstreamProxyProtocol("V1", TLS)),
    ],
)
def test_who_cannot_be_reached(made: Cluster) -> None:
    with pytest.raises(CollectorError, match="cluster otlp has no host that can be reached"):
        found(made)


def test_hosts_may_stand_apart_and_those_of_a_lower_priority_come_last() -> None:
    apart = replace(cluster("otlp", 1), load_assignment=None)
    later, first = LocalityEndpoints((host(1),), priority=1), LocalityEndpoints((host(2),))
    config = ProxyConfig(clusters=(apart,), endpoints=(ClusterLoadAssignment("otlp", (later, first)),))
    assert collector(config, "otlp").addresses == ("192.0.2.2:4317", "192.0.2.1:4317")
    assert collector(config, "otlp").target == "ipv4:192.0.2.2:4317,192.0.2.1:4317"
    with pytest.raises(CollectorError, match="there is no cluster other"):
        collector(config, "other")


def test_what_is_asked_for_by_http() -> None:
    service = HttpService("http://otlp.example:4318/v1/traces?a=b", "otlp")
    assert url(service, "192.0.2.1:4318") == ("http://192.0.2.1:4318/v1/traces?a=b", "otlp.example:4318")

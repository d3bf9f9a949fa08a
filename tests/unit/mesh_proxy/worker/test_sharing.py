"""Which requests share connections to a host."""

from typing import Any

import pytest

from mesh_api.config import Cluster, ClusterType, HttpProtocolOptions, UpstreamProxyProtocol
from mesh_proxy.balancing.host import Host
from mesh_proxy.chains import Arrival
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.tls.contexts import Tls
from mesh_proxy.tls.transports import Transports
from mesh_proxy.worker.connection_info import ConnectionInfo
from mesh_proxy.worker.upstream.sharing import host_of, lane_of


def runtime(**options: Any) -> ClusterRuntime:
    tls = options.pop("tls", None)
    config = Cluster("c", ClusterType.STATIC, http=HttpProtocolOptions(**options), tls=tls)
    made = ClusterRuntime(config, None, lambda: 0.0)
    made.transports = Transports(config, lambda each: Tls(each, {}))
    return made


def client(source: str, port: int) -> ConnectionInfo:
    return ConnectionInfo("l", (source, port), Arrival(("10.0.0.9", 80), source))


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"a.example", "a.example"),
        (b"a.example:80", "a.example"),
        (b"a.example:", "a.example:"),
        (b"a.example:65536", "a.example:65536"),
        (b"a.example:x", "a.example:x"),
        (b"192.0.2.1:80", "192.0.2.1"),
        (b"[2001:db8::1]", "2001:db8::1"),
        (b"[2001:db8::1]:80", "2001:db8::1"),
        (b"[a]", "[a]"),
        (b"", ""),
    ],
)
def test_host_of_an_authority(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    ("options", "authority", "names"),
    [
        ({"auto_sni": True}, b"A.example:80", ("a.example", "")),
        ({"auto_sni": True}, b"192.0.2.1", ("", "")),
        ({"auto_sni": True, "auto_san_validation": True}, b"A.example", ("a.example", "A.example")),
        ({"auto_sni": True, "auto_san_validation": True}, b"192.0.2.1:80", ("", "192.0.2.1")),
        ({"auto_san_validation": True}, b"a.example", ("", "a.example")),
    ],
)
def test_names_of_a_request(options: dict[str, bool], authority: bytes, names: tuple[str, str]) -> None:
    cluster, host = runtime(**options), Host("h", ("127.0.0.1", 1))
    lane = lane_of(cluster, host, authority, None)
    assert cluster.parts
    assert (lane.server_name, lane.subject) == names
    assert (lane is host.lane) is (names == ("", ""))
    assert lane_of(cluster, host, authority, None) is lane
    assert lane_of(cluster, host, b"other.example", None) is not lane


def test_a_connection_of_one_client_is_not_for_another() -> None:
    cluster, host = runtime(tls=UpstreamProxyProtocol("V1")), Host("h", ("127.0.0.1", 1))
    one, two = client("10.0.0.1", 1), client("10.0.0.1", 2)
    lane = lane_of(cluster, host, b"a", one)
    assert lane.header == b"PROXY TCP4 10.0.0.1 10.0.0.9 1 80\r\n"
    assert lane_of(cluster, host, b"b", one) is lane
    assert lane_of(cluster, host, b"a", two) is not lane
    assert lane_of(cluster, host, b"a", None) is host.lane


def test_a_cluster_without_wishes_parts_nothing() -> None:
    assert not runtime().parts


def test_requests_of_different_clients_have_different_connections_where_the_source_is_kept() -> None:
    cluster, host = runtime(), Host("h", ("127.0.0.1", 1))
    one, again, other, plain = (
        client("10.0.0.1", 1),
        client("10.0.0.1", 2),
        client("10.0.0.2", 1),
        client("10.0.0.3", 1),
    )
    for who in (one, again, other):
        who.source = who.remote[0]
    lane = lane_of(cluster, host, b"a.example", one)
    assert (lane.source, lane.server_name, lane.header) == ("10.0.0.1", "", b"")
    assert lane_of(cluster, host, b"b.example", again) is lane
    assert lane_of(cluster, host, b"a.example", other) is not lane
    assert lane_of(cluster, host, b"a.example", plain) is host.lane

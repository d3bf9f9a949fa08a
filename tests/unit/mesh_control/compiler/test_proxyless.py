"""What an application's own gRPC is told, as istiod's ``grpcgen`` tells it."""

from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from mesh_api.config import LbPolicy
from mesh_api.xds.api_listener import encode_api_listener
from mesh_control.compiler.proxyless import ProxylessConfig, compile_proxyless
from mesh_control.encoder import Encoder
from mesh_control.proxies import proxy_of
from tests.unit.mesh_control import worlds

RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec:
  host: order
  trafficPolicy:
    loadBalancer: {simple: LEAST_REQUEST}
    connectionPool: {http: {http2MaxRequests: 7}}
    outlierDetection: {consecutive5xxErrors: 3}
  subsets: [{name: v1, labels: {version: v1}}]
"""
NAME = f"outbound|8380||{worlds.ORDER}"


def compiled(text: str = "") -> ProxylessConfig:
    return compile_proxyless(worlds.world(text), proxy_of(worlds.STORE))


def test_a_listener_for_every_name_leads_to_the_table_of_the_service() -> None:
    found = {listener.name: listener.route_name for listener in compiled().listeners}
    names = {name.rpartition(":")[0] for name, route in found.items() if route == NAME}
    short = {"order", "order.default", "order.default.svc"}
    assert names == {worlds.ORDER, f"{worlds.ORDER}.", *short}


def test_a_table_has_the_service_alone_by_its_names_with_and_without_port() -> None:
    table = next(table for table in compiled().routes if table.name == NAME)
    (host,) = table.virtual_hosts
    assert {worlds.ORDER, f"{worlds.ORDER}:8380", "order", "order:8380"} <= set(host.domains)
    assert not table.ignore_port_in_host_matching, "gRPC does not know it"


def test_of_clusters_only_what_grpc_takes_is_told() -> None:
    plain = next(cluster for cluster in compiled().clusters if cluster.name == NAME)
    assert (plain.lb_policy, plain.thresholds, plain.tls, plain.tls_matches) == (LbPolicy.ROUND_ROBIN, None, None, ())
    ruled = {cluster.name: cluster for cluster in compiled(RULE).clusters}
    assert ruled[NAME].lb_policy is LbPolicy.LEAST_REQUEST
    assert ruled[NAME].outlier_detection is None
    limits = ruled[f"outbound|8380|v1|{worlds.ORDER}"].thresholds
    assert limits is not None
    assert limits.max_requests == 7


def test_every_cluster_has_its_endpoints() -> None:
    found = compiled(RULE)
    assert [cluster.name for cluster in found.clusters] == [hosts.cluster_name for hosts in found.endpoints]


def test_listeners_are_api_listeners() -> None:
    (listener,) = (item for item in compiled().listeners if item.name == f"{worlds.ORDER}:8380")
    message = listener_pb2.Listener.FromString(encode_api_listener(listener))
    manager = hcm_pb2.HttpConnectionManager.FromString(message.api_listener.api_listener.value)
    assert manager.rds.route_config_name == NAME
    assert [item.name for item in manager.http_filters] == ["envoy.filters.http.fault", "envoy.filters.http.router"]


def test_equal_worlds_give_equal_bytes() -> None:
    first, second = (Encoder()(compiled(RULE)) for _ in range(2))
    assert first == second

"""Outbound listeners of sidecars, for proxies that look into connections and for those that do not."""

from dataclasses import replace

from mesh_api.config import FilterChainMatch, ListenerFilter
from mesh_control.services import Protocol
from tests.unit.mesh_control.worlds import STORE, ServicePort, by_name, compiled, service

OUTSIDE = "---\n".join(
    f"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}}}\n"
    f"spec: {{hosts: [{name}.example], resolution: DNS, ports: [{{number: 443, name: https, protocol: TLS}}]}}\n"
    for name in ("a", "b")
)
PLAIN = replace(STORE, user_agent="meshwright 0.1.0")


def test_services_with_tls_share_a_port_by_the_servers_name() -> None:
    listener = by_name(compiled(OUTSIDE).listeners)["0.0.0.0_443"]
    chains = {chain.match.server_names: chain.filter.cluster for chain in listener.filter_chains}
    assert chains == {("a.example",): "outbound|443||a.example", ("b.example",): "outbound|443||b.example"}
    assert listener.listener_filters == (ListenerFilter.TLS_INSPECTOR,)
    assert listener.default_filter_chain is not None


def test_a_proxy_that_does_not_inspect_takes_every_connection_of_a_port_alike() -> None:
    listeners = by_name(compiled(OUTSIDE, PLAIN).listeners)
    assert "0.0.0.0_443" not in listeners  # passes through
    http = listeners["0.0.0.0_8380"]
    assert [chain.match for chain in http.filter_chains] == [FilterChainMatch()]
    assert (http.listener_filters, http.default_filter_chain) == ((), None)


def test_a_proxy_without_http2_carries_grpc_as_bytes() -> None:
    grpc = service("grpc", ServicePort("grpc", 50051, Protocol.GRPC, 50051), addresses=("10.96.0.1",))
    config = compiled(node=PLAIN, services=(grpc,))
    assert by_name(config.clusters)["outbound|50051||grpc.default.svc.cluster.local"].http.protocol == "http1"
    listener = by_name(config.listeners)["10.96.0.1_50051"]
    assert listener.filter_chains[0].filter.cluster == "outbound|50051||grpc.default.svc.cluster.local"
    assert config.routes == ()
    full = compiled(services=(grpc,))
    assert by_name(full.clusters)["outbound|50051||grpc.default.svc.cluster.local"].http.protocol == "http2"
    assert [table.name for table in full.routes] == ["50051"]


def test_the_capture_port_leads_nowhere() -> None:
    node = replace(STORE, metadata={"CAPTURE_PORTS": {"outbound": 15101.0, "inbound": 15106.0}})
    listeners = by_name(compiled(node=node).listeners)
    assert str(listeners["virtualOutbound"].address) == "0.0.0.0:15101"
    assert listeners["virtualOutbound"].use_original_dst
    sink = listeners["virtualOutbound"].filter_chains[0]
    assert (sink.match.destination_port, sink.filter.cluster) == (15101, "BlackHoleCluster")
    assert listeners["virtualInbound"].filter_chains[0].match.destination_port == 15106


def test_inbound_has_a_chain_for_each_port_of_the_workload() -> None:
    inbound = by_name(compiled(node=PLAIN).listeners)["virtualInbound"]
    assert [chain.name for chain in inbound.filter_chains] == [
        "virtualInbound-blackhole",
        "0.0.0.0_8480",
        "virtualInbound",
    ]
    assert by_name(compiled(node=PLAIN).clusters)["inbound|8480||"].bind_address == "127.0.0.6"

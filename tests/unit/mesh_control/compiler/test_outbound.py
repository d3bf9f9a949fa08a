"""Listeners of sidecars, for proxies that have an identity and for those that have none."""

from dataclasses import replace

from mesh_api.config import ListenerFilter
from mesh_api.node import Node
from tests.unit.mesh_control.worlds import STORE, by_name, compiled

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


def test_the_capture_port_leads_nowhere() -> None:
    node = replace(STORE, metadata={"CAPTURE_PORTS": {"outbound": 15101.0, "inbound": 15106.0}})
    listeners = by_name(compiled(node=node).listeners)
    assert str(listeners["virtualOutbound"].address) == "0.0.0.0:15101"
    assert listeners["virtualOutbound"].use_original_dst
    sink = listeners["virtualOutbound"].filter_chains[0]
    assert (sink.match.destination_port, sink.filter.cluster) == (15101, "BlackHoleCluster")
    assert listeners["virtualInbound"].filter_chains[0].match.destination_port == 15106


def ways(node: Node, **metadata: object) -> list[tuple[str, str, bool]]:
    """Name and transport of the inbound chains, and whether TLS ends there."""
    node = replace(node, metadata={**node.metadata, **metadata})
    inbound = by_name(compiled(node=node).listeners)["virtualInbound"]
    return [(chain.name, chain.match.transport_protocol, chain.tls is not None) for chain in inbound.filter_chains]


def test_inbound_has_chains_for_each_port_of_the_workload() -> None:
    of_port = [way for way in ways(STORE) if way[0] == "0.0.0.0_8480"]
    assert of_port == [("0.0.0.0_8480", "tls", True), ("0.0.0.0_8480", "raw_buffer", False)]
    assert by_name(compiled().clusters)["inbound|8480||"].bind_address == "127.0.0.6"


def test_our_own_proxy_gets_the_same_when_it_has_an_identity() -> None:
    assert ways(PLAIN, HAS_IDENTITY=True) == ways(STORE)


def test_a_proxy_without_an_identity_ends_no_tls_and_begins_none() -> None:
    assert not any(ends for _, _, ends in ways(PLAIN))
    assert {name for name, _, _ in ways(PLAIN)} == {name for name, _, _ in ways(STORE)}
    order = "outbound|8380||order.default.svc.cluster.local"
    assert by_name(compiled().clusters)[order].tls_matches
    assert not by_name(compiled(node=PLAIN).clusters)[order].tls_matches


STRICT = (
    "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\n"
    "spec: {mtls: {mode: STRICT}}\n"
)


def test_where_tls_must_be_a_proxy_without_an_identity_lets_nobody_in() -> None:
    inbound = by_name(compiled(STRICT, PLAIN).listeners)["virtualInbound"]
    assert all(chain.tls for chain in inbound.filter_chains if chain.name == "0.0.0.0_8480")

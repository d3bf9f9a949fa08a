"""Which network a workload is in, and by which gateways others get there.

What istiod makes of them stands in ``tests/integration/mesh_control/istiod/networks-*.yaml``, but for labels of namespaces,
which the program that asks it does not know.
"""

import pytest

from mesh_control.gateway_api import Surroundings
from mesh_control.networks import NetworkGateway, Networks, Places, internal_ranges, label_of, reachable
from mesh_control.services import Origin, Workload
from mesh_control.world import World
from mesh_policy.mesh_config import read_mesh_networks

NETWORKS = read_mesh_networks(
    """
networks:
  wide: {endpoints: [{fromCidr: 10.0.0.0/8}]}
  narrow: {endpoints: [{fromCidr: 10.1.0.0/16}]}
  cluster: {endpoints: [{fromRegistry: Kubernetes}]}
"""
)
RANGES = read_mesh_networks("networks: {wide: {endpoints: [{fromCidr: 10.0.0.0/8}]}}")


def pod(address: str, network: str = "") -> Workload:
    return Workload("a", "default", address, origin=Origin.POD, network=network)


@pytest.mark.parametrize(
    ("places", "workload", "network"),
    [
        (Places(NETWORKS, "told"), pod("10.1.0.1", "own"), "own"),
        (Places(NETWORKS, "told"), pod("10.1.0.1"), "told"),
        (Places(NETWORKS, ""), pod("10.1.0.1"), "cluster"),
        (Places(RANGES, ""), pod("10.1.0.1"), "wide"),
        (Places(RANGES, ""), pod("192.0.2.1"), ""),
        (Places(NETWORKS, "told"), Workload("a", "default", "10.1.0.1"), ""),
    ],
    ids=["its label", "its cluster's label", "its registry", "its address", "none", "an entry says it itself"],
)
def test_the_network_of_a_workload(places: Places, workload: Workload, network: str) -> None:
    assert places.of(workload) == network


def test_the_label_of_the_meshs_namespace_is_for_the_whole_cluster() -> None:
    around = Surroundings(namespaces={"istio-system": {"topology.istio.io/network": "one"}})
    world = World.of(surroundings=around)
    assert world.placed(pod("10.0.0.1")).network == "one"


def test_gateways_of_the_cluster_go_before_others_and_names_are_of_no_use() -> None:
    own = NetworkGateway("192.0.2.1", 15443, "two", "Kubernetes")
    told = NetworkGateway("192.0.2.2", 443, "two")
    named = NetworkGateway("gateway.example", 443, "three")
    networks = Networks([told, own, named])
    assert networks.to("two") == [own]
    assert networks.to("three") == []
    assert networks.scale == 2
    assert not Networks([named])


def test_gateways_are_reached_by_the_versions_of_ip_that_a_proxy_has() -> None:
    old, new = NetworkGateway("192.0.2.1", 1, "n"), NetworkGateway("2001:2::1", 1, "n")
    assert reachable([old, new], (4,)) == [old]
    assert reachable([old, new], (6,)) == [new]
    assert reachable([old, new], (4, 6)) == [old, new]


def test_labels_of_gateways_and_internal_ranges() -> None:
    assert label_of({"topology.istio.io/network": "one"}) == ("one", 15443)
    port = {"topology.istio.io/network": "one", "networking.istio.io/gatewayPort": "443"}
    assert label_of(port) == ("one", 443)
    assert internal_ranges(NETWORKS) == ("10.0.0.0/8", "10.1.0.0/16")

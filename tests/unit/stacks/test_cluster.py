"""Which machine has which part of a cluster, and which settings of one are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks import ansible_inventory, cluster
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import laptop, local, static

THREE = ["node1", "node2", "node3"]


def of(**kubernetes: Any) -> Environment:
    return parse(local.ENVIRONMENT, {"kubernetes": kubernetes})


def test_the_first_machine_controls_where_nobody_says_which() -> None:
    environment = of()
    assert cluster.control_machines(environment) == ("node1",)
    assert cluster.workers(environment) == ("node2", "node3")
    assert cluster.endpoint(environment) == "10.77.0.11:6443"


def test_machines_and_an_address_of_the_api_can_be_chosen() -> None:
    environment = of(control_machines=["node3", "node2", "node1"], endpoint="api.internal", api_port=443)
    assert cluster.control_machines(environment) == ("node3", "node2", "node1")
    assert cluster.workers(environment) == ()
    assert cluster.endpoint(environment) == "api.internal:443"
    assert {found.port for found in cluster.listeners(environment, "node2")} >= {443, 2379, 10250}


def test_an_address_that_moves_is_the_api_s() -> None:
    environment = of(control_machines=THREE, virtual_address="10.77.0.10")
    assert cluster.endpoint(environment) == "10.77.0.10:6443"
    assert ansible_inventory.variables(environment)["kubernetes_virtual_address"] == "10.77.0.10"
    named = of(control_machines=THREE, virtual_address="10.77.0.10", endpoint="api.internal")
    assert cluster.endpoint(named) == "api.internal:6443"
    assert ansible_inventory.variables(of())["kubernetes_virtual_address"] == ""


def test_a_worker_needs_no_port_of_the_control_plane() -> None:
    assert {found.port for found in cluster.listeners(of(address_pool=[]), "node2")} == {10250, 10256}


def test_every_machine_answers_for_addresses_of_a_pool() -> None:
    for machine in ("node1", "node2"):
        found = {one.port: one for one in cluster.listeners(of(), machine)}
        assert {found[port].setting for port in (7946, 17472)} == {"kubernetes.address_pool"}


def test_a_pool_is_written_as_ranges_networks_or_addresses() -> None:
    pool = ["10.77.0.32/30", "10.77.0.200 - 10.77.0.203", "10.77.0.9"]
    environment = of(address_pool=pool)
    expected = ["10.77.0.32-10.77.0.35", "10.77.0.200-10.77.0.203", "10.77.0.9-10.77.0.9"]
    assert ansible_inventory.variables(environment)["kubernetes_address_pool"] == expected
    assert parse(environment, {}) == environment


def test_hosts_that_exist_have_a_network_that_is_not_known() -> None:
    values = {"kubernetes": {"address_pool": ["192.0.2.1-192.0.2.9"]}}
    assert parse(static.ENVIRONMENT, values).kubernetes is not None
    assert static.ENVIRONMENT.kubernetes is not None
    assert static.ENVIRONMENT.kubernetes.address_pool == ()
    with pytest.raises(InvalidEnvironmentError, match=r"10.77.0.8-10.77.0.12 holds 10.77.0.11, which is node1's"):
        parse(static.ENVIRONMENT, {"kubernetes": {"address_pool": ["10.77.0.8-10.77.0.12"]}})


def test_a_stack_of_a_cluster_needs_its_settings() -> None:
    values = local.ENVIRONMENT.model_dump(mode="json", exclude_unset=True) | {"platform": "kubernetes"}
    assert parse(values).platform == "kubernetes"
    with pytest.raises(
        InvalidEnvironmentError, match=r"environment.platform: kubernetes needs the settings of a cluster"
    ):
        parse(values | {"kubernetes": None})


def test_machines_that_reach_no_registry_take_what_was_built() -> None:
    with pytest.raises(
        InvalidEnvironmentError, match=r"environment.sources.kubernetes: machines made of namespaces reach"
    ):
        parse(local.ENVIRONMENT, {"sources": {"kubernetes": "official"}})
    assert parse(static.ENVIRONMENT, {}).sources.kubernetes == "official"


def test_an_environment_without_a_cluster_has_no_machine_of_one() -> None:
    assert cluster.control_machines(laptop.ENVIRONMENT) == cluster.workers(laptop.ENVIRONMENT) == ()
    with pytest.raises(ValueError, match="environment laptop has no cluster; set kubernetes"):
        cluster.endpoint(laptop.ENVIRONMENT)
    assert "kubernetes_endpoint" not in ansible_inventory.variables(laptop.ENVIRONMENT)


@pytest.mark.parametrize(
    ("kubernetes", "expected"),
    [
        ({"control_machines": ["node9"]}, "control_machines: no machine 'node9' (allowed: node1, node2, node3)"),
        ({"control_machines": ["node1", "node2"]}, "control_machines: 2 machines lose their majority with one of them"),
        ({"control_machines": ["node1", "node1", "node2"]}, "control_machines: 'node1' stands twice"),
        ({"pod_network": "10.244.0.0/23"}, "pod_network: 10.244.0.0/23 has room for 2 machines of 3"),
        ({"pod_network": "10.244.0.0/25"}, "pod_network: 10.244.0.0/25 has room for 0 machines of 3"),
        ({"pod_network": "10.76.0.0/15"}, "pod_network: 10.76.0.0/15 overlaps machines.network 10.77.0.0/24"),
        ({"service_network": "10.244.9.0/24"}, "pod_network: 10.244.0.0/16 overlaps kubernetes.service_network"),
        (
            {"address_pool": ["10.77.0.9-10.77.0.12"]},
            "address_pool: 10.77.0.9-10.77.0.12 holds 10.77.0.12, which is node2's",
        ),
        (
            {"address_pool": ["10.77.0.0/29"]},
            "address_pool: 10.77.0.0-10.77.0.7 holds 10.77.0.1, which is the gateway's",
        ),
        (
            {"address_pool": ["10.77.0.255"]},
            "address_pool: 10.77.0.255-10.77.0.255 holds 10.77.0.255, which is the network's own",
        ),
        (
            {"address_pool": ["10.78.0.1-10.78.0.9"]},
            "address_pool: 10.78.0.1-10.78.0.9 is not in machines.network 10.77.0.0/24",
        ),
        ({"address_pool": ["10.96.0.0/24"]}, "address_pool: 10.96.0.0-10.96.0.255 overlaps kubernetes.service_network"),
        (
            {"address_pool": ["10.77.0.30-10.77.0.40", "10.77.0.40"]},
            "address_pool: 10.77.0.30-10.77.0.40 overlaps 10.77.0.40-10.77.0.40",
        ),
        (
            {"address_pool": ["10.77.0.40-10.77.0.30"]},
            "address_pool.0 = '10.77.0.40-10.77.0.30': ends before it begins",
        ),
        (
            {"address_pool": ["fd00::1"]},
            "address_pool.0 = 'fd00::1': must be FIRST-LAST, a network or an address of IPv4",
        ),
        (
            {"address_pool": ["10.77.0.9/24"]},
            "address_pool.0 = '10.77.0.9/24': must be FIRST-LAST, a network or an address",
        ),
        ({"storage": "nfs"}, "storage = 'nfs': Input should be 'local-path' or 'none'"),
        ({"version": "1.32.1"}, "version = '1.32.1': String should match pattern"),
        ({"endpoint": "https://api"}, "endpoint: 'https://api' is no host (allowed: a name in lower case or an IPv4"),
        ({"endpoint": "10.0.0.300"}, "endpoint: '10.0.0.300' is no host"),
        ({"endpoint": "api:6443"}, "endpoint: 'api:6443' is no host"),
        ({"control_machines": THREE}, "virtual_address: several control machines need an address that outlives each"),
        ({"virtual_address": "api"}, "virtual_address = 'api'"),
        ({"virtual_address": "10.78.0.9"}, "virtual_address: 10.78.0.9 is not in machines.network 10.77.0.0/24"),
        ({"virtual_address": "10.77.0.1"}, "virtual_address: 10.77.0.1 is the network's own or its gateway's"),
        (
            {"virtual_address": "10.77.0.30", "address_pool": ["10.77.0.20-10.77.0.40"]},
            "virtual_address: 10.77.0.30 is one of kubernetes.address_pool",
        ),
        ({"virtual_address": "10.77.0.12"}, "virtual_address: 10.77.0.12 is that of node2"),
        ({"pod_traffic": "ipip"}, "pod_traffic = 'ipip': Input should be 'vxlan' or 'host-gw'"),
    ],
)
def test_settings_that_no_cluster_can_have_are_refused(kubernetes: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        of(**kubernetes)
    assert f"environment.kubernetes.{expected}" in str(caught.value)

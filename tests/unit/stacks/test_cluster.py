"""Which machine has which part of a cluster, and which settings of one are refused."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks import ansible_inventory, cluster
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import laptop, local, static


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


def test_a_worker_needs_no_port_of_the_control_plane() -> None:
    assert {found.port for found in cluster.listeners(of(), "node2")} == {10250, 10256}


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
        ({"version": "1.33.1"}, "version = '1.33.1': String should match pattern"),
        ({"pod_traffic": "ipip"}, "pod_traffic = 'ipip': Input should be 'vxlan' or 'host-gw'"),
    ],
)
def test_settings_that_no_cluster_can_have_are_refused(kubernetes: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        of(**kubernetes)
    assert f"environment.kubernetes.{expected}" in str(caught.value)

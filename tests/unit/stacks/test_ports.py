"""Which unit listens where, and that two never share a port."""

from collections.abc import Mapping
from typing import Any

import pytest

from stacks import ports
from stacks.environment import InvalidEnvironmentError, parse
from stacks.environments import local


def test_the_proxies_of_a_machine_are_counted_in_their_order() -> None:
    own = ports.of_proxies(local.ENVIRONMENT)
    assert next(iter(own)) == "ingressgateway"
    assert (own["store"].inbound, own["order"].inbound, own["book-store-v1"].admin) == (15006, 15106, 15200)


def test_nothing_is_redirected_to_the_gateway() -> None:
    found = {found.port for found in ports.listeners(local.ENVIRONMENT) if "ingressgateway" in found.unit}
    assert found == {80, 15000, 15021, 15090}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"mesh": {"gateway": {"http_port": 15012}}}, "mesh.gateway.http_port: port 15012 of node1 is mesh-control"),
        ({"mesh": {"monitoring_port": 15012}}, "mesh.monitoring_port: port 15012 of node1 is mesh-control.service's"),
        (
            {"mesh": {"xds_port": 22}},
            "mesh.xds_port: port 22 of node1 is ssh.service's (machines.nodes.node1.ssh_port)",
        ),
        ({"postgresql": {"port": 80}}, "postgresql.port: port 80 of node1 is mesh-proxy@ingressgateway.service's"),
        ({"postgresql": {"port": 15021}}, "mesh.gateway.machine: port 15021 of node1 is postgresql@*-main.service's"),
    ],
)
def test_a_port_that_two_would_take_is_told_with_both_settings(overrides: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse(local.ENVIRONMENT, overrides)
    assert f"environment.{expected}" in str(caught.value)


def test_ssh_may_be_behind_another_port_on_machines_that_exist() -> None:
    nodes = [node.model_dump() for node in local.ENVIRONMENT.machines.nodes]
    nodes[0]["ssh_port"] = 80
    assert parse(local.ENVIRONMENT, {"machines": {"driver": "existing", "nodes": nodes}})

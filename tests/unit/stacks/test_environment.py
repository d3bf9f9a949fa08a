"""A wrong environment is refused with the key, the value and what is allowed."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from stacks.environment import InvalidEnvironmentError, merge, parse
from stacks.program import declared

BASE: dict[str, Any] = {
    "name": "x",
    "machines": {"nodes": [{"name": "node1", "address": "10.77.0.11"}, {"name": "node2", "address": "10.77.0.12"}]},
    "services": [{"name": "book-store", "ports": [{"port": 8080}]}],
    "workloads": [{"name": "book-store-v1", "service": "book-store", "program": "book-store", "machine": "node2"}],
}


def workload(**values: Any) -> dict[str, Any]:
    return {"workloads": [BASE["workloads"][0] | values]}


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"machines": {"driver": "vagrant"}}, "environment.machines.driver = 'vagrant': Input should be 'namespaces'"),
        ({"machines": {"cores": 0}}, "environment.machines.cores = 0: Input should be greater than or equal to 1"),
        ({"machines": {"cpus": 2}}, "environment.machines.cpus: there is no such setting"),
        (
            {"mesh": {"xds_port": 70000}},
            "environment.mesh.xds_port = 70000: Input should be less than or equal to 65535",
        ),
        ({"mesh": {"control_machine": "node9"}}, "mesh.control_machine: no machine 'node9' (allowed: node1, node2)"),
        ({"mesh": {"gateway": {"machine": "a"}}}, "mesh.gateway.machine: no machine 'a' (allowed: node1, node2)"),
        (workload(machine="node7"), "workloads.book-store-v1.machine: no machine 'node7'"),
        (workload(service="books"), "workloads.book-store-v1.service: no service 'books' (allowed: book-store)"),
        (workload(program="shop"), "environment.workloads.0.program = 'shop': Input should be 'store'"),
        (workload(database=True), "workloads.book-store-v1.database: asks for a database and postgresql is unset"),
        (
            {"machines": {"network": "10.9.0.0/24"}},
            "machines.nodes.node1.address: 10.77.0.11 is not in machines.network",
        ),
        (
            {
                "machines": {
                    "nodes": [{"name": "node1", "address": "10.77.0.1"}, {"name": "node2", "address": "10.77.0.2"}]
                }
            },
            "environment.machines.nodes.node1.address: 10.77.0.1 is the network's own or its gateway's",
        ),
        ({"machines": {"network": "10.77.0.11/32"}}, "environment.machines.network: 10.77.0.11/32 has no room"),
        (
            {"machines": {"network": "fd00::/64"}},
            "environment.machines.network = 'fd00::/64': Input is not a valid IPv4",
        ),
        (workload(name="a" * 28), "environment.workloads.0.name = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa': String should match"),
        (workload(name="ingressgateway"), "workloads (and mesh.gateway.name): 'ingressgateway' stands twice"),
        (workload(version="v1\nv2"), "environment.workloads.0.version = 'v1\\nv2': String should match"),
        (
            workload(settings={"A": "1\nPORT=2"}),
            "environment.workloads.0.settings.A = '1\\nPORT=2': String should match",
        ),
        (workload(settings={"PORT": "2"}), "environment.workloads.0.settings: PORT follows from other settings"),
        ({"scenario": "chaos"}, "environment.scenario = 'chaos': Input should be 'steady', 'timeout'"),
        ({"name": "Not A Label"}, "environment.name = 'Not A Label'"),
    ],
)
def test_one_wrong_value_names_itself(overrides: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse(BASE, overrides)
    assert expected in str(caught.value)


def test_settings_that_are_no_table_are_refused() -> None:
    with pytest.raises(InvalidEnvironmentError, match=r"environment = \[1\]: must be a table of settings"):
        parse(BASE, cast(Any, [1]))


def test_a_stack_keeps_its_name() -> None:
    with pytest.raises(
        InvalidEnvironmentError, match=r"environment\.name = 'other': the stack's name is allowed, 'local'"
    ):
        declared("local", {"name": "other"})


def test_every_wrong_value_is_told_at_once() -> None:
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse(BASE, {"machines": {"cores": 0, "memory_mib": 1}, "mesh": {"proxy": {"concurrency": 0}}})
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(InvalidEnvironmentError) as caught:
        parse(BASE, {"mesh": {"control_machine": "a", "gateway": {"machine": "b"}}})
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "environment.mesh.control_machine",
        "environment.mesh.gateway.machine",
    ]


def test_an_address_that_is_none_is_refused() -> None:
    nodes = {"machines": {"nodes": [{"name": "node1", "address": "10.77.0.300"}]}}
    with pytest.raises(InvalidEnvironmentError, match=r"nodes\.0\.address = '10\.77\.0\.300'"):
        parse(BASE, nodes)


def test_two_workloads_of_one_port_cannot_share_a_machine() -> None:
    first = BASE["workloads"][0]
    second = first | {"name": "book-store-v2", "version": "v2"}
    with pytest.raises(InvalidEnvironmentError, match=r"port 8080 of node2 is workload-book-store-v1\.service's"):
        parse(BASE, {"workloads": [first, second]})
    processes = {"machines": {"driver": "processes"}, "workloads": [first, second]}
    assert len(parse(BASE, processes).workloads) == 2


def test_overrides_merge_by_key_and_replace_lists() -> None:
    assert merge({"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}, "d": 1}
    assert parse(parse(BASE), {"mesh": {"proxy": {"concurrency": 2}}}).mesh.proxy.concurrency == 2

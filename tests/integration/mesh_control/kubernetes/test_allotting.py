"""Hosts of ServiceEntries at a real API server are given addresses by the replica that leads, and every replica has them."""

import ipaddress
from pathlib import Path

import pytest

from mesh_control.addresses.plan import NETWORKS
from tests.integration.mesh_control.kubernetes.test_reporting import DONE, Replica, replica, rights, said
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import Client, Server
from tests.unit.mesh_control.sources.kubernetes.clusters import Value

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

__all__ = ["rights"]  # a fixture


def entry(name: str, **spec: object) -> Value:
    ports = [{"name": "tcp", "number": 5432, "protocol": "TCP"}]
    metadata = {"name": name, "namespace": "default"}
    content = {"hosts": [f"{name}.given.example"], "resolution": "DNS", "ports": ports, **spec}
    return {"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": metadata, "spec": content}


def given(value: Value) -> list[str]:
    return [item["value"] for item in value.get("status", {}).get("addresses", ())]


async def of_host(one: Replica, name: str) -> list[str]:
    service = one.control.state.world.service_by_host.get(f"{name}.given.example")
    return [] if service is None else list(service.allocated)


async def test_they_are_written_once_and_outlive_the_replica(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    first, second = entry("first"), entry("second")
    async with replica(server, tmp_path, "one") as one, replica(server, tmp_path, "two") as two:
        await client.apply(first, second)
        values = [
            await poll(lambda value=value: client.get(value), lambda v: given(v) and said(v) == DONE)  # type: ignore[misc]
            for value in (first, second)
        ]
        addresses = [given(value) for value in values]
        assert len({address for found in addresses for address in found}) == 4
        for found in addresses:
            assert all(ipaddress.ip_address(a) in network for a, network in zip(found, NETWORKS, strict=True))
        for at in (one, two):
            for name, found in zip(("first", "second"), addresses, strict=True):
                await poll(lambda at=at, name=name: of_host(at, name), lambda told, found=found: told == found)  # type: ignore[misc]
        managers = {
            item["manager"] for item in values[0]["metadata"]["managedFields"] if item.get("subresource") == "status"
        }
        assert managers == {"meshwright", "meshwright-addresses"}
    async with replica(server, tmp_path, "three") as three:
        await poll(lambda: of_host(three, "second"), lambda told: told == addresses[1])
        third = entry("third")
        await client.apply(third)
        told = await poll(lambda: client.get(third), given)
        assert not set(given(told)) & {address for found in addresses for address in found}
        assert given(await client.get(first)) == addresses[0]

        await client.apply(entry("first", addresses=["192.0.2.1"]))
        await poll(lambda: client.get(first), lambda value: not given(value))
        await client.delete(first, second, third)

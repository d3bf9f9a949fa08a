"""What a world takes over from the one before it changes nothing: all worlds of the cases for istiod, each changed a bit."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mesh_api.config import ProxyConfig
from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.compiler.moves import Moves, moves
from mesh_control.proxies import Proxy, proxy_of
from mesh_control.services import Health, Service, Workload
from mesh_control.world import World
from tests.support import istiod_cases

FILES = istiod_cases.FILES


def proxies(case: istiod_cases.Case) -> list[Proxy]:
    """Those of the case, each as Envoy and as our own."""
    nodes = [Node(asker.id, metadata=asker.metadata) for asker in case.proxies.values()]
    return [proxy_of(found) for node in nodes for found in (node, replace(node, user_agent="meshwright 0.1.0"))]


def neighbours(world: World) -> Iterator[World]:
    """Worlds that differ from this one in a single thing."""
    for policy in world.policies:
        yield replace(world, policies=tuple(known for known in world.policies if known is not policy))
    for service in world.services:
        for changed in services(service):
            yield replace(world, services=tuple(changed if known is service else known for known in world.services))
    for workload in world.workloads:
        for other in workloads(workload):
            yield replace(world, workloads=tuple(other if known is workload else known for known in world.workloads))
        yield replace(world, workloads=tuple(known for known in world.workloads if known is not workload))


def services(service: Service) -> Iterator[Service]:
    if service.endpoints:
        yield replace(service, endpoints=service.endpoints[1:])
        for other in workloads(service.endpoints[0]):
            yield replace(service, endpoints=(other, *service.endpoints[1:]))
    if service.ports:
        yield replace(service, ports=service.ports[1:])


def workloads(workload: Workload) -> Iterator[Workload]:
    yield replace(workload, address="10.99.99.99")
    yield replace(workload, service_account="other", mutual_tls=not workload.mutual_tls)
    yield replace(workload, labels={**workload.labels, "version": "other"}, locality="here/there")
    yield replace(workload, health=Health.UNHEALTHY)


EACH = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def world_of(case: istiod_cases.Case) -> World:
    return case.world


@EACH
def test_a_changed_world_compiles_as_if_it_were_the_first(file: Path) -> None:
    case = istiod_cases.read(file)
    world = world_of(case)
    asking = proxies(case)
    alone = [compile_proxy(world, proxy) for proxy in asking]
    for former in neighbours(world):
        for proxy in asking:
            compile_proxy(former, proxy)
        back = replace(world).after(former)
        assert [compile_proxy(back, proxy) for proxy in asking] == alone


def renewed(former: ProxyConfig, moved: Moves, proxy: Proxy) -> ProxyConfig | None:
    """With new hosts alone, where that is all that may have changed for the proxy."""
    found = None if moved.concern(proxy) else moved.assignments(proxy)
    if found is None:
        return None
    return replace(former, endpoints=tuple(found.get(item.cluster_name, item) for item in former.endpoints))


def test_hosts_that_moved_are_all_that_changes() -> None:
    count = 0
    for file in FILES:
        case = istiod_cases.read(file)
        world = world_of(case)
        for former in neighbours(world):
            back = replace(world).after(former)
            moved = moves(back, former)
            for proxy in proxies(case) if moved is not None else ():
                made = renewed(compile_proxy(former, proxy), moved, proxy) if moved is not None else None
                if made is not None:
                    count += 1
                    assert made == compile_proxy(back, proxy)
    assert count > 500  # most changes of hosts are so

"""Worlds to compile."""

from collections.abc import Mapping
from typing import Any

from mesh_api.config import ProxyConfig, Route, RouteAction
from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.services import Protocol, Service, ServicePort, Workload
from mesh_control.sources import entries
from mesh_control.world import World
from mesh_policy import load_documents

HTTP, TCP = Protocol.HTTP, Protocol.TCP


def service(name: str, *ports: ServicePort, namespace: str = "default", **more: Any) -> Service:
    """A service whose workloads carry its name as ``app``."""
    ports = ports or (ServicePort("http", 8080, HTTP, 8080),)
    return Service(f"{name}.{namespace}.svc.cluster.local", namespace, ports, selector={"app": name}, name=name, **more)


def workload(name: str, app: str, address: str, namespace: str = "default", **labels: str) -> Workload:
    return Workload(name, namespace, address, {"app": app, **labels})


SERVICES = (
    service("order", ServicePort("http", 8380, HTTP, 8380)),
    service("store", ServicePort("http", 8480, HTTP, 8480)),
    service("postgres", ServicePort("tcp-pg", 5432, TCP, 5432)),
)
WORKLOADS = (
    workload("order-v1", "order", "10.0.0.1", version="v1"),
    workload("order-v2", "order", "10.0.0.2", version="v2"),
    workload("store", "store", "10.0.0.3", version="v1"),
    workload("postgres", "postgres", "10.0.0.4"),
)
ORDER = "order.default.svc.cluster.local"
STORE = Node("sidecar~10.0.0.3~store.default~default.svc.cluster.local")
ORDER_V1 = Node("sidecar~10.0.0.1~order-v1.default~default.svc.cluster.local")
GATEWAY = Node("router~10.0.0.9~gateway.edge~edge.svc.cluster.local", metadata={"LABELS": {"istio": "ingressgateway"}})


def world(
    text: str = "", services: tuple[Service, ...] = SERVICES, workloads: tuple[Workload, ...] = WORKLOADS
) -> World:
    """The small mesh above with policies from YAML."""
    policies = load_documents(text) if text else []
    return World.of((*services, *entries.services(policies)), (*workloads, *entries.workloads(policies)), policies)


def compiled(text: str = "", node: Node = STORE, **parts: Any) -> ProxyConfig:
    return compile_proxy(world(text, **parts), proxy_of(node))


def by_name(items: tuple[Any, ...]) -> Mapping[str, Any]:
    return {item.name: item for item in items}


def routes(config: ProxyConfig, table: str, domain: str) -> tuple[Route, ...]:
    """The routes of the virtual host that serves a domain."""
    hosts = by_name(config.routes)[table].virtual_hosts
    found: tuple[Route, ...] = next(host.routes for host in hosts if domain in host.domains)
    return found


def action(route: Route) -> RouteAction:
    assert isinstance(route.action, RouteAction)
    return route.action

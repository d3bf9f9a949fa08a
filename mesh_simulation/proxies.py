"""The proxies of a mesh, compiled when they are asked for and kept with it."""

from mesh_api.config import ProxyConfig
from mesh_control.compiler import compile_proxy, inbound
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.services import Workload
from mesh_simulation.connections import Proxied, Tables
from mesh_simulation.mesh import Mesh, made_to_stay
from mesh_simulation.parties import proxy_for


def scope_of(mesh: Mesh, proxy: Proxy) -> Scope:
    """The world as the proxy sees it."""
    key = ("scope", id(proxy))  # which the scope keeps
    found: Scope | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = Scope(mesh.world, proxy)
    return found


def receiver(mesh: Mesh, workload: Workload) -> Scope:
    """The world as the proxy of a workload sees it."""
    key = ("receiver", workload.namespace, workload.name)
    found: Scope | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = Scope(mesh.world, proxy_for(workload))
    return found


def sending(mesh: Mesh, proxy: Proxy) -> Proxied:
    """What the proxy does with what it sends: alike for all sidecars that see services and rules alike."""
    scope = scope_of(mesh, proxy)
    key = ("sending", proxy.node_id if proxy.is_gateway else scope.view)
    found: Proxied | None = mesh.memo.get(key)
    if found is None:
        with made_to_stay():
            found = mesh.memo[key] = Proxied(compile_proxy(mesh.world, proxy), _tables(mesh))
    return found


def receiving(mesh: Mesh, workload: Workload) -> Proxied:
    """What the proxy of a workload does with what is sent to it: made once for all that have the same listeners."""
    listeners = inbound.listeners(receiver(mesh, workload))
    key = ("receiving", id(listeners))  # of which the compiler keeps one for all that are alike
    found: Proxied | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = Proxied(ProxyConfig(listeners=listeners), _tables(mesh))
    return found


def _tables(mesh: Mesh) -> Tables:
    found: Tables = mesh.memo.get("tables") or mesh.memo.setdefault("tables", Tables())
    return found

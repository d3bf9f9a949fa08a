"""Who sends a request: a workload with its proxy, a gateway's proxy, or somebody outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from mesh_api.node import Node
from mesh_control.compiler.defaults import CLUSTER
from mesh_control.gateway_api import ListenerGateway
from mesh_control.proxies import Proxy, proxy_of
from mesh_control.services import Workload
from mesh_control.world import World
from mesh_policy import Gateway
from mesh_simulation.mesh import Mesh
from mesh_simulation.request import OUTSIDE, Request, RequestError

TRUST_DOMAIN = "cluster.local"
NOWHERE = "240.242.255.1"
"""The address of what has none: made up, and nobody's."""
OUTSIDE_ADDRESS = "203.0.113.1"
"""Where requests from outside come from when nothing else is said (RFC 5737)."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who sends. ``proxy`` is ``None`` for one that sends without; ``gateway`` is ``NAMESPACE/NAME`` of the
    Gateway that the proxy serves the request for."""

    name: str
    namespace: str
    address: str
    account: str = ""
    proxy: Proxy | None = None
    gateway: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    workload: Workload | None = None

    @property
    def principal(self) -> str:
        """Its identity as Istio writes it, without the scheme; empty: it has none."""
        if self.proxy is None:
            return ""
        return f"{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.account or 'default'}"


def proxy_for(workload: Workload, *, gateway: bool = False) -> Proxy:
    """The proxy of a workload as it introduces itself to the control plane: everything is redirected to it."""
    kind = "router" if gateway else "sidecar"
    namespace = workload.namespace
    node = Node(
        f"{kind}~{workload.address or NOWHERE}~{workload.name}.{namespace}~{namespace}.svc.cluster.local",
        metadata={"LABELS": dict(workload.labels), "CLUSTER_ID": CLUSTER},
    )
    return proxy_of(node)


def sender(mesh: Mesh, request: Request) -> Party:
    """Whose proxy routes the request: the gateway that it enters by, else its source. Raises :class:`RequestError`."""
    return _gateway(mesh, request.via) if request.via else source(mesh, request)


def source(mesh: Mesh, request: Request) -> Party:
    """Who sends it in the first place. Raises :class:`RequestError`."""
    key = ("party", request.source if isinstance(request.source, str) else tuple(sorted(request.source.items())),
           request.source_namespace)  # fmt: skip
    found: Party | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _source(mesh, request)
    return found


def _source(mesh: Mesh, request: Request) -> Party:
    if request.source == OUTSIDE:
        return Party(OUTSIDE, "", OUTSIDE_ADDRESS)
    namespace = request.source_namespace or mesh.namespace
    if not isinstance(request.source, str):
        return _labelled(mesh.world, dict(request.source), namespace)
    name, _, given = request.source.rpartition(".") if "." in request.source else (request.source, "", namespace)
    workload = _named(mesh.world, name, given)
    if workload is None and "." in request.source:
        workload = _named(mesh.world, request.source, namespace)  # a workload's own name may have dots
    if workload is None:
        known = [f"{w.name}.{w.namespace}" for w in mesh.world.workloads]
        near = get_close_matches(f"{name}.{given}", known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known[:8]) or 'none'}"
        raise RequestError(f"source: there is no workload {name} in the namespace {given}; {hint}")
    return _party(workload)


def _named(world: World, name: str, namespace: str) -> Workload | None:
    """The workload of that name, else the first of that service, else the first whose ``app`` it is."""
    near = [w for w in world.workloads if w.namespace == namespace]
    exact = next((w for w in near if w.name == name), None)
    if exact is not None:
        return exact
    members = world.members.get(f"{name}.{namespace}.svc.cluster.local", ())
    return next(iter(members), None) or next((w for w in near if w.labels.get("app") == name), None)


def _party(workload: Workload) -> Party:
    proxy = proxy_for(workload) if workload.sidecar else None
    return Party(
        workload.name,
        workload.namespace,
        workload.address,
        workload.account,
        proxy,
        "",
        workload.labels,
        workload,
    )


def _labelled(world: World, labels: dict[str, str], namespace: str) -> Party:
    """The first workload with these labels; where there is none, one that would have them."""
    for workload in world.workloads:
        if workload.namespace == namespace and labels.items() <= workload.labels.items():
            return _party(workload)
    made = Workload(labels.get("app", "somebody"), namespace, "240.242.0.1", labels)
    return _party(made)


def _gateway(mesh: Mesh, name: str) -> Party:
    key = ("gateway", name)
    found: Party | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _gateway_party(mesh, name)
    return found


def _gateway_party(mesh: Mesh, name: str) -> Party:
    known_as = {full: gateway for full, gateway in mesh.world.gateways.items() if name in _names(full)}
    gateway = mesh.world.gateways.get(name) or next(iter(known_as.values()), None)
    if gateway is None:
        known = ", ".join(mesh.world.gateways) or "none"
        raise RequestError(f"via: there is no Gateway {name}; known are {known}")
    workload = _gateway_workload(mesh.world, gateway)
    full = f"{gateway.metadata.namespace}/{gateway.metadata.name}"
    proxy = proxy_for(workload, gateway=True)
    return Party(
        workload.name,
        workload.namespace,
        workload.address,
        workload.account,
        proxy,
        full,
        workload.labels,
        workload,
    )


def _behind(world: World, gateway: ListenerGateway) -> Workload:
    known = [service for host in gateway.services if (service := world.service_by_host.get(host)) is not None]
    for service in known:
        for workload in world.members[service.hostname]:
            return workload
    name = known[0].name if known else gateway.metadata.name.partition("~")[0]
    labels = dict(known[0].selector) if known else {}
    return Workload(name, gateway.metadata.namespace, "240.242.0.2", labels)


def _names(full: str) -> tuple[str, ...]:
    """What people call a Gateway: with its namespace or without; one of the Gateway API without its listener, too."""
    whole = full.partition("~")[0]
    return full, full.rpartition("/")[2], whole, whole.rpartition("/")[2]


def _gateway_workload(world: World, gateway: Gateway) -> Workload:
    """The workload that the gateway's selector chooses, or that stands behind its services; where the mesh does not say, one
    that it would choose."""
    if isinstance(gateway, ListenerGateway):
        return _behind(world, gateway)
    selector = dict(gateway.spec.selector or {})
    for workload in world.workloads:
        if selector.items() <= workload.labels.items():
            return workload
    return Workload(gateway.metadata.name, gateway.metadata.namespace, "240.242.0.2", selector)

"""What applies to one workload: services, policies for what it sends and what it is sent, and its mode of mTLS."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mesh_control.compiler import authorization
from mesh_control.compiler.scope import Scope
from mesh_control.services import Service, Workload
from mesh_policy import Policy
from mesh_simulation import identity
from mesh_simulation.limits import not_simulated
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import source
from mesh_simulation.proxies import receiver
from mesh_simulation.request import Request, RequestError

SENDS, IS_SENT, BOTH = "sends", "is sent", "both"


Own = tuple[tuple[Service, Workload], ...]
"""The services that a workload belongs to, each with the member that it is there."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A policy, where it stands, and what about it matters here."""

    kind: str
    namespace: str
    name: str
    place: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class OwnService:
    """A service that the workload belongs to; ``ports`` are ``PORT -> TARGET PROTOCOL``."""

    host: str
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applies:
    """See the module. ``modes`` are port (0: every other one), mode, and what set it; ``policies`` are by what they rule:
    what the workload ``sends``, what it ``is sent``, or ``both``."""

    name: str
    namespace: str
    sidecar: bool
    principal: str
    labels: Mapping[str, str]
    services: tuple[OwnService, ...]
    modes: tuple[tuple[int, str, str], ...]
    policies: Mapping[str, tuple[Applied, ...]]
    not_simulated: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def applies_to(mesh: Mesh, name: str) -> Applies:
    """What applies to the workload of that name. Raises :class:`RequestError` when there is none."""
    party = source(mesh, Request(name))
    workload = party.workload
    if workload is None:
        raise RequestError(f"{name} is no workload")
    scope = receiver(mesh, workload)
    own = scope.own_instances
    found = {
        SENDS: tuple(_sends(mesh, scope)),
        IS_SENT: tuple(_is_sent(mesh, scope, workload, own)),
        BOTH: tuple(_both(mesh, workload)),
    }
    return Applies(
        workload.name, workload.namespace, workload.sidecar, party.principal, dict(workload.labels),
        tuple(_service(service, member) for service, member in own),
        tuple(_modes(mesh, workload, own)) if workload.sidecar else (),
        {title: items for title, items in found.items() if items},
        not_simulated(mesh, party),
    )  # fmt: skip


def _service(service: Service, member: Workload) -> OwnService:
    ports = (f"{port.number} -> {member.port(port)} {port.protocol.value}" for port in service.ports)
    return OwnService(service.hostname, tuple(ports))


def _modes(mesh: Mesh, workload: Workload, own: Own) -> Iterator[tuple[int, str, str]]:
    general = identity.effective_mode(mesh, workload.namespace, workload.labels, 0)
    yield 0, general.name, general.source
    for number in sorted({member.port(port) for service, member in own for port in service.ports}):
        mode = identity.effective_mode(mesh, workload.namespace, workload.labels, number)
        if mode != general:
            yield number, mode.name, mode.source


def _applied(mesh: Mesh, policy: Policy, note: str = "") -> Applied:
    return Applied(policy.kind, policy.metadata.namespace, policy.metadata.name, mesh.place(policy.key), note)


def _sends(mesh: Mesh, scope: Scope) -> Iterator[Applied]:
    """VirtualServices and DestinationRules that rule it as a client, each with the hosts for which it counts here."""
    hosts: dict[int, list[str]] = {}
    for host, owner in scope.mesh_virtual_services.items():
        hosts.setdefault(id(owner), []).append(host)
    for service in mesh.world.virtual_services:
        if id(service) in hosts:
            yield _applied(mesh, service, f"for {', '.join(sorted(hosts[id(service)]))}")
    ruled: dict[int, list[str]] = {}
    for known in scope.services:
        for rule in scope.destination_rules(known):
            ruled.setdefault(id(rule), []).append(known.hostname)
    for rule in mesh.world.destination_rules:
        if id(rule) in ruled:
            yield _applied(mesh, rule, f"for {', '.join(sorted(ruled[id(rule)]))}")


def _is_sent(mesh: Mesh, scope: Scope, workload: Workload, own: Own) -> Iterator[Applied]:
    """What others' proxies do with requests to it, and what its own does."""
    names = {service.hostname for service, _ in own}
    for service in mesh.world.virtual_services:
        if any(scope.virtual_service(name) is service for name in names):
            yield _applied(mesh, service, "rules requests to it, by its clients' proxies")
    for policy in authorization.policies_of(scope):
        action = policy.spec.action or "ALLOW"
        yield _applied(mesh, policy, f"{action}, {len(policy.spec.rules or ())} rules{', dry run' * policy.dry_run}")
    for item in mesh.world.policies:
        if item.kind in ("PeerAuthentication", "RequestAuthentication") and selects(
            item, workload, mesh.world.mesh.root_namespace
        ):
            yield _applied(mesh, item)


def _both(mesh: Mesh, workload: Workload) -> Iterator[Applied]:
    for item in mesh.world.policies:
        if item.kind in ("Sidecar", "Telemetry", "ProxyConfig") and selects(
            item, workload, mesh.world.mesh.root_namespace
        ):
            yield _applied(mesh, item)


def selects(policy: Policy, workload: Workload, root: str) -> bool:
    """Whether a policy of the workload's or of the root namespace selects it; one without a selector is for all."""
    if policy.metadata.namespace not in (workload.namespace, root):
        return False
    selector: Any = getattr(policy.spec, "selector", None) or getattr(policy.spec, "workload_selector", None)
    wanted = getattr(selector, "match_labels", None) or getattr(selector, "labels", None) or {}
    return bool(wanted.items() <= workload.labels.items())

"""What is refused before it comes into force: findings between objects, and what this mesh cannot honour yet."""

import re
from collections.abc import Iterable, Iterator
from functools import partial

from mesh_control import validate_gateway_api, validate_networking, validate_telemetry
from mesh_control.services import Resolution
from mesh_control.validate_authorization import unenforceable
from mesh_control.validate_identity import behind_gateways, unproven
from mesh_control.world import World
from mesh_policy import (
    DestinationRule,
    Finding,
    Gateway,
    KnownService,
    KnownWorkload,
    Level,
    PeerAuthentication,
    Policy,
    ServiceEntry,
    Sidecar,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
    check,
)
from mesh_policy.analysis.finding import subject
from mesh_policy.hosts import is_address
from mesh_policy.releases.split import STICKY_HEADER
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from mesh_policy.security.request_authentication import RequestAuthentication
from mesh_policy.telemetry.telemetry import Telemetry

COMPILED: tuple[type[Policy], ...] = (
    AuthorizationPolicy,
    DestinationRule,
    Gateway,
    PeerAuthentication,
    RequestAuthentication,
    ServiceEntry,
    Sidecar,
    Telemetry,
    VirtualService,
    WorkloadEntry,
    WorkloadGroup,
    *validate_gateway_api.KINDS,
)
"""Kinds that come into force; every other is refused by its name."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def findings(world: World, *, certified: bool = True) -> list[Finding]:
    """Everything found about the policies of a world, errors first. ``certified``: its workloads have certificates."""
    services = [
        KnownService(s.hostname, tuple(port.number for port in s.ports)) for s in (*world.services, *world.aliases)
    ]
    workloads = [
        KnownWorkload(workload.namespace, workload.labels, hostname)
        for hostname, members in world.members.items()
        for workload in members
    ]
    found = check(world.policies, services, workloads)
    for policy in world.policies:
        found += world.parts.get("unsupported", (policy,), partial(unsupported, policy))
        if not certified:
            found += _told(policy, [*unproven(policy), *behind_gateways(policy, world.gateways_between)])
    found += [*_hosts_of_others(world), *_names_for_addresses(world)]
    return sorted(found, key=lambda finding: -finding.level)


def _hosts_of_others(world: World) -> Iterator[Finding]:
    """A host has one service here: Istio merges several, or tells them apart by the client's namespace."""
    owners: dict[str, Policy] = {}
    for policy in world.of_kind(ServiceEntry):
        for place, host in enumerate(policy.spec.hosts):
            known = world.service_by_host.get(host)
            own = known is not None and known.name  # only the inventory's services have one
            owner = "the inventory" if own else subject(owners.setdefault(host, policy))
            if owner != subject(policy):
                message = f"{host} is already declared by {owner}; put its ports and endpoints into one object"
                yield Finding("MESH0007", Level.ERROR, subject(policy), f"spec.hosts[{place}]", message)


def _names_for_addresses(world: World) -> Iterator[Finding]:
    """Hosts that the control plane hands out are addresses; names can only be resolved by the proxy, for DNS services."""
    for policy in world.of_kind(WorkloadEntry):
        address = policy.spec.address or ""
        if not address or is_address(address) or address.startswith("unix://"):
            continue
        for service in world.services:
            name, namespace = policy.metadata.name, policy.metadata.namespace
            members = ((w.name, w.namespace, w.address) for w in world.members[service.hostname])
            if service.resolution is Resolution.STATIC and (name, namespace, address) in members:
                message = f"{address} is a name, and {service.hostname} takes addresses; give an IP address"
                yield Finding("MESH0008", Level.ERROR, subject(policy), "spec.address", message)


def belongs_to_other(policy: Policy) -> Finding:
    """An object that another owner has declared."""
    return Finding("MESH0005", Level.ERROR, subject(policy), "", "belongs to another owner; remove it there first")


def _annotations(policy: Policy) -> Iterator[tuple[str, str]]:
    """Our own extensions: what is misspelt would let users move without a word."""
    for name, value in (policy.metadata.annotations or {}).items():
        if name != STICKY_HEADER and name.startswith("meshwright.io/"):
            yield "metadata.annotations", f"{name} is unknown; write {STICKY_HEADER}"
        elif name == STICKY_HEADER and not isinstance(policy, VirtualService):
            yield "metadata.annotations", f"{name} is for a VirtualService; remove it"
        elif name == STICKY_HEADER and not _HEADER.fullmatch(value):
            yield "metadata.annotations", f"{name}: {value!r} is no name of a header; write for example x-user-id"


def unsupported(policy: Policy) -> list[Finding]:
    """Fields that are valid and that this mesh does not honour: refused, for passing them over would open doors."""
    return _told(policy, _unsupported(policy))


def _told(policy: Policy, refusals: Iterable[tuple[str, str]]) -> list[Finding]:
    return [Finding("MESH0006", Level.ERROR, subject(policy), field, why) for field, why in refusals]


def _unsupported(policy: Policy) -> Iterator[tuple[str, str]]:
    if not isinstance(policy, COMPILED):
        yield "kind", f"{policy.title()} is not supported by the control plane yet; remove the object"
    elif isinstance(policy, AuthorizationPolicy):
        yield from unenforceable(policy)
    elif isinstance(policy, Telemetry):
        yield from validate_telemetry.unenforceable(policy)
    else:
        yield from _annotations(policy)
        yield from validate_gateway_api.unenforceable(policy)
        yield from validate_networking.unenforceable(policy)

"""What needs certificates, where the mesh has no authority that issues them: refused, for it would shut out everybody."""

from collections.abc import Iterator

from mesh_control.networks import Networks
from mesh_policy.base import Policy
from mesh_policy.networking.destination_rule import DestinationRule, PortTrafficPolicy, TrafficPolicy
from mesh_policy.networking.gateway import Gateway
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.networking.workload_entry import Workload, WorkloadEntry
from mesh_policy.networking.workload_group import WorkloadGroup
from mesh_policy.security.authorization_policy import AuthorizationPolicy, Rule
from mesh_policy.security.peer_authentication import PeerAuthentication

Refusal = tuple[str, str]
"""Field and why."""
WHY = "needs certificates, and nobody issues any in this mesh; give the control plane a section `ca`, or %s"
IDENTITIES = frozenset({"principals", "namespaces", "serviceAccounts", "trustDomains"})
"""Fields of a source that need an identity; their negations begin with ``not``."""
ATTRIBUTES = ("source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain")
MUTUAL = "ISTIO_MUTUAL"


def unproven(policy: Policy) -> Iterator[Refusal]:
    """The fields of a policy that need certificates of the mesh."""
    if isinstance(policy, PeerAuthentication):
        spec = policy.spec
        modes = {"spec.mtls.mode": spec.mtls} | {
            f"spec.portLevelMtls[{port}].mode": found for port, found in (spec.port_level_mtls or {}).items()
        }
        for field, found in modes.items():
            if found is not None and found.mode == "STRICT":
                yield field, f"STRICT {WHY % 'use PERMISSIVE'}"
    elif isinstance(policy, AuthorizationPolicy):
        for place, rule in enumerate(policy.spec.rules or ()):
            yield from _rule(f"spec.rules[{place}]", rule)
    elif isinstance(policy, DestinationRule):
        yield from _traffic("spec.trafficPolicy", policy.spec.traffic_policy)
        for place, subset in enumerate(policy.spec.subsets or ()):
            yield from _traffic(f"spec.subsets[{place}].trafficPolicy", subset.traffic_policy)
    elif isinstance(policy, Gateway):
        for place, server in enumerate(policy.spec.servers):
            if server.tls is not None and server.tls.mode == MUTUAL:
                yield f"spec.servers[{place}].tls.mode", f"{MUTUAL} {WHY % 'use MUTUAL with files'}"


def behind_gateways(policy: Policy, known: Networks) -> Iterator[Refusal]:
    """The networks of workloads that others reach through gateways, which know by the mesh's TLS alone what is for whom."""
    if isinstance(policy, WorkloadEntry):
        workloads: dict[str, Workload] = {"spec": policy.spec}
    elif isinstance(policy, WorkloadGroup):
        workloads = {"spec.template": policy.spec.template}
    elif isinstance(policy, ServiceEntry):
        workloads = {f"spec.endpoints[{place}]": found for place, found in enumerate(policy.spec.endpoints or ())}
    else:
        return
    for path, workload in workloads.items():
        if workload.network and known.to(workload.network):
            yield f"{path}.network", f"{workload.network} has a gateway, which {WHY % 'remove that from the networks'}"


def _rule(path: str, rule: Rule) -> Iterator[Refusal]:
    for place, item in enumerate(rule.from_ or ()):
        for name in item.source.model_dump(by_alias=True, exclude_none=True):
            positive = name[3:4].lower() + name[4:] if name.startswith("not") else name
            if positive in IDENTITIES:
                yield f"{path}.from[{place}].source.{name}", WHY % "use ipBlocks"
    for place, condition in enumerate(rule.when or ()):
        if condition.key in ATTRIBUTES:
            yield f"{path}.when[{place}].key", f"{condition.key} {WHY % 'use source.ip'}"


def _traffic(path: str, traffic: TrafficPolicy | PortTrafficPolicy | None) -> Iterator[Refusal]:
    if traffic is None:
        return
    if traffic.tls is not None and traffic.tls.mode == MUTUAL:
        yield f"{path}.tls.mode", f"{MUTUAL} {WHY % 'use DISABLE'}"
    for place, port in enumerate(traffic.port_level_settings or () if isinstance(traffic, TrafficPolicy) else ()):
        yield from _traffic(f"{path}.portLevelSettings[{place}]", port)

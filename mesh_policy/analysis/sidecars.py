"""Sidecars: several for the same workloads, for nobody, and what they hide."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.gateways import labels_text
from mesh_policy.analysis.pods import is_ambient
from mesh_policy.analysis.virtual_services import in_mesh
from mesh_policy.hosts import covers, qualify
from mesh_policy.networking.sidecar import Sidecar
from mesh_policy.networking.virtual_service import VirtualService

Side = Placed[Sidecar]


def labels_of(placed: Side) -> Mapping[str, str]:
    """The labels that a Sidecar selects by; without any it is for its whole namespace."""
    selector = placed.value.spec.workload_selector
    return (selector.labels or {}) if selector is not None else {}


def selected(context: Context) -> Iterator[Finding]:
    """IST0101, IST0110 and IST0167: the workloads of Sidecars with a selector."""
    if context.pods is None:
        return
    by_pod: dict[tuple[str, str], list[Side]] = {}
    ambient: set[Side] = set()
    for placed in context.of(Sidecar):
        labels = labels_of(placed)
        if not labels:
            continue
        pods = list(context.pods.select(labels, placed.namespace))
        if not pods:
            message = f"no workload of namespace {placed.namespace} carries {labels_text(labels)}, so it is for nobody"
            yield found("IST0101", placed, ("spec", "workloadSelector", "labels"), message)
        for pod in pods:
            if pod.ambient:
                ambient.add(placed)
            else:
                by_pod.setdefault((pod.namespace, pod.name or repr(sorted(pod.labels.items()))), []).append(placed)
    yield from _conflicts(by_pod)
    for placed in ambient:
        message = "a workload that it selects is in ambient mode, where a Sidecar has no effect"
        yield found("IST0167", placed, ("spec", "workloadSelector"), message)


def _conflicts(by_pod: Mapping[tuple[str, str], Sequence[Side]]) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()
    for (namespace, pod), placed in sorted(by_pod.items()):
        for one in placed:
            others = sorted(other.name for other in placed if other is not one)
            if others and (one.full_name, repr(others)) not in told:
                told.add((one.full_name, repr(others)))
                message = (
                    f"Sidecar {', '.join(others)} selects workload {namespace}/{pod} as well; only one counts: merge them, "
                    "or select different workloads"
                )
                yield found("IST0110", one, ("spec", "workloadSelector"), message)


def namespace_wide(context: Context) -> Iterator[Finding]:
    """IST0111 and IST0167: the Sidecars of whole namespaces."""
    wide: dict[str, list[Side]] = {}
    for placed in context.of(Sidecar):
        if not labels_of(placed):
            wide.setdefault(placed.namespace, []).append(placed)
    for namespace, several in sorted(wide.items()):
        known = context.namespaces.get(namespace)
        if known is not None and is_ambient(known.labels):
            for one in several:
                message = f"namespace {namespace} is in ambient mode, where a Sidecar has no effect"
                yield found("IST0167", one, ("spec",), message)
        elif len(several) > 1:
            for one in several:
                others = ", ".join(sorted(other.name for other in several if other is not one))
                message = f"Sidecar {others} is for all of namespace {namespace} as well; only one counts: merge them"
                yield found("IST0111", one, ("spec",), message)


def hidden_hosts(context: Context) -> Iterator[Finding]:
    """MESH0020: what a VirtualService of the namespace rules, and the Sidecar's egress does not name."""
    services: dict[str, list[Placed[VirtualService]]] = {}
    for placed in context.of(VirtualService):
        if in_mesh(placed.value):
            services.setdefault(placed.namespace, []).append(placed)
    for sidecar in context.of(Sidecar):
        listeners = sidecar.value.spec.egress or ()
        if not listeners:
            continue
        visible = [host for listener in listeners for host in listener.hosts]
        for service in services.get(sidecar.namespace, ()):
            for host in service.value.spec.hosts or ():
                name = qualify(host, service.namespace)
                if not any(_names(pattern, sidecar.namespace, name) for pattern in visible):
                    message = (
                        f"hides {name}, which {service.subject} rules: the workloads cannot reach it by that rule; "
                        f"add ./{name} or */{name}"
                    )
                    yield found("MESH0020", sidecar, ("spec", "egress"), message)


def _names(pattern: str, namespace: str, host: str) -> bool:
    owner, _, name = pattern.partition("/")
    if owner == "~":
        return False
    # The host may be a service of any namespace; the rule itself stands in the Sidecar's.
    return covers(name, host) and (owner in ("*", ".", namespace) or f".{owner}.svc." in host)


def egress_proxies(context: Context) -> Iterator[Finding]:
    """IST0002: where everything else goes is no longer read."""
    for placed in context.of(Sidecar):
        policy = placed.value.spec.outbound_traffic_policy
        if policy is not None and policy.egress_proxy is not None:
            message = "egressProxy is ignored; route the hosts to the egress gateway by a VirtualService"
            yield found("IST0002", placed, ("spec", "outboundTrafficPolicy", "egressProxy"), message)


CHECKS: Sequence[Check] = (selected, namespace_wide, hidden_hosts, egress_proxies)

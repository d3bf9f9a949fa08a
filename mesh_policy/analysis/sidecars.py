"""Sidecars: several for the same workloads, for nobody, and what they hide."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found, rivals
from mesh_policy.analysis.pods import is_ambient, labels_text
from mesh_policy.analysis.virtual_services import in_mesh
from mesh_policy.hosts import covers, qualify
from mesh_policy.networking.sidecar import Sidecar
from mesh_policy.networking.virtual_service import VirtualService

Side = Placed[Sidecar]


def _labels(placed: Side) -> Mapping[str, str]:
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
        labels = _labels(placed)
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
                by_pod.setdefault(pod.key, []).append(placed)
    for (namespace, pod_name), one, others in rivals(by_pod):
        message = (
            f"Sidecar {others} selects workload {namespace}/{pod_name} as well; only one counts: merge them, "
            "or select different workloads"
        )
        yield found("IST0110", one, ("spec", "workloadSelector"), message)
    for placed in ambient:
        message = "a workload that it selects is in ambient mode, where a Sidecar has no effect"
        yield found("IST0167", placed, ("spec", "workloadSelector"), message)


def namespace_wide(context: Context) -> Iterator[Finding]:
    """IST0111 and IST0167: the Sidecars of whole namespaces."""
    wide: dict[str, list[Side]] = {}
    for placed in context.of(Sidecar):
        if not _labels(placed):
            wide.setdefault(placed.namespace, []).append(placed)
    ambient = {name for name in wide if name in context.namespaces and is_ambient(context.namespaces[name].labels)}
    for namespace in ambient:
        message = f"namespace {namespace} is in ambient mode, where a Sidecar has no effect"
        yield from (found("IST0167", one, ("spec",), message) for one in wide[namespace])
    for namespace, one, others in rivals({name: wide[name] for name in wide.keys() - ambient}):
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

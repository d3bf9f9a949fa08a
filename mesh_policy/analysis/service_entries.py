"""ServiceEntries: bytes without an address, and protocols that contradict each other."""

from collections.abc import Iterator, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.hosts import EVERYWHERE, scopes
from mesh_policy.analysis.pods import labels_text
from mesh_policy.networking.service_entry import ServiceEntry

Entry = Placed[ServiceEntry]


def addresses(context: Context) -> Iterator[Finding]:
    """IST0134: by what address is a host known whose port carries bytes?"""
    mesh = context.known.mesh
    metadata = {} if mesh is None else mesh.default_config.proxy_metadata
    by_dns = metadata.get("ISTIO_META_DNS_CAPTURE") == "true" and "true" in (
        metadata.get("ISTIO_META_DNS_AUTO_ALLOCATE"),
        metadata.get("PILOT_ENABLE_IP_AUTOALLOCATE"),
    )
    if by_dns:
        return
    for placed in context.of(ServiceEntry):
        if placed.value.spec.addresses is not None or _allocated(placed):
            continue
        for place, port in enumerate(placed.value.spec.ports or ()):
            if (port.protocol or "TCP").upper() == "TCP":
                message = (
                    f"port {port.number} carries bytes, which name no host: without addresses it takes all traffic of that "
                    "port; give the host an address, or declare its protocol"
                )
                yield found("IST0134", placed, ("spec", "ports", place), message)


def _allocated(placed: Entry) -> bool:
    """Whether Istio has given the host an address, and written it into the status."""
    status = placed.document.value.get("status") if placed.document is not None else None
    return isinstance(status, dict) and bool(status.get("addresses"))


def protocols(context: Context) -> Iterator[Finding]:
    """IST0177: a port of a host that is of two protocols."""
    index: dict[tuple[str, str, int], list[tuple[str, Entry]]] = {}
    for placed in context.of(ServiceEntry):
        spec = placed.value.spec
        for scope in scopes(spec.export_to, placed.namespace):
            for host in spec.hosts:
                for port in spec.ports or ():
                    entries = index.setdefault((host, scope, port.number), [])
                    entries.append(((port.protocol or "").upper(), placed))
    told: set[str] = set()
    for (host, scope, number), own in sorted(index.items(), key=lambda item: item[0]):
        entries = own + (index.get((host, EVERYWHERE, number), []) if scope != EVERYWHERE else [])
        spoken = sorted({protocol for protocol, _ in entries})
        if len(spoken) < 2:
            continue
        names = sorted({placed.full_name for _, placed in entries})
        for _, placed in entries:
            if placed.full_name not in told:
                told.add(placed.full_name)
                message = (
                    f"port {number} of {host} is {' and '.join(p or 'undeclared' for p in spoken)} in {', '.join(names)}; "
                    "declare one protocol in all of them"
                )
                yield found("IST0177", placed, ("spec", "ports"), message)


def workloads(context: Context) -> Iterator[Finding]:
    """IST0127: a selector that picks nobody."""
    if context.pods is None:
        return
    for placed in context.of(ServiceEntry):
        selector = placed.value.spec.workload_selector
        if selector is None or not selector.labels:
            continue
        if not context.pods.any(selector.labels, placed.namespace):
            message = f"no workload of namespace {placed.namespace} carries {labels_text(selector.labels)}"
            yield found("IST0127", placed, ("spec", "workloadSelector", "labels"), message)


CHECKS: Sequence[Check] = (addresses, protocols, workloads)

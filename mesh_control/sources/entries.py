"""Services and workloads out of ServiceEntries and WorkloadEntries. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from mesh_control.addresses.plan import Allocated, Hosts, are_given
from mesh_control.parts import Parts
from mesh_control.services import Health, Protocol, Resolution, Service, ServicePort, Workload, declared_protocol
from mesh_control.sources.kubernetes.services import TRAFFIC_DISTRIBUTION, asked_near
from mesh_policy import Policy, ServiceEntry, WorkloadEntry, WorkloadEntrySpec
from mesh_policy.networking.service_entry import ServiceEntryPort

RESOLUTIONS = {
    "STATIC": Resolution.STATIC,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.LOGICAL_DNS,
    "DYNAMIC_DNS": Resolution.DYNAMIC_DNS,
}

CONNECT_STRATEGY = "istio.io/connect-strategy"
"""Annotation: with ``RACE_FIRST_TCP_CONNECT`` names are resolved to addresses of both versions of IP; the first that answers
counts."""


def services(
    policies: Sequence[Policy], made: Parts | None = None, allocated: Allocated | None = None
) -> tuple[Service, ...]:
    """One service for each host of each ServiceEntry; the same as before for an entry of which they are ``made`` already.
    ``allocated`` are the addresses that hosts were given."""
    kept = made if made is not None else Parts()
    entries = sorted((policy for policy in policies if isinstance(policy, ServiceEntry)), key=_name)
    found: list[Service] = []
    for entry in entries:
        hosts = (allocated or {}).get(_name(entry), {}) if are_given(entry) else {}
        what = ("services", tuple(hosts.items()))
        found += kept.get(what, (entry,), partial(_services, entry, hosts))
    return tuple(found)


def _name(entry: ServiceEntry) -> tuple[str, str]:
    """Of two of one host name and age the first one counts."""
    return entry.metadata.namespace, entry.metadata.name


def _services(entry: ServiceEntry, allocated: Hosts) -> tuple[Service, ...]:
    return tuple(_service(entry, host, allocated.get(host, ())) for host in entry.spec.hosts)


def workloads(policies: Sequence[Policy], unhealthy: frozenset[tuple[str, str]] = frozenset()) -> tuple[Workload, ...]:
    """One workload for each WorkloadEntry. Those of these namespaces and names are ``unhealthy``."""
    made = (
        _workload(entry.spec, entry.metadata.name, entry.metadata.namespace, sidecar=True)
        for entry in policies
        if isinstance(entry, WorkloadEntry)
    )
    return tuple(
        replace(workload, health=Health.UNHEALTHY) if (workload.namespace, workload.name) in unhealthy else workload
        for workload in made
    )


def _service(entry: ServiceEntry, host: str, allocated: Sequence[str] = ()) -> Service:
    spec = entry.spec
    resolution = RESOLUTIONS.get(spec.resolution or "NONE", Resolution.NONE)
    selector = (spec.workload_selector.labels or {}) if spec.workload_selector is not None else {}
    name, namespace, created = entry.metadata.name, entry.metadata.namespace, entry.metadata.creation_timestamp
    endpoints = tuple(
        _workload(endpoint, f"{name}-{place}", namespace, sidecar=False)
        for place, endpoint in enumerate(spec.endpoints or ())
    )
    if resolution.by_name and not endpoints and not selector:
        endpoints = (
            Workload(name, namespace, host, service_account="", sidecar=False),
        )  # the host itself is what is to be resolved
    passed = resolution is Resolution.NONE
    ports = tuple(_port(port, passed=passed) for port in spec.ports or ())
    sent = tuple(port for port in ports if port.protocol is not Protocol.UDP)
    return Service(
        hostname=host,
        namespace=namespace,
        ports=sent,
        with_datagrams=() if len(sent) == len(ports) else ports,
        addresses=tuple(map(_address, spec.addresses or ())),
        allocated=_one_of_each_family(allocated),
        selector=selector,
        endpoints=endpoints,
        resolution=resolution,
        external=spec.location != "MESH_INTERNAL",
        export_to=spec.export_to or (),
        created=created.timestamp() if created is not None else float("inf"),
        subject_alt_names=spec.subject_alt_names or (),
        near=asked_near((entry.metadata.annotations or {}).get(TRAFFIC_DISTRIBUTION, "")),
        races=(entry.metadata.annotations or {}).get(CONNECT_STRATEGY, "").upper() == "RACE_FIRST_TCP_CONNECT",
    )


def _port(port: ServiceEntryPort, *, passed: bool) -> ServicePort:
    """``passed``: connections go where they were dialled, but for the port."""
    override = (port.target_port or 0) if passed else 0
    target = port.target_port or port.number
    return ServicePort(port.name, port.number, _protocol(port.protocol or ""), target, override=override)


def _protocol(declared: str) -> Protocol:
    return Protocol.UDP if declared.upper() == "UDP" else declared_protocol(declared)


def _address(address: str) -> str:
    """A network of a single address is that address."""
    plain, _, bits = address.partition("/")
    return plain if bits == ("128" if ":" in plain else "32") else address


def _one_of_each_family(found: Sequence[str]) -> tuple[str, ...]:
    """Of several the last one (Istio), IPv4 first."""
    by_family = {":" in address: address for address in found}
    return tuple(by_family[family] for family in sorted(by_family))


TLS_MODE = "security.istio.io/tlsMode"
"""Label: ``istio`` where a sidecar takes mutual TLS, ``disabled`` where it does not."""


def _takes_mutual_tls(spec: WorkloadEntrySpec) -> bool:
    """As the label says; without it, whoever has a service account is taken to have a certificate (Istio)."""
    label = (spec.labels or {}).get(TLS_MODE)
    return label == "istio" if label is not None else bool(spec.service_account)


def _workload(spec: WorkloadEntrySpec, name: str, namespace: str, *, sidecar: bool) -> Workload:
    return Workload(
        name=name,
        namespace=namespace,
        address=spec.address or "",
        labels=spec.labels or {},
        service_account=spec.service_account or "",
        ports=spec.ports or {},
        sidecar=sidecar,
        weight=spec.weight or 1,
        locality=spec.locality or "",
        mutual_tls=_takes_mutual_tls(spec),
        network=spec.network or "",
    )

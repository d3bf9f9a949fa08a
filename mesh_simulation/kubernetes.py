"""Services and workloads of the world out of Kubernetes objects. Pure.

Addresses that a cluster would hand out are made up (``240.240.0.0/16`` for services, ``240.241.0.0/16`` for workloads),
the same ones each time. A Deployment and the like count as one workload of their name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_control.world import Protocol, Service, ServicePort, Workload
from mesh_policy import objects

INJECT = "sidecar.istio.io/inject"
_PROTOCOLS = {"grpc": Protocol.GRPC, "http2": Protocol.HTTP2, "https": Protocol.TLS, "tls": Protocol.TLS}
_HTTP = ("", "http", "http_proxy", "grpc-web")
"""What is not declared the proxy finds out (Istio): a simulated request is HTTP, so that it would be routed as such."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the objects bring, and what of them is left out, by name."""

    services: tuple[Service, ...]
    workloads: tuple[Workload, ...]
    left_out: tuple[str, ...]


def parts(values: Iterable[Mapping[str, Any]]) -> Parts:
    """The services and workloads among the objects. Raises :class:`~mesh_policy.objects.ObjectError`."""
    read = [found for value in values if (found := objects.read(value)) is not None]
    services = sorted(
        (o for o in read if isinstance(o, objects.Service)), key=lambda s: (s.meta.namespace, s.meta.name)
    )
    running = sorted(
        (o for o in read if isinstance(o, objects.Workload)), key=lambda w: (w.meta.namespace, w.meta.name)
    )
    namespaces = {o.meta.name: o.meta.labels for o in read if isinstance(o, objects.Namespace)}
    known = [service for service in services if service.type != "ExternalName"]
    return Parts(
        tuple(_service(service, number) for number, service in enumerate(known)),
        tuple(_workload(item, n, known, namespaces) for n, item in enumerate(running) if item.replicas != 0),
        tuple(
            f"Service {s.meta.namespace}/{s.meta.name} of type ExternalName"
            for s in services
            if s.type == "ExternalName"
        ),
    )


def _service(service: objects.Service, number: int) -> Service:
    given = tuple(address for address in service.cluster_ips if address != "None")
    made = () if service.headless else (_address(240, number),)
    exported = service.meta.annotations.get("networking.istio.io/exportTo", "*")
    return Service(
        hostname=service.host,
        namespace=service.meta.namespace,
        ports=tuple(_port(port) for port in service.ports if port.protocol != "udp"),
        addresses=given or made,
        selector=service.selector,
        export_to=tuple(part.strip() for part in exported.split(",")),
        name=service.meta.name,
    )


def _address(second: int, number: int) -> str:
    return f"240.{second}.{number // 254 % 256}.{number % 254 + 1}"


def _port(port: objects.ServicePort) -> ServicePort:
    protocol = Protocol.HTTP if port.protocol in _HTTP else _PROTOCOLS.get(port.protocol, Protocol.TCP)
    target = port.target if isinstance(port.target, int) else port.number
    return ServicePort(port.name or str(port.number), port.number, protocol, target)


def _workload(
    item: objects.Workload,
    number: int,
    services: Sequence[objects.Service],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Workload:
    meta, pod = item.meta, item.pod
    own = [s for s in services if s.meta.namespace == meta.namespace and s.selector.items() <= pod.labels.items()]
    named = {
        port.name or str(port.number): found
        for service in own
        for port in service.ports
        if isinstance(port.target, str) and (found := pod.port_named(port.target)) is not None
    }
    return Workload(
        name=meta.name,
        namespace=meta.namespace,
        address=_address(241, number),
        labels=pod.labels,
        service_account=pod.service_account,
        ports=named,
        sidecar=_injected(pod, namespaces.get(meta.namespace)),
    )


def _injected(pod: objects.PodTemplate, namespace: Mapping[str, str] | None) -> bool:
    """Whether a proxy is put in: as the pod says, else its namespace; one that is not described has it switched on."""
    if pod.proxy is not None:
        return True
    if pod.host_network:
        return False
    asked = pod.labels.get(INJECT) or pod.annotations.get(INJECT)
    if asked in ("true", "false"):
        return asked == "true"
    if namespace is None or "istio.io/rev" in pod.labels:
        return True
    chosen = namespace.get("istio-injection")
    return chosen == "enabled" if chosen is not None else "istio.io/rev" in namespace

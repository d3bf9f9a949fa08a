"""A Service as a service of the world, without its endpoints: istiod's ``ConvertService``. Pure."""

from collections.abc import Iterable, Mapping

from mesh_control.services import Protocol, Resolution, Service, ServicePort, declared_protocol
from mesh_policy import objects

EXPORT_TO = "networking.istio.io/exportTo"
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_NEAR = {"preferclose": "zone", "prefersamezone": "zone", "prefersamenode": "node"}


def service(
    given: objects.Service, namespace: objects.Namespace | None = None, addresses: tuple[str, ...] = ()
) -> Service:
    """The service. ``addresses`` are for one that names none; ``namespace`` is the one that it stands in."""
    own = () if given.headless else tuple(address for address in given.cluster_ips if address != "None")
    ports = tuple(map(_port, given.ports))
    sent = tuple(port for port in ports if port.protocol is not Protocol.UDP)
    exported = given.meta.annotations.get(EXPORT_TO) or ""
    return Service(
        hostname=given.host,
        namespace=given.meta.namespace,
        ports=sent,
        with_datagrams=() if len(sent) == len(ports) else ports,
        addresses=own or (() if given.headless else addresses),
        selector=given.selector,
        resolution=Resolution.NONE if given.headless else Resolution.STATIC,
        export_to=tuple(part.strip() for part in exported.split(",") if part.strip()),
        name=given.meta.name,
        headless=given.headless,
        node_local=given.node_local,
        near=near(given, namespace),
        created=given.meta.created,
    )


def _port(port: objects.ServicePort) -> ServicePort:
    protocol = Protocol.UDP if port.protocol == "udp" else declared_protocol(port.protocol)
    name = port.name or str(port.number)
    if isinstance(port.target, str):
        return ServicePort(name, port.number, protocol, port.number, port.target)
    return ServicePort(name, port.number, protocol, port.target or port.number, "")


def near(given: objects.Service, namespace: objects.Namespace | None) -> str:
    """The part of the network that clients are to prefer: of the field, else the annotation, else the namespace's."""
    if found := _NEAR.get(given.traffic_distribution.lower()):
        return found
    own = given.meta.annotations.get(TRAFFIC_DISTRIBUTION)
    inherited = namespace.meta.annotations.get(TRAFFIC_DISTRIBUTION) if namespace is not None else None
    return asked_near(own or inherited or "")


def asked_near(annotation: str) -> str:
    """The part of the network that an annotation asks clients to prefer; empty: none."""
    return _NEAR.get(annotation.lower(), "")


def aliases(given: Iterable[objects.Service]) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Host name to the ExternalNames that lead to it, over however many of them, each as host name and namespace.

    One that leads round in a circle leads nowhere, as with Kubernetes' DNS.
    """
    named = {item.host: item for item in given if item.type == "ExternalName" and item.external_name}
    found: dict[str, list[tuple[str, str]]] = {}
    for item in named.values():
        passed, target = {item.host}, item.external_name
        while target in named and target not in passed:
            passed.add(target)
            target = named[target].external_name
        if target not in passed:
            found.setdefault(target, []).append((item.host, item.meta.namespace))
    return {host: tuple(sorted(names, key=lambda name: (name[1], name[0]))) for host, names in found.items()}

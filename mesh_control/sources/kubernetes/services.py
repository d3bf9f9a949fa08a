"""A Service as a service of the world, without its endpoints: istiod's ``ConvertService``. Pure."""

from dataclasses import replace

from mesh_control import networks
from mesh_control.services import Protocol, Resolution, Service, ServicePort, declared_protocol
from mesh_policy import objects

EXPORT_TO = "networking.istio.io/exportTo"
TRAFFIC_DISTRIBUTION = "networking.istio.io/traffic-distribution"
CANONICAL_ACCOUNTS, ACCOUNTS = "alpha.istio.io/canonical-serviceaccounts", "alpha.istio.io/kubernetes-serviceaccounts"
_NEAR = {"preferclose": "zone", "prefersamezone": "zone", "prefersamenode": "node"}


def service(
    given: objects.Service, namespace: objects.Namespace | None = None, addresses: tuple[str, ...] = ()
) -> Service:
    """The service. ``addresses`` are for one that names none; ``namespace`` is the one that it stands in."""
    own = () if given.headless else tuple(address for address in given.cluster_ips if address != "None")
    ports = tuple(map(_port, given.ports))
    sent = tuple(port for port in ports if port.protocol is not Protocol.UDP)
    network, network_port = networks.label_of(given.meta.labels)
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
        outside=given.outside,
        subject_alt_names=_listed(given, CANONICAL_ACCOUNTS),
        accounts=_listed(given, ACCOUNTS),
        network=network,
        network_port=network_port if network else 0,
    )


def _listed(given: objects.Service, annotation: str) -> tuple[str, ...]:
    said = given.meta.annotations.get(annotation, "")
    return tuple(said.split(",")) if said else ()


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


def alias(given: objects.Service, namespace: objects.Namespace | None = None) -> Service:
    """A Service of type ExternalName, which has no hosts of its own."""
    made = service(given, namespace)
    return replace(made, resolution=Resolution.ALIAS, stands_for=given.external_name, selector={}, headless=False)

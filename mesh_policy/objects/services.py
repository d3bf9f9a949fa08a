"""Service: a name, its ports and whom it selects (Kubernetes, ``v1``)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.objects.metadata import Meta, read_meta
from mesh_policy.objects.reading import Fields, ObjectError

WELL_KNOWN_TCP = frozenset({25, 53, 3306, 27017})
"""Ports that carry bytes when nothing is declared, for their servers speak first (Istio's list)."""
_KUBERNETES_NAMES = {"kubernetes.io/h2c": "http2", "kubernetes.io/ws": "http", "kubernetes.io/wss": "https"}
PROTOCOLS = frozenset(
    {"tcp", "udp", "grpc", "grpc-web", "http", "http_proxy", "http2", "https", "tls", "mongo", "redis", "mysql"}
)
"""Protocols that Istio reads from ``appProtocol`` or the port's name."""
HTTP_PROTOCOLS = frozenset({"http", "http2", "http_proxy", "grpc", "grpc-web"})
"""Those whose requests are routed one by one."""


def protocol_of(name: str, number: int = 0, transport: str = "TCP", app_protocol: str | None = None) -> str:
    """The protocol of a port by Istio's rule, in lower case; empty when the proxy has to find it out.

    ``appProtocol`` counts before the name, of which only what stands before the first dash is read.
    """
    if transport == "UDP":
        return "udp"
    declared = name if app_protocol is None else app_protocol
    if app_protocol in _KUBERNETES_NAMES:
        return _KUBERNETES_NAMES[app_protocol]
    declared = declared.lower()
    if declared.startswith("grpc-web"):
        return "grpc-web"
    prefix = declared.partition("-")[0]
    if prefix in PROTOCOLS:
        return prefix
    return "tcp" if number in WELL_KNOWN_TCP else ""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port. ``target`` is a number, or the name of a port of the container; unset it is ``number``."""

    name: str
    number: int
    transport: str = "TCP"
    app_protocol: str | None = None
    target: int | str | None = None

    @property
    def protocol(self) -> str:
        """What is spoken: see :func:`protocol_of`."""
        return protocol_of(self.name, self.number, self.transport, self.app_protocol)


@dataclass(frozen=True, slots=True)
class Service:
    """A service. ``type`` is ``ClusterIP`` (the default), ``NodePort``, ``LoadBalancer`` or ``ExternalName``.

    ``node_local``: clients of a node reach only what runs there (``internalTrafficPolicy: Local``).
    """

    meta: Meta
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    type: str = "ClusterIP"
    external_name: str = ""
    cluster_ips: tuple[str, ...] = ()
    node_local: bool = False
    publish_not_ready: bool = False
    traffic_distribution: str = ""
    outside: tuple[str, ...] = ()
    """Where it is reached from outside of the cluster: its load balancer's addresses or names, and ``externalIPs``."""

    @property
    def host(self) -> str:
        """Its full name."""
        return f"{self.meta.name}.{self.meta.namespace}.{CLUSTER_DOMAIN}"

    @property
    def headless(self) -> bool:
        """Whether its name stands for the addresses of its workloads."""
        return "None" in self.cluster_ips


def read_service(fields: Fields) -> Service:
    """A Service. Raises :class:`ObjectError`."""
    spec = fields.inner("spec")
    addresses = spec.values.get("clusterIPs") or [spec.text("clusterIP")]
    if not isinstance(addresses, list):
        raise ObjectError((*spec.path, "clusterIPs"), "must be a list")
    return Service(
        read_meta(fields),
        tuple(_port(port) for port in spec.items("ports")),
        spec.texts("selector"),
        spec.text("type", "ClusterIP"),
        spec.text("externalName"),
        tuple(str(address) for address in addresses if address),
        spec.text("internalTrafficPolicy") == "Local",
        spec.flag("publishNotReadyAddresses"),
        spec.text("trafficDistribution"),
        (*(_balancer(fields) if spec.text("type") == "LoadBalancer" else ()), *_listed(spec, "externalIPs")),
    )


def _balancer(fields: Fields) -> Iterator[str]:
    for ingress in fields.inner("status").inner("loadBalancer").items("ingress"):
        found = ingress.text("ip") or ingress.text("hostname")
        if found:
            yield found


def _listed(spec: Fields, name: str) -> tuple[str, ...]:
    found = spec.values.get(name) or []
    if not isinstance(found, list):
        raise ObjectError((*spec.path, name), "must be a list")
    return tuple(str(item) for item in found if item)


def _port(port: Fields) -> ServicePort:
    target = port.values.get("targetPort")
    if target is not None and (isinstance(target, bool) or not isinstance(target, int | str)):
        raise ObjectError((*port.path, "targetPort"), "must be a port number or the name of a container's port")
    app_protocol = port.text("appProtocol") if port.has("appProtocol") else None
    return ServicePort(port.text("name"), port.port("port"), port.text("protocol", "TCP"), app_protocol, target or None)

"""Services, their ports, and the workloads behind them: what the sources tell of, whatever they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Protocol(Enum):
    """What is spoken on a port. ``TLS`` is passed on as bytes but names its host; ``TCP`` is every other kind of bytes;
    ``AUTO`` is not declared, so that the proxy looks into each connection for HTTP."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTP_PROXY = "HTTP_PROXY"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "MONGO"
    MYSQL = "MYSQL"
    UDP = "UDP"
    """Datagrams: no client is helped to send them, but the application's port is taken care of like one of bytes (Istio)."""
    AUTO = "AUTO"

    @property
    def is_http(self) -> bool:
        """Whether requests can be routed one by one."""
        return self in (Protocol.HTTP, Protocol.HTTP_PROXY) or self.is_http2

    @property
    def is_http2(self) -> bool:
        """Whether requests are sent with HTTP/2."""
        return self is Protocol.HTTP2 or self.is_grpc

    @property
    def is_grpc(self) -> bool:
        """Whether they are gRPC, if they are what is declared."""
        return self in (Protocol.GRPC, Protocol.GRPC_WEB)

    @property
    def server_first(self) -> bool:
        """Whether nobody may look into a connection, for the server speaks first on it (as Istio has it)."""
        return self in (Protocol.MONGO, Protocol.MYSQL)


_PROTOCOLS = {
    "http": Protocol.HTTP,
    "http2": Protocol.HTTP2,
    "grpc": Protocol.GRPC,
    "https": Protocol.TLS,
    "tls": Protocol.TLS,
}


def protocol_of(name: str, declared: str = "") -> Protocol:
    """The protocol of a port: as declared, else by Istio's rule, the port name up to its first dash.

    Unknown protocols are bytes; ``grpc-web`` counts as gRPC.
    """
    return _PROTOCOLS.get((declared or name).lower().partition("-")[0], Protocol.TCP)


_DECLARED = {
    **_PROTOCOLS,
    "http_proxy": Protocol.HTTP_PROXY,
    "grpc-web": Protocol.GRPC_WEB,
    "tcp": Protocol.TCP,
    "redis": Protocol.TCP,
    "mongo": Protocol.MONGO,
    "mysql": Protocol.MYSQL,
}


def declared_protocol(declared: str) -> Protocol:
    """The protocol of Istio's name for it, in whichever case (``protocol.Parse``); the name of a port of a ServiceEntry says
    nothing."""
    return _DECLARED.get(declared.lower(), Protocol.AUTO)


class Resolution(Enum):
    """How the hosts of a service are found: known here, by DNS in the proxy, by the address that was dialled, or by DNS of
    the name that each request or connection is for. ``ALIAS`` has none: it is another name of a service."""

    STATIC = "STATIC"
    DNS = "DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    NONE = "NONE"
    DYNAMIC_DNS = "DYNAMIC_DNS"
    ALIAS = "ALIAS"

    @property
    def by_name(self) -> bool:
        """Whether the proxy resolves a name: all of its addresses, or (``LOGICAL_DNS``) the first at each connection."""
        return self in (Resolution.DNS, Resolution.LOGICAL_DNS)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service. ``target`` is the port of its workloads where they do not name their own.

    ``target_name`` stands at ports of a Service of Kubernetes alone: the name of the containers' port that it leads to; empty
    where it leads to the number ``target``.
    """

    name: str
    number: int
    protocol: Protocol
    target: int
    target_name: str | None = None
    override: int = 0
    """The port in place of the one that was dialled, where hosts are addresses that are; 0: that one."""

    @property
    def tcp(self) -> bool:
        """Whether the port carries bytes rather than requests, as far as is declared."""
        return not self.protocol.is_http

    @property
    def routed(self) -> bool:
        """Whether requests on it, if there are any, are routed one by one."""
        return self.protocol.is_http or self.protocol is Protocol.AUTO


class Origin(Enum):
    """Who told of a workload, which decides what the names of its ports are."""

    ENTRY = "entry"
    """A WorkloadEntry, the inventory and the like: names of the ports of its services."""
    POD = "pod"
    """A pod: names of the ports of its containers."""
    ENDPOINT = "endpoint"
    """The cluster, as an endpoint of one service: names of that service's ports, and no other is served."""


class Health(Enum):
    """Whether a workload is to get requests: ``UNHEALTHY`` counts as a host that gets none, ``DRAINING`` as one that gets
    only those that belong to a session of its own."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class Workload:
    """One running copy. ``ports`` maps port names to its own port numbers; ``sidecar``: whether a proxy stands beside it,
    ``mutual_tls``: whether that takes mutual TLS. ``owner`` is what it is a copy of (a Deployment's name), ``node`` the
    machine."""

    name: str
    namespace: str
    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "default"
    ports: Mapping[str, int] = field(default_factory=dict)
    sidecar: bool = True
    weight: int = 1
    locality: str = ""
    mutual_tls: bool = False
    origin: Origin = Origin.ENTRY
    health: Health = Health.HEALTHY
    owner: str = ""
    node: str = ""
    network: str = ""
    """The network that it says it is in; empty: it does not say."""

    @property
    def account(self) -> str:
        """The service account that the workload runs as: ``default`` where none is named."""
        return self.service_account or "default"

    def port(self, port: ServicePort) -> int:
        """Where this workload serves a port of its service; 0: it does not."""
        if self.origin is Origin.ENDPOINT:
            return self.ports.get(port.name, 0)
        if port.target_name:
            return self.ports.get(port.target_name, 0)
        if port.target_name is not None and self.origin is Origin.POD:
            return port.target
        return self.ports.get(port.name, port.target)


@dataclass(frozen=True, slots=True)
class Service:
    """A name under which workloads are reached: those of its namespace that ``selector`` chooses, and ``endpoints``.

    ``addresses`` may have networks (``10.0.0.0/8``). ``export_to`` without entries: as the mesh says.
    ``name`` is what telemetry calls it (``destination_service_name``): the host name where nothing else is given.
    ``listed``: the cluster lists its pods, so that ``selector`` chooses only what is none. ``headless``: its name stands for
    the addresses of its workloads. ``aliases`` are further host names (ExternalName), each with its namespace;
    ``stands_for`` is the host name that such an alias itself leads to.
    ``node_local``: clients reach only what runs on their node. ``near`` is the part of the network that clients prefer
    (``zone``, ``node``).
    """

    hostname: str
    namespace: str
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    selector: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Workload, ...] = ()
    resolution: Resolution = Resolution.STATIC
    external: bool = False
    export_to: tuple[str, ...] = ("*",)
    name: str = ""
    listed: bool = False
    headless: bool = False
    aliases: tuple[tuple[str, str], ...] = ()
    stands_for: str = ""
    node_local: bool = False
    near: str = ""
    created: float = float("inf")
    """Seconds since 1970, by which services are ranked; one without is made now."""
    subject_alt_names: tuple[str, ...] = ()
    """Names that a ServiceEntry, or an annotation, gives to the certificates of its hosts."""
    races: bool = False
    """Whether names of its hosts are resolved to addresses of both versions of IP, whatever the client has."""
    accounts: tuple[str, ...] = ()
    """Service accounts of its namespace that its hosts may run as besides their own (an old annotation)."""
    outside: tuple[str, ...] = ()
    """Addresses and names at which it is reached from outside of its cluster."""
    network: str = ""
    """The network to which it is the gateway, on :attr:`network_port`; empty: it is none."""
    network_port: int = 0
    allocated: tuple[str, ...] = ()
    """Where it has no address: those that it was given, which proxies use that answer questions for names
    (:mod:`mesh_control.addresses`), IPv4 first."""
    with_datagrams: tuple[ServicePort, ...] = ()
    """Where it has ports for UDP: every port, in the order in which they are listed; these are none of :attr:`ports`."""

    @property
    def served_ports(self) -> tuple[ServicePort, ...]:
        """The ports that its workloads serve, whoever may be a client."""
        return self.with_datagrams or self.ports

    @property
    def rank(self) -> tuple[float, str, str]:
        """By age, then by name and namespace: of two that exclude each other the first one counts (Istio)."""
        return self.created, self.name or self.hostname, self.namespace

    @property
    def of_kubernetes(self) -> bool:
        """Whether it is a Service of Kubernetes."""
        return self.listed or any(port.target_name is not None for port in self.ports)

    def chooses(self, workload: Workload) -> bool:
        """Whether the selector makes a workload of the namespace one of its own, as clients see it."""
        if not self.selector or not self.selector.items() <= workload.labels.items():
            return False
        if workload.origin is not Origin.POD:
            return not self.headless  # whose hosts only the cluster tells (Istio)
        return not self.listed and workload.health is Health.HEALTHY

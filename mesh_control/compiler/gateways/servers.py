"""Which servers of which Gateways a proxy runs, and on which port: several Gateways are merged into one (Istio)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mesh_control.compiler.scope import Scope
from mesh_control.compiler.service_targets import ServiceTarget, service_targets
from mesh_control.gateway_api import ListenerGateway
from mesh_policy import Gateway
from mesh_policy.networking.gateway import Server

HTTP = ("http", "http2", "grpc", "grpc-web", "http_proxy")
PASSED_ON = (None, "PASSTHROUGH", "AUTO_PASSTHROUGH")
"""Modes in which TLS is not ended here; unset is ``PASSTHROUGH``."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A server on this proxy. ``gateway`` is ``NAMESPACE/NAME``, ``table`` the name of its routes (empty: it has none).

    ``hosts`` are those of the server, ``HOST`` or ``NAMESPACE/HOST``.
    """

    gateway: str
    server: Server
    hosts: tuple[str, ...]
    table: str

    @property
    def protocol(self) -> str:
        """What is spoken, in small letters."""
        return self.server.port.protocol.lower()

    @property
    def is_http(self) -> bool:
        """Whether it speaks HTTP without TLS."""
        return self.protocol in HTTP

    @property
    def passes_tls_on(self) -> bool:
        """Whether TLS goes on to the destination."""
        return self.server.tls is not None and self.server.tls.mode in PASSED_ON

    @property
    def is_https(self) -> bool:
        """Whether TLS ends here and HTTP is within."""
        return self.protocol == "https" and not self.passes_tls_on

    @property
    def looks_into_tls(self) -> bool:
        """Whether servers on one port are told apart by the name that TLS asks for. ``httpsRedirect`` is no such TLS."""
        return self.server.tls is not None and not self.is_http

    @property
    def sni_hosts(self) -> tuple[str, ...]:
        """The names that TLS may ask for, sorted."""
        return tuple(sorted({host.rpartition("/")[2] for host in self.hosts}))


@dataclass(frozen=True, slots=True)
class Door:
    """Where servers listen. ``protocol`` as it is written: two protocols never share one; ``bind`` may be empty."""

    port: int
    protocol: str
    bind: str


@dataclass(frozen=True, slots=True)
class Merged:
    """The servers of every door, and of every table of routes, in their order."""

    doors: dict[Door, list[Bound]]
    tables: dict[str, list[Bound]]


def merged(scope: Scope) -> Merged:
    """The servers that come into force; one that conflicts with an older Gateway's is left out."""
    merging = _Merging()
    for gateway, targets in _chosen(scope):
        for server in gateway.spec.servers:
            for port in _ports(server.port.number, targets):
                merging.add(_bound(gateway, server, port), port)
    return Merged(merging.doors, merging.tables)


def auto_passthrough_hosts(scope: Scope) -> tuple[str, ...]:
    """Hosts of the servers that hand TLS on to any service by its name (``AUTO_PASSTHROUGH``)."""
    found = (bound for servers in merged(scope).doors.values() for bound in servers)
    hosts = (host for bound in found if _mode(bound.server) == "AUTO_PASSTHROUGH" for host in bound.hosts)
    return tuple(dict.fromkeys(hosts))


def _mode(server: Server) -> str | None:
    return server.tls.mode if server.tls is not None else None


@dataclass(frozen=True, slots=True)
class _Targets:
    """Services in front of this proxy; ``own_ports``: a port that none of them has is opened as it is."""

    found: tuple[ServiceTarget, ...]
    own_ports: bool


def _chosen(scope: Scope) -> Iterator[tuple[Gateway, _Targets]]:
    """The Gateways that are for this proxy, oldest first: those whose selector chooses it, and the listeners of the
    Gateway API that belong to a service in front of it."""
    targets = service_targets(scope)
    found: list[tuple[Gateway, _Targets]] = []
    for gateway in scope.world.gateways.values():
        if isinstance(gateway, ListenerGateway):
            own = tuple(target for target in targets if _belongs(gateway, target))
            if own:
                found.append((gateway, _Targets(own, own_ports=False)))
        elif (gateway.spec.selector or {}).items() <= scope.labels.items():
            found.append((gateway, _Targets(targets, own_ports=True)))
    # Proxies that are made for a Gateway hold its certificates: no other namespace may open ports on them (Istio).
    homes = {g.metadata.namespace for g, _ in found if isinstance(g, ListenerGateway) and g.managed}
    for gateway, known in found:
        if not homes or isinstance(gateway, ListenerGateway) or gateway.metadata.namespace in homes:
            yield gateway, known


def _belongs(gateway: ListenerGateway, target: ServiceTarget) -> bool:
    service = target.service
    return service.hostname in gateway.services and service.namespace == gateway.metadata.namespace


def _ports(number: int, targets: _Targets) -> Iterable[int]:
    """Where a gateway listens: a service in front of it may take the port and hand it on to another one (Istio)."""
    found = [target.port for target in targets.found if target.number == number]
    if targets.own_ports:
        return found[:1] or [number]
    return sorted(set(found))


def _bound(gateway: Gateway, server: Server, port: int) -> Bound:
    metadata = gateway.metadata
    name = f"{metadata.namespace}/{metadata.name}"
    found = Bound(name, server, _hosts(server, metadata.namespace), "")
    bind = f".{server.bind}" if server.bind else ""
    if found.is_http:
        table = f"http.{port}{bind}"
    elif found.is_https:
        own = server.port
        table = f"https.{own.number}.{own.name}.{metadata.name}.{metadata.namespace}{bind}"
    else:
        return found
    return Bound(name, server, found.hosts, table)


def _hosts(server: Server, namespace: str) -> tuple[str, ...]:
    """``./HOST`` is of the Gateway's namespace, ``*/HOST`` of every one."""
    if "*/*" in server.hosts:
        return ("*",)
    found = []
    for host in server.hosts:
        owner, slash, name = host.rpartition("/")
        found.append(name if owner in ("", "*") else f"{namespace if owner == '.' else owner}{slash}{name}")
    return tuple(found)


class _Merging:
    """What has been merged so far (``mergeGateways`` of Istio): the first on a port decides who may join it."""

    def __init__(self) -> None:
        self.doors: dict[Door, list[Bound]] = {}
        self.tables: dict[str, list[Bound]] = {}
        self._ports: set[int] = set()
        self._plain: dict[int, Door] = {}
        self._named: dict[int, dict[str, str]] = {}

    def add(self, bound: Bound, port: int) -> None:
        """A server on its port, unless that is taken."""
        door = Door(port, bound.server.port.protocol, bound.server.bind or "")
        if bound.server.tls is not None and not self._claim(port, bound.hosts, door.bind):
            return
        plain = self._plain.get(port)
        if port not in self._ports or (plain is None and not bound.looks_into_tls):
            self._ports.add(port)
            self._open(door, bound)
        elif plain is None:
            self._join_tls(door, bound)
        elif plain.bind != door.bind:
            self._join(door, bound) if door in self.doors else self._open(door, bound)
        elif bound.is_http and plain.protocol.lower() in HTTP:
            self._join(plain, bound)

    def _claim(self, port: int, hosts: tuple[str, ...], bind: str) -> bool:
        """Envoy refuses two filter chains for one name: whoever comes later with one of them is left out."""
        known = self._named.setdefault(port, {})
        if any(known.get(host) == bind for host in hosts):
            return False
        known.update(dict.fromkeys(hosts, bind))
        return True

    def _open(self, door: Door, bound: Bound) -> None:
        if not bound.looks_into_tls:
            self._plain[door.port] = door
        if bound.table:
            self.tables[bound.table] = [bound]
        self.doors[door] = [bound]

    def _join(self, door: Door, bound: Bound) -> None:
        self.doors[door].append(bound)
        if bound.table:
            self.tables.setdefault(bound.table, []).append(bound)

    def _join_tls(self, door: Door, bound: Bound) -> None:
        """Told apart by name. Two of HTTPS cannot share a table, as each has its own certificate."""
        if bound.table:
            if bound.table in self.tables:
                return
            self.tables[bound.table] = [bound]
        self.doors.setdefault(door, []).append(bound)

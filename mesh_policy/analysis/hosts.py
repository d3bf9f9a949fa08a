"""Which hosts there are: services, ServiceEntries and what else is known of the mesh, found by name and by who asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mesh_policy.analysis.finding import Placed
from mesh_policy.hosts import qualify
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.objects import Service, protocol_of

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class KnownService:
    """A service that exists: its full name and ports, and the protocols (lower case) of those ports where they are known."""

    host: str
    ports: tuple[int, ...] = ()
    protocols: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Host:
    """A host that can be reached: ports with their protocols (empty: not declared), and the namespaces that see it.

    ``selector`` chooses its workloads in ``namespace``; ``None`` for a host that has none by labels.
    """

    name: str
    namespace: str
    ports: Mapping[int, str]
    scopes: frozenset[str]
    selector: Mapping[str, str] | None = None
    entry: Placed[ServiceEntry] | None = None
    service: Placed[Service] | None = None

    def seen_from(self, namespaces: Iterable[str]) -> bool:
        """Whether one of the namespaces sees it."""
        return EVERYWHERE in self.scopes or not self.scopes.isdisjoint(namespaces)


def scopes(export_to: Sequence[str] | None, namespace: str) -> frozenset[str]:
    """The namespaces of an ``exportTo``; ``*`` for all, nothing for ``~``."""
    names = export_to or (EVERYWHERE,)
    if EVERYWHERE in names:
        return frozenset((EVERYWHERE,))
    return frozenset(namespace if name == "." else name for name in names if name != "~")


class Hosts:
    """The hosts, by name. A name may stand for several, each seen from other namespaces."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._exact: dict[str, list[Host]] = {}
        self._suffixes: dict[str, list[Host]] = {}
        for host in hosts:
            if host.name.startswith("*"):
                self._suffixes.setdefault(host.name[1:], []).append(host)
            self._exact.setdefault(host.name, []).append(host)
        self._lengths = sorted({len(suffix) for suffix in self._suffixes}, reverse=True)

    def __iter__(self) -> Iterator[Host]:
        return (host for hosts in self._exact.values() for host in hosts)

    @property
    def names(self) -> Iterable[str]:
        """Every name."""
        return self._exact.keys()

    def find(self, name: str, namespace: str, export_to: Sequence[str] | None = None) -> Host | None:
        """The host of that full name, as an object of a namespace sees it that is exported so (Istio's rule)."""
        namespaces = [namespace if other == "." else other for other in export_to or (namespace,)]
        for host in self._exact.get(name, ()):
            if host.seen_from(namespaces):
                return host
        bare = name[1:] if name.startswith("*") else name
        for length in self._lengths:
            for host in self._suffixes.get(bare[-length:] if length else "", ()):
                if host.seen_from((namespace,)) and (length < len(bare) or not length or name.startswith("*")):
                    return host
        return None

    def hidden(self, name: str) -> Host | None:
        """The host of that name whoever may see it: to say that it is there, and not exported."""
        return next(iter(self._exact.get(name, ())), None)


def of_service(placed: Placed[Service]) -> Host:
    """The host of a service."""
    service, namespace = placed.value, placed.namespace
    exported = placed.annotations.get("networking.istio.io/exportTo", "")
    names = [name.strip() for name in exported.split(",") if name.strip()]
    ports = {port.number: port.protocol for port in service.ports}
    selector = service.selector or None
    return Host(service.host, namespace, ports, scopes(names, namespace), selector, service=placed)


def of_entry(placed: Placed[ServiceEntry]) -> Iterator[Host]:
    """The hosts of a ServiceEntry."""
    spec, namespace = placed.value.spec, placed.namespace
    ports = {port.number: protocol_of(port.protocol or "") or "tcp" for port in spec.ports or ()}
    chosen = spec.workload_selector.labels or {} if spec.workload_selector is not None else None
    for host in spec.hosts:
        name = qualify(host, namespace)
        yield Host(name, namespace, ports, scopes(spec.export_to, namespace), chosen, entry=placed)


def of_known(service: KnownService) -> Host:
    """The host of a service that the control plane knows."""
    _, _, rest = service.host.partition(".")
    ports = {port: service.protocols.get(port, "") for port in service.ports}
    return Host(service.host, rest.partition(".")[0], ports, frozenset((EVERYWHERE,)))

"""Bytes that an application sends: the filter chains of one port of a service, by the rules for TCP and TLS."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_network

from mesh_api.config import FilterChainMatch, Guard, NetworkFilter, TcpProxy
from mesh_control.compiler import defaults, filter_chains, forward_proxies, names
from mesh_control.compiler.destinations import Place
from mesh_control.compiler.domains import short_forms
from mesh_control.compiler.egress import Egress
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.compiler.stream_routes import counted_as, to_destinations, with_rules
from mesh_control.services import Protocol, Service, ServicePort
from mesh_policy import VirtualService
from mesh_policy.networking.virtual_service import TcpMatch, TlsMatch

ANY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Chain:
    """A filter chain before its listener is known. ``networks`` are CIDR strings or addresses of destinations.

    ``http``: only for what the HTTP inspector knows to be HTTP without TLS.
    """

    filter: NetworkFilter
    server_names: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    http: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    guards: tuple[Guard, ...] = ()

    @property
    def takes_all(self) -> bool:
        """Whether it asks nothing of a connection."""
        return not (self.names or self.http or self.networks)

    @property
    def names(self) -> tuple[str, ...]:
        """The server names, of which one must be asked for; none: whichever."""
        return () if ANY_NAME in self.server_names else tuple(sorted(self.server_names))

    @property
    def conditions(self) -> tuple[object, ...]:
        """Chains of one listener must differ in these."""
        networks = frozenset(_network(address) for address in self.networks)
        return self.http, frozenset(self.server_names) - {ANY_NAME}, networks

    @property
    def match(self) -> FilterChainMatch:
        """The conditions as Envoy's."""
        return FilterChainMatch(
            server_names=self.names,
            prefix_ranges=tuple(_prefix(address) for address in sorted(self.networks)),
            transport_protocol="raw_buffer" if self.http else "",
            application_protocols=defaults.HTTP_PROTOCOLS if self.http else (),
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """Connections to a port of a service. ``port`` is that of the listener; 0 for a Unix socket.

    ``networks`` holds the service's addresses where they are a network. ``by_name``: only the server's name tells for which
    service of the port a connection is.
    """

    egress: Egress
    service: Service
    port: ServicePort
    networks: tuple[str, ...] = ()
    by_name: bool = False


def _network(address: str) -> str:
    """Addresses of one network are one, whatever stands behind its prefix."""
    return str(ip_network(address, strict=False))


def _prefix(address: str) -> str:
    """In CIDR form; a single address is a network of its own."""
    return address if "/" in address else f"{address}/{128 if ':' in address else 32}"


def chains(scope: Scope, sent: Sent) -> tuple[Chain, ...]:
    """In the order in which the rules were written; the last one is the way to the service where no rule is for all."""
    tls = sent.port.protocol is Protocol.TLS

    def make() -> tuple[Chain, ...]:
        made = (_by_tls_rules if tls else _by_tcp_rules)(scope, sent)
        return tuple(map(_counted, made)) if sent.port.protocol is Protocol.MONGO else tuple(made)

    about = tuple(sent.egress.all_about(sent.service.hostname))
    near = scope.proxy.namespace if sent.service.aliases else ""  # by which aliases have short forms
    guards = _guards(scope, sent)
    what = (
        "outbound chains",
        tls,
        sent.networks,
        sent.by_name,
        scope.proxy.idle_timeout,
        near,
        guards,
        scope.proxy.own,
    )
    if any(rule.spec.tls or rule.spec.tcp for rule in about):
        return scope.shared((*what, scope.view), (sent.egress, sent.service, sent.port), make)
    return scope.shared(what, (sent.service, sent.port, *scope.destination_rules(sent.service)), make)


def _counted(chain: Chain) -> Chain:
    """Istio has Envoy read what is declared as MongoDB."""
    if not isinstance(chain.filter, TcpProxy):
        return chain
    return replace(chain, filter=replace(chain.filter, mongo_statistics=chain.filter.stat_prefix))


def _by_tls_rules(scope: Scope, sent: Sent) -> Iterator[Chain]:
    """Of matches that ask the same of a connection the first one counts."""
    networks, taken = sent.networks, set[tuple[object, object]]()
    place = Place(MESH, sent.port.number, stream=True, port_name=sent.port.name)
    for owner in sent.egress.all_about(sent.service.hostname):
        for rule in owner.spec.tls or ():
            for match in rule.match:
                if not _holds(scope, match, sent.port):
                    continue
                if match.destination_subnets and sent.port.number:
                    networks = match.destination_subnets  # also for the matches after it (Istio)
                asked = match.sni_hosts, match.destination_subnets or ()
                if asked not in taken:
                    taken.add(asked)
                    made = to_destinations(scope, owner, rule.route, place)
                    yield Chain(made, match.sni_hosts, networks, metadata=_written_in(owner))
    if not taken:
        told = sent.by_name or sent.networks or forward_proxies.is_named(sent.service)
        names_ = _server_names(scope, sent.service) if told else ()
        yield Chain(_plain(scope, sent), names_, sent.networks, guards=_guards(scope, sent))


def _server_names(scope: Scope, service: Service) -> tuple[str, ...]:
    """Its name, and those of its aliases in all forms."""
    found = [service.hostname]
    for host, _ in service.aliases:
        found += [host, *short_forms(host, scope.proxy.namespace)]
    return tuple(found)


def _by_tcp_rules(scope: Scope, sent: Sent) -> Iterator[Chain]:
    """Up to the first rule that is for every connection; matches of networks of one rule are one chain (Istio)."""
    reached, place = False, Place(MESH, sent.port.number, stream=True, port_name=sent.port.name)
    for owner in sent.egress.all_about(sent.service.hostname):
        for rule in owner.spec.tcp or ():
            holding = [match for match in rule.match or () if _holds(scope, match, sent.port)]
            if not rule.match or any(not (match.destination_subnets and sent.port.number) for match in holding):
                made = to_destinations(scope, owner, rule.route, place)
                yield Chain(made, networks=sent.networks, metadata=_written_in(owner))
                return
            subnets = tuple(subnet for match in holding for subnet in match.destination_subnets or ())
            if subnets:
                yield Chain(to_destinations(scope, owner, rule.route, place), networks=subnets)
                reached = reached or sorted(subnets) == sorted(sent.networks)
    if not reached:
        yield Chain(_plain(scope, sent), networks=sent.networks, guards=_guards(scope, sent))


def _holds(scope: Scope, match: TcpMatch | TlsMatch, port: ServicePort) -> bool:
    """Whether a rule is meant for this proxy and port."""
    return (
        (not match.port or match.port == port.number)
        and (not match.gateways or MESH in match.gateways)
        and match.source_namespace in (None, "", scope.proxy.namespace)
        and (match.source_labels or {}).items() <= scope.labels.items()
    )


def _written_in(owner: VirtualService) -> tuple[tuple[str, str], ...]:
    return (("config", names.config_path("virtual-service", owner.metadata)),)


def _guards(scope: Scope, sent: Sent) -> tuple[Guard, ...]:
    return forward_proxies.guards(scope, sent.service, sent.port.number)


def _plain(scope: Scope, sent: Sent) -> TcpProxy:
    """To the service itself: its only port, or the one of the listener."""
    ports = sent.service.ports
    number = ports[0].number if len(ports) == 1 else sent.port.number
    proxy = filter_chains.tcp(names.outbound(number, "", sent.service.hostname))
    port = ServicePort("", number, sent.port.protocol, number)
    proxy = counted_as(scope, proxy, scope.world.mesh.outbound_cluster_stat_name, sent.service, port)
    return with_rules(scope, proxy, scope.destination_rules(sent.service), "")

"""VirtualService: how requests for a host are routed (Istio, ``networking.istio.io/v1``)."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Model, Policy
from mesh_policy.hosts import (
    ExportTo,
    Subnet,
    check_export_to,
    check_fqdn,
    check_host,
    check_host_at_gateway,
    is_address,
    is_label,
    overlap,
)
from mesh_policy.networking.destinations import Destination, PortSelector, WeightedDestination, WeightedDestinations
from mesh_policy.networking.headers import is_claim
from mesh_policy.networking.http_route import (
    CorsPolicy,
    Delegate,
    HttpMatch,
    HttpRoute,
    HttpRouteDestination,
    Mirror,
    RegexRewrite,
    Retries,
    Rewrite,
    check_retry_on,
)
from mesh_policy.networking.ports import PortOrZero
from mesh_policy.networking.selectors import CheckedLabels

__all__ = [
    "CorsPolicy",
    "Delegate",
    "Destination",
    "HttpMatch",
    "HttpRoute",
    "HttpRouteDestination",
    "Mirror",
    "PortSelector",
    "RegexRewrite",
    "Retries",
    "Rewrite",
    "TcpMatch",
    "TcpRoute",
    "TlsMatch",
    "TlsRoute",
    "VirtualService",
    "VirtualServiceSpec",
    "WeightedDestination",
    "check_retry_on",
]
MESH = "mesh"
"""Stands among gateways for every sidecar."""


class TcpMatch(Model):
    """Conditions on a TCP connection."""

    destination_subnets: tuple[Subnet, ...] | None = None
    """Addresses or networks of which the destination must be in one."""
    port: PortOrZero | None = None
    """Port of the destination."""
    source_subnet: str | None = None
    """Network that the client must be in."""
    source_labels: CheckedLabels | None = None
    """Labels that the client must carry; at sidecars alone."""
    source_namespace: str | None = None
    """Namespace that the client must be in."""
    gateways: tuple[str, ...] | None = None
    """Gateways at which the match holds, in place of the VirtualService's."""


class TlsMatch(Model):
    """Conditions on a TLS connection that passes through."""

    sni_hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names (SNI) of which one must be asked for; each lies within a host of the VirtualService."""
    destination_subnets: tuple[Subnet, ...] | None = None
    """Addresses or networks of which the destination must be in one."""
    port: PortOrZero | None = None
    """Port of the destination."""
    source_labels: CheckedLabels | None = None
    """Labels that the client must carry; at sidecars alone."""
    source_namespace: str | None = None
    """Namespace that the client must be in."""
    gateways: tuple[str, ...] | None = None
    """Gateways at which the match holds, in place of the VirtualService's."""


class TcpRoute(Model):
    """One rule for TCP."""

    match: tuple[TcpMatch, ...] | None = None
    """Conditions of which one must hold; none: every connection."""
    route: WeightedDestinations
    """Where connections go."""


class TlsRoute(Model):
    """One rule for TLS that passes through."""

    match: Annotated[tuple[TlsMatch, ...], Field(min_length=1)]
    """Conditions of which one must hold."""
    route: WeightedDestinations
    """Where connections go."""


class VirtualServiceSpec(Model):
    """The rules for ``hosts``, at the gateways named (``mesh``, the default, is every sidecar)."""

    hosts: tuple[str, ...] | None = None
    """Names that clients ask for, or addresses; without any this is a delegate, whose rules another one takes in."""
    gateways: tuple[str, ...] | None = None
    """``NAMESPACE/NAME`` or ``NAME`` of gateways; ``mesh`` for all sidecars; default ``mesh`` alone."""
    http: tuple[HttpRoute, ...] | None = None
    """Rules for HTTP, the first that matches decides."""
    tls: tuple[TlsRoute, ...] | None = None
    """Rules for TLS that is not ended here."""
    tcp: tuple[TcpRoute, ...] | None = None
    """Rules for every other connection."""
    export_to: tuple[ExportTo, ...] | None = None
    """Namespaces that see the rules; default all."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._delegate(), *self._hosts(), *self._claims(), *self._http(), *self._tls(), *self._gateways()]
        if not (self.http or self.tls or self.tcp):
            problems.append("at least one of http, tls and tcp is required")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def at_mesh(self) -> bool:
        """Whether sidecars take the rules (Istio's webhook looks at the gateways as a whole)."""
        return not self.gateways or MESH in self.gateways

    def _delegate(self) -> Iterator[str]:
        if self.hosts:
            return
        for name, value in (("gateways", self.gateways), ("tls", self.tls), ("tcp", self.tcp)):
            if value:
                yield f"hosts: without hosts this is a delegate, which has no {name}; name the hosts, or remove {name}"

    def _hosts(self) -> Iterator[str]:
        valid, hosts = True, self.hosts or ()
        for host in hosts:
            try:
                self._check_host(host, sni=bool(self.tls))
            except ValueError as error:
                valid = False
                yield f"hosts: {error}"
        if valid:
            pairs = ((a, b) for place, a in enumerate(hosts) for b in hosts[place + 1 :])
            yield from (_twice(a, b) for a, b in pairs if overlap(a, b))

    def _check_host(self, host: str, sni: bool) -> None:
        if is_address(host):
            return
        if not self.at_mesh:
            check_host_at_gateway(host, sni)
            return
        check_host(host)
        if host == "*":
            raise ValueError("`*` is not allowed for the mesh; name the hosts, or name a gateway")

    def _claims(self) -> Iterator[str]:
        if not self.at_mesh:
            return
        for match in (match for rule in self.http or () for match in rule.match or ()):
            for name in (*(match.headers or {}), *(match.without_headers or {})):
                if is_claim(name):
                    yield f"http: {name!r}: claims are matched at gateways alone; name a gateway"

    def _http(self) -> Iterator[str]:
        for place, rule in enumerate(self.http or ()):
            yield from (f"http[{place}]: {problem}" for problem in rule.problems(of_delegate=not self.hosts))

    def _tls(self) -> Iterator[str]:
        for place, rule in enumerate(self.tls or ()):
            for match in rule.match:
                for host in match.sni_hosts:
                    yield from (f"tls[{place}]: sniHosts: {problem}" for problem in self._sni(host))

    def _sni(self, host: str) -> Iterator[str]:
        try:
            check_host_at_gateway(host, sni=MESH not in (self.gateways or ()))
        except ValueError as error:
            if not is_address(host):
                yield str(error)
            return
        if not any(_within(host, other) for other in self.hosts or ()):
            yield f"{host!r} lies within none of the hosts {', '.join(self.hosts or ())}"

    def _gateways(self) -> Iterator[str]:
        lists = [("gateways", self.gateways)]
        lists += [(f"http[{n}]", m.gateways) for n, rule in enumerate(self.http or ()) for m in rule.match or ()]
        lists += [(f"tls[{n}]", m.gateways) for n, rule in enumerate(self.tls or ()) for m in rule.match]
        lists += [(f"tcp[{n}]", m.gateways) for n, rule in enumerate(self.tcp or ()) for m in rule.match or ()]
        for where, names in lists:
            yield from (f"{where}: {problem}" for problem in _wrong_gateways(names))


def _wrong_gateways(names: tuple[str, ...] | None) -> Iterator[str]:
    """Istio stops at the first name without a slash, whatever comes after it."""
    for name in names or ():
        namespace, slash, own = name.partition("/")
        if not slash:
            try:
                check_fqdn(name)
            except ValueError:
                yield f"{name!r} is no gateway; write NAMESPACE/NAME, or NAME for one of this namespace"
            return
        if not (is_label(namespace) and is_label(own)):
            yield f"{name!r} is no gateway; write NAMESPACE/NAME, each with letters, digits and dashes"


def _twice(one: str, other: str) -> str:
    return f"hosts: {one!r} stands twice" if one == other else f"hosts: {one!r} and {other!r} overlap; keep one"


def _within(name: str, host: str) -> bool:
    """Whether every name that the first stands for is one of the second's."""
    if not host.startswith("*"):
        return name == host
    if name.startswith("*"):
        return len(name) >= len(host) and name[1:].endswith(host[1:])
    return name.endswith(host[1:])


class VirtualService(Policy):
    """See :class:`VirtualServiceSpec`."""

    KIND: ClassVar[str] = "VirtualService"
    kind: Literal["VirtualService"] = "VirtualService"
    spec: VirtualServiceSpec

    @model_validator(mode="after")
    def _fits_its_namespace(self) -> Self:
        check_export_to(self.spec.export_to, self.metadata.namespace)
        return self

"""ServiceEntry: a service that the mesh would not know of otherwise."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mesh_policy.base import Model, Policy, Port
from mesh_policy.hosts import (
    ExportTo,
    Host,
    check_export_to,
    check_fqdn,
    check_fqdn_or_address,
    check_subnet,
    is_address,
)
from mesh_policy.networking.ports import HTTP_PROTOCOLS, TLS_PROTOCOLS, PortName, SniffedProtocol
from mesh_policy.networking.selectors import WorkloadSelector
from mesh_policy.networking.workload_entry import WorkloadEntrySpec

DYNAMIC_PROTOCOLS = ("HTTP", "HTTP2", "GRPC", "TLS")
"""What names its host in each request or connection, so that the host can be looked up then."""
WAYPOINT_LABEL = "istio.io/use-waypoint"


class ServiceEntryPort(Model):
    """One port."""

    number: Port
    """Port that clients use."""
    name: PortName
    """Name of the port, once in a service: a label of DNS."""
    protocol: SniffedProtocol | None = None
    """What is spoken; unset or empty means that the proxy finds out."""
    target_port: Port | None = None
    """Port of the endpoints, when it is another."""


def _not_all(value: str) -> str:
    if value == "*":
        raise ValueError("`*` is not allowed; name the hosts")
    return value


class ServiceEntrySpec(Model):
    """Hosts, ports, and how the endpoints are found."""

    hosts: Annotated[tuple[Annotated[Host, AfterValidator(_not_all)], ...], Field(min_length=1, max_length=256)]
    """DNS names, perhaps with a wildcard first. Requests are told apart by them, TCP connections by ``addresses``."""
    addresses: (
        Annotated[
            tuple[Annotated[str, StringConstraints(max_length=64), AfterValidator(check_subnet)], ...],
            Field(max_length=256),
        ]
        | None
    ) = None
    """Virtual addresses, or networks with resolution NONE or STATIC."""
    ports: Annotated[tuple[ServiceEntryPort, ...], Field(max_length=256)] | None = None
    """Ports of the service."""
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] | None = None
    """Whether the endpoints belong to the mesh (and so speak mutual TLS); default MESH_EXTERNAL."""
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] | None = None
    """How endpoints are found: NONE (default) keeps the client's address, STATIC takes the endpoints listed or selected,
    DNS asks for their names, DYNAMIC_DNS for the host of each request."""
    endpoints: Annotated[tuple[WorkloadEntrySpec, ...], Field(max_length=4096)] | None = None
    """The endpoints; none for DNS means the hosts themselves."""
    workload_selector: WorkloadSelector | None = None
    """Selects pods and WorkloadEntries in place of ``endpoints``."""
    export_to: tuple[ExportTo, ...] | None = None
    """Namespaces that see the service; default all. ``~`` shows it to nobody."""
    subject_alt_names: tuple[str, ...] | None = None
    """Names of which a server's certificate must carry one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._ports_once(), *self._found(), *self._told_apart()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _ports_once(self) -> list[str]:
        ports = self.ports or ()
        names, numbers = [port.name for port in ports], [port.number for port in ports]
        found = [f"ports: the name {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        return found + [f"ports: {n} stands twice" for n in sorted({n for n in numbers if numbers.count(n) > 1})]

    def _found(self) -> list[str]:
        """How the endpoints are found, by resolution."""
        found: list[str] = []
        if self.endpoints is not None and self.workload_selector is not None:
            found.append("endpoints and workloadSelector exclude each other; keep one")
        if self.resolution not in (None, "NONE", "STATIC") and any("/" in a for a in self.addresses or ()):
            found.append("addresses: a network goes with resolution NONE or STATIC; list addresses")
        if self.resolution in (None, "NONE"):
            return found + (
                ["endpoints need a resolution other than NONE; set STATIC or DNS"] if self.endpoints is not None else []
            )
        if self.resolution == "STATIC":
            return found + self._static()
        return found + (self._dynamic() if self.resolution == "DYNAMIC_DNS" else self._dns())

    def _static(self) -> list[str]:
        found, ports = [], self.ports or ()
        for endpoint in self.endpoints or ():
            if endpoint.is_socket:
                if len(ports) != 1:
                    found.append(f"endpoints: {endpoint.address!r} is a socket, which goes with exactly one port")
            elif endpoint.address and not is_address(endpoint.address):
                found.append(f"endpoints: {endpoint.address!r} is a name; resolution STATIC takes addresses")
        return found + self._ports_of_endpoints()

    def _dns(self) -> list[str]:
        found: list[str] = []
        wildcard = [host for host in self.hosts if not _is_fqdn(host)]
        if wildcard and not self.endpoints:
            found.append(f"hosts: {wildcard[0]!r} cannot be resolved; list endpoints, or use resolution NONE")
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints or ()) > 1:
            found.append("endpoints: DNS_ROUND_ROBIN takes one; use DNS for several")
        for endpoint in self.endpoints or ():
            try:
                check_fqdn_or_address(endpoint.address or "")
            except ValueError as error:
                found.append(f"endpoints: {error}")
        return found + self._ports_of_endpoints()

    def _dynamic(self) -> list[str]:
        found = [f"hosts: {host!r}: DYNAMIC_DNS takes wildcards" for host in self.hosts if not host.startswith("*")]
        for name, value in (("addresses", self.addresses), ("endpoints", self.endpoints)):
            if value:
                found.append(f"{name}: DYNAMIC_DNS looks up the host of each request; remove them")
        wrong = [port.protocol for port in self.ports or () if (port.protocol or "").upper() not in DYNAMIC_PROTOCOLS]
        if wrong:
            found.append(f"ports: protocol {wrong[0]!r}: DYNAMIC_DNS takes {', '.join(DYNAMIC_PROTOCOLS)}")
        return found

    def _ports_of_endpoints(self) -> list[str]:
        known = {port.name for port in self.ports or ()}
        named = sorted({name for endpoint in self.endpoints or () for name in endpoint.ports or ()} - known)
        return [f"endpoints: the service has no port named {name!r}" for name in named]

    def _told_apart(self) -> list[str]:
        if len(self.hosts) > 1 and self.resolution not in (None, "NONE"):
            for port in self.ports or ():
                if (port.protocol or "").upper() not in (*HTTP_PROTOCOLS, *TLS_PROTOCOLS):
                    return [f"ports: {port.number} is neither HTTP nor TLS, which cannot tell several hosts apart"]
        return []


def _is_fqdn(host: str) -> bool:
    try:
        check_fqdn(host)
    except ValueError:
        return False
    return True


class ServiceEntry(Policy):
    """See :class:`ServiceEntrySpec`."""

    KIND: ClassVar[str] = "ServiceEntry"
    kind: Literal["ServiceEntry"] = "ServiceEntry"
    spec: ServiceEntrySpec

    @model_validator(mode="after")
    def _fits_its_metadata(self) -> Self:
        check_export_to(self.spec.export_to, self.metadata.namespace, none_allowed=True)
        waypoint = (self.metadata.labels or {}).get(WAYPOINT_LABEL, "")
        internal = self.spec.location == "MESH_INTERNAL" and self.spec.resolution == "DYNAMIC_DNS"
        if internal and waypoint and waypoint.lower() != "none":
            raise ValueError("spec.location: MESH_INTERNAL with DYNAMIC_DNS goes with no waypoint; use MESH_EXTERNAL")
        return self

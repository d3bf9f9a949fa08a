"""ServiceEntry: a service that the mesh would not know of otherwise."""

import ipaddress
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from mesh_policy.base import Labels, Model, Policy, Port
from mesh_policy.hosts import ExportTo, Host
from mesh_policy.networking.gateway import PROTOCOLS
from mesh_policy.networking.workload_entry import WorkloadEntrySpec


class ServiceEntryPort(Model):
    """One port."""

    number: Port
    name: str
    protocol: str | None = None
    target_port: Port | None = None

    @field_validator("protocol")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value and value.upper() not in PROTOCOLS:
            raise ValueError(f"protocol {value!r}: allowed are {', '.join(PROTOCOLS)}")
        return value


class WorkloadSelector(Model):
    """Selects workloads by labels."""

    labels: Labels | None = None


class ServiceEntrySpec(Model):
    """Hosts, ports, and how the endpoints are found."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    addresses: tuple[str, ...] | None = None
    ports: tuple[ServiceEntryPort, ...] | None = None
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] | None = None
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] | None = None
    endpoints: tuple[WorkloadEntrySpec, ...] | None = None
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[ExportTo, ...] | None = None
    subject_alt_names: tuple[str, ...] | None = None

    @field_validator("addresses")
    @classmethod
    def _addresses(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for address in value or ():
            ipaddress.ip_network(address, strict=False)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._hosts(), *self._ports(), *self._endpoints()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _hosts(self) -> list[str]:
        hosts = [host.lower() for host in self.hosts]  # names have no case
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        wildcard = [host for host in self.hosts if host.startswith("*")]
        found = ["hosts: `*` is not allowed; name the hosts"] if "*" in self.hosts else []
        if wildcard and self.resolution in ("DNS", "DNS_ROUND_ROBIN") and not self.endpoints:
            found.append(f"hosts: {wildcard[0]!r} cannot be resolved; list endpoints, or use resolution NONE")
        return found + [f"hosts: {host!r} stands twice" for host in twice]

    def _ports(self) -> list[str]:
        ports = self.ports or ()
        names, numbers = [port.name for port in ports], [port.number for port in ports]
        found = [f"ports: the name {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        return found + [f"ports: {n} stands twice" for n in sorted({n for n in numbers if numbers.count(n) > 1})]

    def _endpoints(self) -> list[str]:
        if self.endpoints and self.workload_selector is not None:
            return ["endpoints and workloadSelector exclude each other; keep one"]
        if self.resolution in (None, "NONE") and self.endpoints:
            return ["endpoints need a resolution other than NONE; set STATIC or DNS"]
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints or ()) > 1:
            return ["endpoints: DNS_ROUND_ROBIN takes one; use DNS for several"]
        if self.resolution == "STATIC":
            named = [e.address for e in self.endpoints or () if e.address and not _is_literal(e.address)]
            return [f"endpoints: {name!r} is a name; resolution STATIC takes addresses" for name in named]
        return []


def _is_literal(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return address.startswith("unix://")
    return True


class ServiceEntry(Policy):
    """See :class:`ServiceEntrySpec`."""

    KIND: ClassVar[str] = "ServiceEntry"
    kind: Literal["ServiceEntry"] = "ServiceEntry"
    spec: ServiceEntrySpec

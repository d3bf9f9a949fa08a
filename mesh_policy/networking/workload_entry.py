"""WorkloadEntry: a workload on a machine."""

import ipaddress
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from mesh_policy.base import Labels, Model, Policy, Port, Unsigned
from mesh_policy.hosts import check_fqdn


class WorkloadEntrySpec(Model):
    """Address (IP, DNS name or ``unix:///PATH``), ports by name, labels."""

    address: str | None = None
    ports: dict[str, Port] | None = None
    labels: Labels | None = None
    network: str | None = None
    locality: str | None = None
    weight: Unsigned | None = None
    service_account: str | None = None

    @model_validator(mode="after")
    def _address(self) -> Self:
        if not self.address:
            if not self.network:
                raise ValueError("address is required (or network, for a workload of another network)")
            return self
        if self.address.startswith("unix://"):
            if self.ports:
                raise ValueError("ports: a Unix socket has none")
            return self
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            check_fqdn(self.address)
        return self


class WorkloadEntry(Policy):
    """See :class:`WorkloadEntrySpec`."""

    KIND: ClassVar[str] = "WorkloadEntry"
    kind: Literal["WorkloadEntry"] = "WorkloadEntry"
    spec: WorkloadEntrySpec

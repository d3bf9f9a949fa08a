"""WorkloadEntry: a workload on a machine."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mesh_policy.base import Model, Policy, Port, Unsigned
from mesh_policy.hosts import check_fqdn, check_unix_path, is_address
from mesh_policy.networking.ports import PortName
from mesh_policy.networking.selectors import CheckedLabels

UNIX = "unix://"
"""What begins the address of a Unix socket."""


def _socket(value: str) -> str:
    if value.startswith(UNIX):
        path = check_unix_path(value.removeprefix(UNIX))
        if path.endswith("/"):
            raise ValueError(f"{value!r}: a socket is no folder")
    return value


ShortPortName = Annotated[PortName, StringConstraints(max_length=62)]
"""Name of a port of a workload."""


class Workload(Model):
    """What is known of a workload beside its labels and perhaps without its address."""

    address: Annotated[str, StringConstraints(max_length=256), AfterValidator(_socket)] | None = None
    """IP address, DNS name, or ``unix:///PATH`` (``unix://@NAME``), which has no ports."""
    ports: Annotated[dict[ShortPortName, Port], Field(max_length=128)] | None = None
    """Ports by the names of the service's ports; one that is not listed is the service's own number."""
    network: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """Network that the workload is in; unset means one with the proxies."""
    locality: Annotated[str, StringConstraints(max_length=2048)] | None = None
    """``REGION/ZONE/SUBZONE``."""
    weight: Unsigned | None = None
    """Share of the traffic; unset and 0 mean 1."""
    service_account: Annotated[str, StringConstraints(max_length=253)] | None = None
    """Service account of the workload, in its namespace: who it is."""

    @model_validator(mode="after")
    def _no_ports_of_sockets(self) -> Self:
        if self.is_socket and self.ports is not None:
            raise ValueError("ports: a Unix socket has none")
        return self

    @property
    def is_socket(self) -> bool:
        """Whether the address is a Unix socket."""
        return (self.address or "").startswith(UNIX)


class WorkloadEntrySpec(Workload):
    """Address (IP, DNS name or ``unix:///PATH``), ports by name, labels."""

    labels: Annotated[CheckedLabels, Field(max_length=256)] | None = None
    """Labels by which services select the workload."""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.address and not self.network:
            raise ValueError("address is required (or network, for a workload of another network)")
        if self.address and not self.is_socket and not is_address(self.address):
            check_fqdn(self.address)
        return self


class WorkloadEntry(Policy):
    """See :class:`WorkloadEntrySpec`."""

    KIND: ClassVar[str] = "WorkloadEntry"
    kind: Literal["WorkloadEntry"] = "WorkloadEntry"
    spec: WorkloadEntrySpec

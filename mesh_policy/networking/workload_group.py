"""WorkloadGroup: what the WorkloadEntries of a group of machines that register themselves have in common."""

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Count, Labels, Model, Policy, Port
from mesh_policy.networking.selectors import CheckedLabels
from mesh_policy.networking.workload_entry import Workload

_HEADER = re.compile("[-A-Za-z0-9]+")


def _probe_header(value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a probe's header; allowed are letters, digits and dashes")
    return value


class WorkloadGroupMetadata(Model):
    """Metadata of the WorkloadEntries."""

    labels: Annotated[CheckedLabels, Field(max_length=256)] | None = None
    """Labels of the WorkloadEntries."""
    annotations: Annotated[Labels, Field(max_length=256)] | None = None
    """Annotations of the WorkloadEntries."""


class WorkloadTemplate(Workload):
    """Spec of the WorkloadEntries; the address is filled in when a workload registers."""

    labels: Annotated[Labels, Field(max_length=256)] | None = None
    """Labels by which services select the workloads."""


class HttpHeader(Model):
    """One header of a probe."""

    name: Annotated[str, AfterValidator(_probe_header)]
    """Name of the header: letters, digits and dashes."""
    value: str | None = None
    """Its value."""


class HttpProbe(Model):
    """A request that must be answered with a status from 200 to 399."""

    path: str | None = None
    """Path; default ``/``."""
    port: Port
    """Port of the workload."""
    host: str | None = None
    """Host to connect to; default the workload's address."""
    scheme: Literal["", "HTTP", "HTTPS"] | None = None
    """HTTP (default) or HTTPS, whose certificate is not checked."""
    http_headers: tuple[HttpHeader, ...] | None = None
    """Headers of the request."""


class TcpProbe(Model):
    """A connection that must be taken."""

    host: str | None = None
    """Host to connect to; default the workload's address."""
    port: Port
    """Port of the workload."""


class ExecProbe(Model):
    """A command that must end with 0."""

    command: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """The command and its arguments; no shell."""


class GrpcProbe(Model):
    """A question to gRPC's health service."""

    port: Port | None = None
    """Port of the workload."""
    service: str | None = None
    """Name of the service that is asked for."""


class ReadinessProbe(Model):
    """How it is found out whether a workload can take traffic: exactly one of ``http_get``, ``tcp_socket`` and ``exec``.

    Istio's schema has ``grpc`` too; its webhook refuses it.
    """

    initial_delay_seconds: Count | None = None
    """Seconds before the first probe; default 0."""
    timeout_seconds: Count | None = None
    """Seconds in which a probe must succeed; default 1."""
    period_seconds: Count | None = None
    """Seconds between probes; default 10."""
    success_threshold: Count | None = None
    """Successes in a row after which a workload is ready again; default 1."""
    failure_threshold: Count | None = None
    """Failures in a row after which a workload is no longer ready; default 3."""
    http_get: HttpProbe | None = None
    """A request."""
    tcp_socket: TcpProbe | None = None
    """A connection."""
    exec: ExecProbe | None = None
    """A command."""
    grpc: GrpcProbe | None = None
    """Not taken by Istio's webhook."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = {"httpGet": self.http_get, "tcpSocket": self.tcp_socket, "exec": self.exec, "grpc": self.grpc}
        chosen = [name for name, value in ways.items() if value is not None]
        if len(chosen) != 1:
            raise ValueError("exactly one of httpGet, tcpSocket and exec is required")
        if self.grpc is not None:
            raise ValueError("grpc is not supported (by Istio's webhook either); use httpGet, tcpSocket or exec")
        return self


class WorkloadGroupSpec(Model):
    """Template, metadata and probe of a group's WorkloadEntries."""

    metadata: WorkloadGroupMetadata | None = None
    """Metadata of the WorkloadEntries."""
    template: WorkloadTemplate
    """Their spec, without what only the workload knows."""
    probe: ReadinessProbe | None = None
    """How the health of the workloads is found out; unset means that they are taken for healthy."""


class WorkloadGroup(Policy):
    """See :class:`WorkloadGroupSpec`."""

    KIND: ClassVar[str] = "WorkloadGroup"
    kind: Literal["WorkloadGroup"] = "WorkloadGroup"
    spec: WorkloadGroupSpec

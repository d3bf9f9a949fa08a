"""Endpoints of a cluster (Envoy ``endpoint.v3``)."""

from dataclasses import dataclass
from enum import Enum

from mesh_api.config.sockets import PipeAddress, SocketAddress


class HealthStatus(Enum):
    """Health that discovery knows of. ``UNKNOWN`` counts as healthy, as in Envoy."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One host. ``metadata`` is the ``istio`` filter metadata as pairs (``workload`` and the like), for telemetry.

    ``tls_mode`` is what the cluster's ``tls_matches`` look at: ``istio`` where a sidecar takes mutual TLS.
    """

    address: SocketAddress | PipeAddress
    weight: int = 1
    health: HealthStatus = HealthStatus.UNKNOWN
    hostname: str = ""
    tls_mode: str = ""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LocalityEndpoints:
    """The hosts of one locality at one priority (0 is tried first)."""

    endpoints: tuple[Endpoint, ...]
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    priority: int = 0
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class ClusterLoadAssignment:
    """All hosts of the EDS service ``cluster_name``."""

    cluster_name: str
    localities: tuple[LocalityEndpoints, ...] = ()
    overprovisioning_factor: int = 140

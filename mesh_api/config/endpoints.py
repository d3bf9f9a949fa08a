"""Endpoints of a cluster (Envoy ``endpoint.v3``)."""

from dataclasses import dataclass
from enum import Enum

from mesh_api.config.health_checks import HostCheck
from mesh_api.config.load_balancing import Labels
from mesh_api.config.sockets import PipeAddress, SocketAddress


class HealthStatus(Enum):
    """Health that discovery knows of. ``UNKNOWN`` counts as healthy, as in Envoy."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DEGRADED = "DEGRADED"


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
    lb_metadata: Labels = ()
    health_check: HostCheck | None = None


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
    """All hosts of the EDS service ``cluster_name``.

    ``drop_overloads`` are categories and the parts per million of requests that are dropped for each;
    ``endpoint_stale_after`` the seconds after which the hosts are forgotten unless they are told again.
    """

    cluster_name: str
    localities: tuple[LocalityEndpoints, ...] = ()
    overprovisioning_factor: int = 140
    drop_overloads: tuple[tuple[str, int], ...] = ()
    endpoint_stale_after: float | None = None
    weighted_priority_health: bool = False
    """Whether the health of a priority is the share of weights, not of hosts."""

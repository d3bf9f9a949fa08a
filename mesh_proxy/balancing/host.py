"""A host of a cluster, with what is known of it while the proxy runs."""

from typing import Any

from mesh_api.config import Endpoint, HealthStatus


class Host:
    """One host. It outlives a change of configuration as long as its address stays in its cluster.

    ``target`` is what the socket connects to. ``ejected_until`` is the time until which it is ejected (0: it is not).
    """

    __slots__ = (
        "active_connections", "active_requests", "address", "consecutive_5xx", "consecutive_gateway", "consecutive_local",
        "ejected_until", "endpoint", "errors", "healthy", "idle", "name", "pending", "priority", "target", "times_ejected",
        "total_requests", "weight",
    )  # fmt: skip

    def __init__(self, name: str, target: Any, endpoint: Endpoint | None = None, priority: int = 0) -> None:
        self.name = name
        self.address = name.encode()
        self.target = target
        self.endpoint = endpoint
        self.weight = endpoint.weight if endpoint is not None else 1
        self.healthy = endpoint is None or endpoint.health in (HealthStatus.UNKNOWN, HealthStatus.HEALTHY)
        self.priority = priority
        self.idle: list[Any] = []
        self.pending: list[Any] = []
        self.active_connections = 0
        self.active_requests = 0
        self.total_requests = 0
        self.errors = 0
        self.consecutive_5xx = 0
        self.consecutive_gateway = 0
        self.consecutive_local = 0
        self.ejected_until = 0.0
        self.times_ejected = 0

    @property
    def available(self) -> bool:
        """Whether it may be chosen: healthy by discovery and not ejected."""
        return self.healthy and self.ejected_until == 0.0

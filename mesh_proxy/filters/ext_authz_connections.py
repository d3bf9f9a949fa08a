"""A server says whether connections that carry bytes may come in (Envoy's ``envoy.filters.network.ext_authz``).

https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/ext_authz_filter
"""

from typing import Final

from mesh_api.config import NetworkExtAuthz
from mesh_proxy.authorization import Access
from mesh_proxy.filters.authorization_rpc import RpcAsking
from mesh_proxy.filters.base import Question, Told
from mesh_proxy.routing.metadata import MetadataTest
from mesh_proxy.telemetry.stats import Counters

DENIED: Final = "ext_authz_denied"
ERROR: Final = "ext_authz_error"
"""What access logs tell of requests and connections that are refused: the server said so, or has failed."""


class ConnectionAuthz:
    """Asks about every connection, or about those that an earlier filter has marked. ``stats`` are its own."""

    def __init__(self, config: NetworkExtAuthz, stats: Counters) -> None:
        self._config = config
        self._stats = stats
        self._enabled = None if config.enabled is None else MetadataTest(config.enabled)
        self._rpc = RpcAsking(config.grpc, ())

    @staticmethod
    def scope(config: NetworkExtAuthz) -> str:
        """What its statistics begin with."""
        return f"ext_authz.{config.stat_prefix.removesuffix('.')}"

    def question(self, access: Access) -> Question | None:
        """What is asked about a connection; ``None``: nothing."""
        if self._enabled is not None and not self._enabled.holds(access.metadata):
            self._stats.add("disabled")
            return None
        self._stats.add("total")
        return self._rpc.question_of_connection(access)

    def refusal(self, told: Told | None) -> str:
        """Why the connection may not come in, after what the server says, as access logs tell it; empty: it may."""
        decision = None if told is None else self._rpc.decision(told)
        if decision is None:
            self._stats.add("error")
            if not self._config.failure_mode_allow:
                self._stats.add("cx_closed")
                return ERROR
            self._stats.add("failure_mode_allowed")
            return ""
        if decision.refusal is not None:
            self._stats.add("denied")
            self._stats.add("cx_closed")
            return DENIED
        self._stats.add("ok")
        return ""

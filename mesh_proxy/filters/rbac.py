"""Authorization of requests (Envoy's ``envoy.filters.http.rbac``): 403 for whom the rules do not let pass.

It is asked for every request, also for one that no route takes: who may not ask is not told what there is.
"""

from collections.abc import Callable
from typing import Final

from mesh_api.config import RbacFilter
from mesh_proxy.authorization import Access
from mesh_proxy.authorization.enforcement import Enforcer
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer, Filter, Verdict
from mesh_proxy.protocol.http1 import Head, is_grpc
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters

_TEXT: Final = b"RBAC: access denied"
_GRPC_FIELDS: Final = (
    (b"content-type", b"application/grpc"),
    (b"grpc-status", b"7"),
    (b"grpc-message", _TEXT),
)
"""``PERMISSION_DENIED``: clients of gRPC read no status of HTTP."""


class RbacGate(Filter):
    """Lets pass whom the rules let pass."""

    def __init__(self, config: RbacFilter, stats: Counters) -> None:
        self._enforcer = Enforcer(config, stats, "rbac.")

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """The answer to one who may not."""
        details = self._enforcer.refusal(access)
        if not details:
            return None
        if is_grpc(head):
            return Answer(LocalReply(200, "", details), _GRPC_FIELDS)
        return Answer(LocalReply(403, "", details, _TEXT))

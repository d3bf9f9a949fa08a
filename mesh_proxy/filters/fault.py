"""Faults put in on purpose (Envoy's ``envoy.filters.http.fault``): delays and aborts for a share of the requests."""

from collections.abc import Callable

from mesh_api.config import FaultPolicy
from mesh_api.config.routes import MILLION
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import Answer, Delay, Filter, Verdict
from mesh_proxy.protocol.http1 import Head, is_grpc
from mesh_proxy.routing.table import CompiledRoute


class Fault(Filter):
    """Acts where the route carries a policy."""

    def __init__(self, _config: object = None, _stats: object = None) -> None:
        """All that it does is said by routes."""

    def concerns(self, route: CompiledRoute | None) -> bool:
        """Where there is a policy."""
        return route is not None and route.config.fault is not None

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """A delay, an abort, or a delay and then an abort."""
        if route is None:
            return None
        policy = route.config.fault
        if policy is None:
            return None
        abort = _abort(policy, head) if _happens(policy.abort_fraction, random) else None
        if policy.delay is not None and _happens(policy.delay_fraction, random):
            return Delay(policy.delay, "DI", abort)
        return abort


def _happens(fraction: int, random: Callable[[], float]) -> bool:
    return fraction > 0 and random() * MILLION < fraction


def _abort(policy: FaultPolicy, head: Head) -> Answer | None:
    if policy.abort_http_status is not None:
        return Answer(LocalReply(policy.abort_http_status, "FI", "fault_filter_abort", b"fault filter abort"))
    if policy.abort_grpc_status is None:
        return None
    reply = LocalReply(200, "FI", "fault_filter_abort", b"fault filter abort")
    if not is_grpc(head):
        return Answer(reply)
    status = (b"grpc-status", b"%d" % policy.abort_grpc_status)
    return Answer(
        reply._replace(body=b""),
        (status, (b"grpc-message", b"fault filter abort"), (b"content-type", b"application/grpc")),
    )

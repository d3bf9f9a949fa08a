"""The fields of heads that go on, as the route wants them."""

from typing import Final

from mesh_proxy.balancing.host import Host
from mesh_proxy.protocol.http1 import ATTEMPTS, Field, Head, field_of, is_grpc, written_grpc_timeout
from mesh_proxy.routing.table import CompiledRoute, Destination
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker import heads

_ATTEMPTS: Final = 1 << ATTEMPTS
_OWN: Final = (b"x-envoy-original-host",)
_TIME: Final = b"x-envoy-upstream-service-time"


def request(
    head: Head,
    route: CompiledRoute | None,
    destination: Destination | None,
    chosen: Host | None,
    record: Record,
    attempts: int,
    upgrade: bool,
    told: Field | None = None,
    grpc_timeout: float = 0.0,
) -> tuple[bytes, list[Field]]:
    """Host and fields of a request that is sent to ``chosen`` (``None``: to a mirror), for the time number ``attempts``.

    ``told`` is how the host is told how long it has, ``grpc_timeout`` the same in seconds for a call of gRPC (0: what it says
    by itself holds).
    """
    fields = heads.forwarded_request(head, upgrade)
    if record.original_path:
        fields.append(field_of(b"x-envoy-original-path", record.original_path))
    if route is None or destination is None:
        return head.host, fields
    if told is not None:
        fields.append(told)
    if grpc_timeout and is_grpc(head):
        fields = [field for field in fields if field.name != b"grpc-timeout"]
        fields.append(field_of(b"grpc-timeout", written_grpc_timeout(grpc_timeout)))
    if route.attempt_count:
        if head.seen & _ATTEMPTS:
            fields = [field for field in fields if field.kind != ATTEMPTS]
        fields.append(heads.attempt_count(attempts))
    for edit in destination.request_edits:
        fields = edit.apply(fields, record)
    host = _host(route, destination, chosen)
    if not host:
        return head.host, fields
    if not destination.own_host:
        fields.append(field_of(b"x-envoy-original-host", head.host))
        if route.action is not None and route.action.append_x_forwarded_host:
            before = head.get(b"x-forwarded-host")
            if before is not None:
                fields = [field for field in fields if field.name != b"x-forwarded-host"]
            fields.append(field_of(b"x-forwarded-host", before + b"," + head.host if before else head.host))
    return host, fields


def authority(head: Head, route: CompiledRoute, destination: Destination) -> bytes:
    """The request's authority as the route wants it, before a host is chosen, whose name does not count yet."""
    return _host(route, destination, None) or head.host


def _host(route: CompiledRoute, destination: Destination, chosen: Host | None) -> bytes:
    """The host that the route asks for; empty: the client's."""
    if destination.host_rewrite or not route.names_host:
        return destination.host_rewrite
    return chosen.endpoint.hostname.encode() if chosen is not None and chosen.endpoint is not None else b""


def without_own(made: tuple[bytes, list[Field]]) -> tuple[bytes, list[Field]]:
    """Host and fields without those by which Envoy tells hosts of what it did (``suppress_envoy_headers``)."""
    host, fields = made
    return host, [field for field in fields if field.name not in _OWN]


def times_of_others(head: Head) -> list[Field]:
    """What an answer says itself of how long it took, where the proxy does not."""
    return [field for field in head.fields if field.name == _TIME]


def answer(
    head: Head, destination: Destination | None, record: Record, milliseconds: int | None, tunnel: bool
) -> list[Field]:
    """Fields of a host's answer; ``milliseconds``: how long it took, where that is known."""
    fields = heads.forwarded_response(head, tunnel)
    if destination is None:
        return fields
    if milliseconds is not None:
        fields.append(heads.service_time(milliseconds))
    for edit in destination.response_edits:
        fields = edit.apply(fields, record)
    return fields

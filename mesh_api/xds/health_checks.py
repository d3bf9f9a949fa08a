"""Active health checks (``core.v3.HealthCheck``)."""

from typing import Any, Final

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2
from envoy.type.v3 import http_pb2, range_pb2

from mesh_api.config.health_checks import GrpcCheck, HealthCheck, HostCheck, HttpCheck, TcpCheck
from mesh_api.config.sockets import SocketAddress
from mesh_api.xds.addresses import decode_address, encode_address
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_edits import decode_headers, encode_headers
from mesh_api.xds.values import boolean, duration, uint32

_MESSAGE = health_check_pb2.HealthCheck
_TIMES: Final = (
    "no_traffic_interval",
    "no_traffic_healthy_interval",
    "unhealthy_interval",
    "unhealthy_edge_interval",
    "healthy_edge_interval",
)
_JITTERS: Final = ("initial_jitter", "interval_jitter")
_DEFAULT_STATUSES: Final = ((200, 201),)


def encode_health_check(check: HealthCheck) -> Any:
    """``HealthCheck``."""
    message = _MESSAGE(
        timeout=duration(check.timeout),
        interval=duration(check.interval),
        unhealthy_threshold=uint32(check.unhealthy_threshold),
        healthy_threshold=uint32(check.healthy_threshold),
        interval_jitter_percent=check.interval_jitter_percent,
        alt_port=uint32(check.alt_port),
        reuse_connection=boolean(check.reuse_connection, unless=True),
        event_log_path=check.event_log_path,
        always_log_health_check_failures=check.always_log_failures,
        always_log_health_check_success=check.always_log_success,
        **{name: duration(getattr(check, name)) for name in _TIMES},
        **{name: duration(getattr(check, name) or None) for name in _JITTERS},
    )
    if isinstance(check.check, HttpCheck):
        message.http_health_check.CopyFrom(_encode_http(check.check))
    elif isinstance(check.check, TcpCheck):
        message.tcp_health_check.SetInParent()
        if check.check.send:
            message.tcp_health_check.send.CopyFrom(_encode_payload(check.check.send))
        message.tcp_health_check.receive.extend(_encode_payload(part) for part in check.check.receive)
    else:
        grpc = message.grpc_health_check
        grpc.SetInParent()
        grpc.service_name, grpc.authority = check.check.service_name, check.check.authority
        grpc.initial_metadata.extend(encode_headers(check.check.initial_metadata))
    return message


def _encode_http(check: HttpCheck) -> Any:
    return _MESSAGE.HttpHealthCheck(
        host=check.host,
        path=check.path,
        method=base_pb2.RequestMethod.Value(check.method),
        request_headers_to_add=encode_headers(check.headers_to_add),
        request_headers_to_remove=check.headers_to_remove,
        expected_statuses=[] if check.expected == _DEFAULT_STATUSES else _encode_ranges(check.expected),
        retriable_statuses=_encode_ranges(check.retriable),
        receive=[_encode_payload(part) for part in check.receive],
        codec_client_type=http_pb2.CodecClientType.Value("HTTP2" if check.http2 else "HTTP1"),
    )


def _encode_ranges(ranges: tuple[tuple[int, int], ...]) -> list[Any]:
    return [range_pb2.Int64Range(start=start, end=end) for start, end in ranges]


def _encode_payload(part: bytes) -> Any:
    return _MESSAGE.Payload(text=part.hex())


def decode_health_check(fields: Fields) -> HealthCheck:
    """From ``HealthCheck``."""
    with fields as f:
        timeout, interval = f.duration("timeout"), f.duration("interval")
        if not timeout or not interval:
            raise f.error("", "timeout and interval must be more than 0")
        return HealthCheck(
            check=_decode_checker(f),
            timeout=timeout,
            interval=interval,
            unhealthy_threshold=f.wrapped_number("unhealthy_threshold", 1),
            healthy_threshold=f.wrapped_number("healthy_threshold", 1),
            interval_jitter_percent=f.number("interval_jitter_percent"),
            alt_port=f.wrapped("alt_port"),
            reuse_connection=f.wrapped_flag("reuse_connection", default=True),
            event_log_path=f.text("event_log_path"),
            always_log_failures=f.flag("always_log_health_check_failures"),
            always_log_success=f.flag("always_log_health_check_success"),
            **_decode_times(f),
        )


def _decode_times(fields: Fields) -> dict[str, Any]:
    jitters = {name: fields.duration(name) or 0.0 for name in _JITTERS}
    return {name: fields.duration(name) for name in _TIMES} | jitters


def _decode_checker(fields: Fields) -> HttpCheck | TcpCheck | GrpcCheck:
    kind = fields.oneof("health_checker")
    if kind == "http_health_check":
        return _decode_http(fields.child(kind))
    if kind == "tcp_health_check":
        with fields.child(kind) as tcp:
            send = tcp.optional("send")
            return TcpCheck(
                b"" if send is None else _decode_payload(send),
                tuple(_decode_payload(part) for part in tcp.children("receive")),
            )
    if kind == "grpc_health_check":
        with fields.child(kind) as grpc:
            return GrpcCheck(
                grpc.text("service_name"), grpc.text("authority"), decode_headers(grpc.children("initial_metadata"))
            )
    raise fields.error("", f"{kind or 'a missing health_checker'} is not supported")


def _decode_http(fields: Fields) -> HttpCheck:
    with fields as f:
        method = f.enum("method")
        return HttpCheck(
            path=f.text("path"),
            host=f.text("host"),
            method="GET" if method == "METHOD_UNSPECIFIED" else method,
            headers_to_add=decode_headers(f.children("request_headers_to_add")),
            headers_to_remove=f.texts("request_headers_to_remove"),
            expected=_decode_ranges(f, "expected_statuses") or _DEFAULT_STATUSES,
            retriable=_decode_ranges(f, "retriable_statuses"),
            receive=tuple(_decode_payload(part) for part in f.children("receive")),
            http2=f.enum("codec_client_type", "HTTP1", "HTTP2") == "HTTP2",
        )


def _decode_ranges(fields: Fields, field: str) -> tuple[tuple[int, int], ...]:
    found = []
    for one in fields.children(field):
        with one as f:
            found.append((f.number("start"), f.number("end")))
    return tuple(found)


def _decode_payload(fields: Fields) -> bytes:
    """Text is hexadecimal."""
    with fields as f:
        if f.oneof("payload") == "binary":
            return bytes(f.take("binary"))
        try:
            return bytes.fromhex(f.text("text"))
        except ValueError:
            raise f.error("text", "is not hexadecimal") from None


def encode_host_check(check: HostCheck | None) -> Any:
    """``Endpoint.HealthCheckConfig``; ``None`` for ``None``."""
    if check is None:
        return None
    return endpoint_components_pb2.Endpoint.HealthCheckConfig(
        port_value=check.port,
        hostname=check.hostname,
        disable_active_health_check=check.disabled,
        address=encode_address(SocketAddress(check.address, 0)) if check.address else None,
    )


def decode_host_check(fields: Fields | None) -> HostCheck | None:
    """From ``Endpoint.HealthCheckConfig``. A port that stands in the address is what Envoy refuses beside the other."""
    if fields is None:
        return None
    with fields as f:
        port, address = f.number("port_value"), ""
        if (given := f.optional("address")) is not None:
            found = decode_address(given)
            if not isinstance(found, SocketAddress):
                raise f.error("address", "a pipe is not supported")
            address, port = found.address, port or found.port
        return HostCheck(port, address, f.text("hostname"), f.flag("disable_active_health_check"))

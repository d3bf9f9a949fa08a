"""Access logs (Envoy ``accesslog.v3.AccessLog``): into a file, to a service by gRPC, or by OpenTelemetry's protocol.

All of them have conditions, of which each that is set must hold: ``response_flags``, not empty, asks for one of these flags
(Istio's listener log asks for ``NR``), ``expression`` is one of CEL over Envoy's attributes, ``filter`` is any other.
"""

from dataclasses import dataclass

from mesh_api.config.access_log_filters import LogFilter


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Lines appended to ``path`` (``/dev/stdout`` and ``/dev/stderr`` for the process's own output).

    At most one of ``text_format`` (with Envoy's command operators and its own line end), ``json_format`` (pairs of key
    and format) and ``json_object`` (the same as the text of a JSON object, compact and sorted, where not all values are
    strings) is set. ``omit_empty_values``: what has no value is left out rather than ``-``. ``formatters`` are extensions
    with operators of their own, by name: ``envoy.formatter.req_without_query``.
    """

    path: str
    text_format: str = ""
    json_format: tuple[tuple[str, str], ...] = ()
    response_flags: tuple[str, ...] = ()
    json_object: str = ""
    omit_empty_values: bool = False
    formatters: tuple[str, ...] = ()
    expression: str = ""
    filter: LogFilter | None = None


@dataclass(frozen=True, slots=True)
class GrpcAccessLog:
    """Entries to a service of Envoy's protocol (``access_loggers.grpc.v3``): about requests, or with ``tcp`` about
    connections.

    ``cluster`` and ``authority`` are how the service is reached. ``filter_state_objects`` and further headers and
    trailers, by name, go along with each entry; only requests have the latter.
    """

    log_name: str
    cluster: str
    authority: str = ""
    tcp: bool = False
    filter_state_objects: tuple[str, ...] = ()
    request_headers: tuple[str, ...] = ()
    response_headers: tuple[str, ...] = ()
    response_trailers: tuple[str, ...] = ()
    response_flags: tuple[str, ...] = ()
    expression: str = ""
    filter: LogFilter | None = None


@dataclass(frozen=True, slots=True)
class OpenTelemetryAccessLog:
    """Entries to a service of OpenTelemetry's protocol (``access_loggers.open_telemetry.v3``).

    ``body`` and the values of ``attributes``, pairs sorted by key, are formats as in a file's text.
    """

    log_name: str
    cluster: str
    authority: str = ""
    body: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    builtin_labels: bool = False
    filter_state_objects: tuple[str, ...] = ()
    formatters: tuple[str, ...] = ()
    response_flags: tuple[str, ...] = ()
    expression: str = ""
    filter: LogFilter | None = None


AnyAccessLog = AccessLog | GrpcAccessLog | OpenTelemetryAccessLog
"""Any access log."""

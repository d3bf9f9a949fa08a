"""Access logs: the mesh's own, or those that a Telemetry and the default providers ask for (Istio)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mesh_api.config import AccessLog, AnyAccessLog, GrpcAccessLog, OpenTelemetryAccessLog
from mesh_control.compiler import defaults, extension_providers, telemetry
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.telemetry import Side
from mesh_control.world import World
from mesh_policy import json_text
from mesh_policy.mesh_config import ExtensionProvider, MeshConfig
from mesh_policy.mesh_config.log_providers import (
    FileLogProvider,
    HttpLogProvider,
    OpenTelemetryLogProvider,
    TcpLogProvider,
)
from mesh_policy.telemetry.telemetry import AccessLogging

BUILT_IN: Final = "envoy"
"""The provider whose lines are as the mesh says, where it does not say itself."""
BOOTSTRAP_SERVICE: Final = "envoy_accesslog_service"
"""Cluster of a proxy's bootstrap: the service of the older setting."""
HTTP_NAME, TCP_NAME, LISTENER_NAME = "http_envoy_accesslog", "tcp_envoy_accesslog", "listener_envoy_accesslog"
OPEN_TELEMETRY_NAME: Final = "otel_envoy_accesslog"
PEERS: Final = ("upstream_peer", "downstream_peer")
OLD_PEERS: Final = (
    *PEERS,
    "wasm.upstream_peer",
    "wasm.upstream_peer_id",
    "wasm.downstream_peer",
    "wasm.downstream_peer_id",
)
_WITHOUT_QUERY: Final = ("%REQ_WITHOUT_QUERY", "envoy.formatter.req_without_query")
"""An operator, and the extension that it needs."""


@dataclass(frozen=True, slots=True)
class AccessLogs:
    """The logs of requests, of connections, and of connections that no filter chain takes."""

    http: tuple[AnyAccessLog, ...] = ()
    tcp: tuple[AnyAccessLog, ...] = ()
    listener: tuple[AnyAccessLog, ...] = ()


def access_logs(scope: Scope, side: Side) -> AccessLogs:
    """The logs of one side of a proxy; one of ours sends none to services of Envoy's own protocol."""
    found = _found(scope, side)
    if scope.world.mesh.disable_envoy_listener_log:
        found = replace(found, listener=())
    if not scope.proxy.own:
        return found
    return AccessLogs(_known(found.http), _known(found.tcp), _known(found.listener))


def _known(logs: Iterable[AnyAccessLog]) -> tuple[AnyAccessLog, ...]:
    return tuple(log for log in logs if not isinstance(log, GrpcAccessLog))


def _found(scope: Scope, side: Side) -> AccessLogs:
    levels = [policy.spec.access_logging for policy in telemetry.policies_of(scope) if policy.spec.access_logging]
    mesh = scope.world.mesh
    if not levels and not mesh.default_providers.access_logging:
        return _of_mesh(mesh)
    made: list[tuple[str, AnyAccessLog, bool]] = []
    for name, choice in _chosen(levels, mesh.default_providers.access_logging, side).items():
        known = extension_providers.provider(scope.world, name)
        log = None if known is None else _of_provider(scope.world, known)
        if known is not None and log is not None:
            made.append((known.name, replace(log, expression=choice.expression), choice.disabled))
    if not made:
        return _of_mesh(mesh)  # Istio: where no provider can be used, the mesh's own settings hold
    logs = tuple(log for _, log, disabled in sorted(made, key=lambda item: item[0]) if not disabled)
    return AccessLogs(logs, logs, tuple(replace(log, response_flags=defaults.NO_CHAIN) for log in logs))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What becomes of a provider: nothing, or entries about what the expression chooses (empty: all)."""

    expression: str = ""
    disabled: bool = False


Level = tuple[AccessLogging, ...]


def _chosen(levels: list[Level], default: tuple[str, ...], side: Side) -> Mapping[str, _Choice]:
    """Providers by name (Istio's ``mergeLogs``): the last level that names some says which, and each entry how."""
    if not levels:
        return {name: _Choice() for name in default}
    names, filters = list(default), dict[str, _Choice]()
    for level in levels:
        mine = [entry for entry in level if telemetry.concerns(entry.match, side)]
        for entry in mine:
            expression = entry.filter.expression if entry.filter is not None else ""
            filters |= dict.fromkeys(_providers(entry), _Choice(expression))
        names = [name for entry in mine for name in _providers(entry)] or names
    found: dict[str, _Choice] = {}
    inherited: tuple[str, ...] = default
    for entry in (entry for level in levels for entry in level):
        inherited = _providers(entry) or inherited
        if telemetry.concerns(entry.match, side):
            for name in (name for name in inherited if name in names):
                found[name] = _Choice(disabled=True) if entry.disabled else filters.get(name, _Choice())
    return found


def _providers(entry: AccessLogging) -> tuple[str, ...]:
    return tuple(provider.name for provider in entry.providers or ())


# The mesh's own.


def _of_mesh(mesh: MeshConfig) -> AccessLogs:
    file = (_mesh_file(mesh.access_log_file, mesh),) if mesh.access_log_file else ()
    sent = [
        (GrpcAccessLog(name, BOOTSTRAP_SERVICE, tcp=name != HTTP_NAME, filter_state_objects=OLD_PEERS),)
        if mesh.enable_envoy_access_log_service
        else ()
        for name in (HTTP_NAME, TCP_NAME, LISTENER_NAME)
    ]
    listener = tuple(replace(log, response_flags=defaults.NO_CHAIN) for log in (*file, *sent[2]))
    return AccessLogs((*file, *sent[0]), (*file, *sent[1]), listener)


def _mesh_file(path: str, mesh: MeshConfig) -> AccessLog:
    if mesh.access_log_encoding == "TEXT":
        return _text(path, mesh.access_log_format)
    return _json(path, _object(mesh.access_log_format))


def _object(text: str) -> Mapping[str, Any]:
    """The form of an entry as JSON; one that cannot be read is as good as none (Istio)."""
    try:
        value = json_text.parse(text) if text else None
    except ValueError:
        value = None
    return value if isinstance(value, dict) else defaults.ACCESS_LOG_JSON


def _text(path: str, form: str) -> AccessLog:
    ended = form if not form or form.endswith("\n") else f"{form}\n"
    return AccessLog(path, ended or defaults.ACCESS_LOG_FORMAT, formatters=_formatters((ended,)))


def _json(path: str, form: Mapping[str, Any]) -> AccessLog:
    formatters = _formatters(form.values())
    if all(isinstance(value, str) for value in form.values()):
        return AccessLog(path, json_format=tuple((key, form[key]) for key in sorted(form)), formatters=formatters)
    text = json.dumps(form, separators=(",", ":"), sort_keys=True)
    return AccessLog(path, json_object=text, formatters=formatters)


def _formatters(texts: Iterable[object]) -> tuple[str, ...]:
    operator, extension = _WITHOUT_QUERY
    return (extension,) if any(isinstance(text, str) and operator in text for text in texts) else ()


# Those of providers.


def _of_provider(world: World, known: ExtensionProvider) -> AnyAccessLog | None:
    """``None``: it is none that entries can be sent to, or its service is not there."""
    settings = known.settings
    if isinstance(settings, FileLogProvider):
        plain = settings.log_format is None and not settings.omit_empty_values
        if known.name == BUILT_IN and plain:
            return _mesh_file(settings.path, world.mesh)
        return _file(settings)
    if not isinstance(settings, TcpLogProvider | HttpLogProvider | OpenTelemetryLogProvider):
        return None
    at = extension_providers.reached(world, settings.service, settings.port)
    if at is None:
        return None
    if isinstance(settings, OpenTelemetryLogProvider):
        return _open_telemetry(settings, at)
    tcp = isinstance(settings, TcpLogProvider)
    log = GrpcAccessLog(
        settings.log_name or (TCP_NAME if tcp else HTTP_NAME),
        at.cluster,
        at.hostname,
        tcp,
        settings.filter_state_objects_to_log or PEERS,
    )
    if isinstance(settings, TcpLogProvider):
        return log
    return replace(
        log,
        request_headers=settings.additional_request_headers_to_log,
        response_headers=settings.additional_response_headers_to_log,
        response_trailers=settings.additional_response_trailers_to_log,
    )


def _file(settings: FileLogProvider) -> AccessLog:
    path, form = settings.path or defaults.STANDARD_OUTPUT, settings.log_format
    if form is None or form.text is not None:
        log = _text(path, "" if form is None or form.text is None else form.text)
    elif form.labels is not None:
        log = _json(path, form.labels or defaults.ACCESS_LOG_JSON)
    else:
        return AccessLog(path)
    return replace(log, omit_empty_values=settings.omit_empty_values)


def _open_telemetry(settings: OpenTelemetryLogProvider, at: extension_providers.Reached) -> OpenTelemetryAccessLog:
    form = settings.log_format
    body = (form.text if form is not None else "") or defaults.ACCESS_LOG_FORMAT
    labels = (form.labels if form is not None else None) or {}
    return OpenTelemetryAccessLog(
        settings.log_name or OPEN_TELEMETRY_NAME,
        at.cluster,
        at.hostname,
        body,
        tuple(_attributes(labels)),
        filter_state_objects=OLD_PEERS,
        formatters=_formatters((body, *labels.values())),
    )


def _attributes(labels: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of a value that is no string nothing is left (Istio)."""
    for key in sorted(labels):
        yield key, labels[key] if isinstance(labels[key], str) else ""

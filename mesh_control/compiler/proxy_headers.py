"""Headers that proxies add by themselves, as the settings of a proxy say (Istio, ``networking/util/proxy_headers.go``)."""

from dataclasses import dataclass

from mesh_control.compiler import defaults
from mesh_control.compiler.scope import Scope
from mesh_control.compiler.telemetry import Side
from mesh_policy.mesh_config import ProxyConfig
from mesh_policy.mesh_config.proxy_headers import ClientCertDetails

CLIENT_CERT = ("subject", "dns", "uri")
GATEWAY_CLIENT_CERT = ("subject", "cert", "dns", "uri")
_TELLS = ("APPEND_FORWARD", "SANITIZE_SET")
"""What of ``x-forwarded-client-cert`` has something of the certificate in it."""


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    """What is added. ``forward_client_cert`` and ``client_cert_details`` are ``None`` where listeners of the side write
    none."""

    server_name: str = defaults.SERVER_NAME
    keeps_server: bool = False
    request_id: bool = True
    attempt_count: bool = True
    debug: bool = True
    forwarded_host: bool = False
    forwarded_port: bool = False
    preserve_case: bool = False
    forward_client_cert: str | None = None
    client_cert_details: tuple[str, ...] | None = None


def proxy_config(scope: Scope) -> ProxyConfig:
    """The settings that a proxy is run with: its own as a whole, else the mesh's (Istio)."""
    return scope.proxy.settings if scope.proxy.settings is not None else scope.world.mesh.default_config


def proxy_headers(settings: ProxyConfig, side: Side) -> ProxyHeaders:
    """The headers of one side of a proxy."""
    server = "envoy" if side is Side.OUTBOUND else defaults.SERVER_NAME
    found = settings.proxy_headers
    keeps = False
    if found is not None and found.server is not None:
        keeps = bool(found.server.disabled)
        server = "envoy" if keeps else found.server.value or server
    forward, details = _client_cert(settings, side)
    return ProxyHeaders(
        server,
        keeps,
        request_id=not (found and found.request_id and found.request_id.disabled),
        attempt_count=not (found and found.attempt_count and found.attempt_count.disabled),
        debug=not (found and found.envoy_debug_headers and found.envoy_debug_headers.disabled),
        forwarded_host=bool(found and found.x_forwarded_host and found.x_forwarded_host.enabled),
        forwarded_port=bool(found and found.x_forwarded_port and found.x_forwarded_port.enabled),
        preserve_case=bool(found and found.preserve_http1_header_case),
        forward_client_cert=forward,
        client_cert_details=details,
    )


def _client_cert(settings: ProxyConfig, side: Side) -> tuple[str | None, tuple[str, ...] | None]:
    if side is Side.OUTBOUND:
        return None, None
    if side is Side.GATEWAY:
        topology = settings.gateway_topology
        asked = topology.forward_client_cert_details if topology is not None else "UNDEFINED"
        forward = "SANITIZE_SET" if asked == "UNDEFINED" else asked
        return forward, GATEWAY_CLIENT_CERT if forward in _TELLS else ()
    found = settings.proxy_headers
    asked = found.forwarded_client_cert if found is not None else "UNDEFINED"
    wanted = found.set_current_client_cert_details if found is not None else None
    return "APPEND_FORWARD" if asked == "UNDEFINED" else asked, _details(wanted)


def _details(wanted: ClientCertDetails | None) -> tuple[str, ...]:
    if wanted is None:
        return CLIENT_CERT
    said = {name: getattr(wanted, name) for name in ("subject", "cert", "chain", "dns", "uri")}
    return tuple(name for name, value in said.items() if (name in CLIENT_CERT if value is None else value))


def keeps_header_case(scope: Scope) -> bool:
    """Whether names of headers keep their case on the way to hosts of HTTP/1."""
    headers = proxy_config(scope).proxy_headers
    return not scope.proxy.own and headers is not None and bool(headers.preserve_http1_header_case)

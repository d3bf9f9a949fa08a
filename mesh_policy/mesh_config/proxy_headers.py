"""Headers that proxies add by themselves, and how each is switched off."""

from typing import Literal

from mesh_policy.base import Flag
from mesh_policy.mesh_config.values import Settings

ForwardClientCert = Literal[
    "UNDEFINED", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"
]
"""What becomes of ``x-forwarded-client-cert``: removed (SANITIZE), kept over mTLS (FORWARD_ONLY), the client's certificate
added to it (APPEND_FORWARD) or put in its place (SANITIZE_SET), kept in any case (ALWAYS_FORWARD_ONLY)."""


class ServerHeader(Settings):
    """The header ``server`` of responses."""

    disabled: Flag | None = None
    """Whether it is left as the application sets it; default false."""
    value: str = ""
    """What it says; default ``istio-envoy``."""


class RequestIdHeader(Settings):
    """The header ``x-request-id``."""

    disabled: Flag | None = None
    """Whether none is made for requests without; default false. Traces and logs need it."""


class AttemptCountHeader(Settings):
    """The header ``x-envoy-attempt-count``."""

    disabled: Flag | None = None
    """Whether it is not added to requests that may be retried; default false."""


class EnvoyDebugHeaders(Settings):
    """The headers ``x-envoy-*`` with times and reasons."""

    disabled: Flag | None = None
    """Whether none are added; default false."""


class ForwardedHostHeader(Settings):
    """The header ``x-forwarded-host``."""

    enabled: Flag | None = None
    """Whether the original host is added when it is rewritten; default false."""


class ForwardedPortHeader(Settings):
    """The header ``x-forwarded-port``."""

    enabled: Flag | None = None
    """Whether the port that the client used is added; default false."""


class MetadataExchangeHeaders(Settings):
    """The headers ``x-envoy-peer-metadata`` and ``x-envoy-peer-metadata-id``."""

    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"
    """IN_MESH adds them only to requests that go to the mesh by mTLS; UNDEFINED to all."""


class ClientCertDetails(Settings):
    """Which parts of a client's certificate stand in ``x-forwarded-client-cert``, with APPEND_FORWARD and SANITIZE_SET."""

    subject: Flag | None = None
    """Its subject; default true."""
    cert: Flag | None = None
    """The whole certificate; default false."""
    chain: Flag | None = None
    """The whole chain; default false."""
    dns: Flag | None = None
    """Its DNS names; default true."""
    uri: Flag | None = None
    """Its URIs; default true."""


class ProxyHeaders(Settings):
    """Headers that proxies add to requests and responses; ``{}`` for one keeps its default."""

    forwarded_client_cert: ForwardClientCert = "UNDEFINED"
    """``x-forwarded-client-cert`` of requests to a sidecar; UNDEFINED means APPEND_FORWARD. For gateways see
    ``gateway_topology``."""
    set_current_client_cert_details: ClientCertDetails | None = None
    """What of the client's certificate is in it."""
    request_id: RequestIdHeader | None = None
    """``x-request-id``."""
    server: ServerHeader | None = None
    """``server``."""
    attempt_count: AttemptCountHeader | None = None
    """``x-envoy-attempt-count``."""
    envoy_debug_headers: EnvoyDebugHeaders | None = None
    """``x-envoy-*``."""
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    """``x-envoy-peer-metadata``."""
    preserve_http1_header_case: Flag | None = None
    """Whether names of headers keep their case over HTTP/1; default false: they become lower case."""
    x_forwarded_host: ForwardedHostHeader | None = None
    """``x-forwarded-host``."""
    x_forwarded_port: ForwardedPortHeader | None = None
    """``x-forwarded-port``."""

    def over(self, below: "ProxyHeaders") -> "ProxyHeaders":
        """These over others: Istio keeps five of theirs where these do not say, and forgets the rest."""
        kept = ("forwarded_client_cert", "request_id", "attempt_count", "server", "envoy_debug_headers")
        unset = (None, "UNDEFINED")
        taken = {
            name: getattr(below, name)
            for name in kept
            if getattr(self, name) in unset and getattr(below, name) not in unset
        }
        return self.model_copy(update=taken)

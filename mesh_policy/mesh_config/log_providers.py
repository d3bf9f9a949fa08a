"""Providers that access logs go to (``accessLogging`` of a Telemetry)."""

from typing import ClassVar

from mesh_policy.base import Flag
from mesh_policy.mesh_config.tracing_providers import AddressedProvider
from mesh_policy.mesh_config.values import Settings, Structure


class FileLogFormat(Settings):
    """Form of an entry: a line of text, or JSON."""

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("text", "labels"),)

    text: str | None = None
    """A line with Envoy's variables (``%RESPONSE_CODE%``); a line break is added where there is none."""
    labels: Structure | None = None
    """Fields of a JSON object, with Envoy's variables in their values; ``{}`` for Envoy's own."""


class FileLogProvider(Settings):
    """Entries in a file of the proxy."""

    path: str = ""
    """The file; default ``/dev/stdout``."""
    log_format: FileLogFormat | None = None
    """Form of an entry; unset: Envoy's line of text."""
    omit_empty_values: Flag = False
    """Whether a variable without a value is left out (JSON) or empty (text) rather than ``-``."""


class TcpLogProvider(AddressedProvider):
    """Entries about connections to a service by gRPC (``envoy.service.accesslog.v3``)."""

    log_name: str = ""
    """Name of the log; default ``tcp_envoy_accesslog``, or ``listener_envoy_accesslog``."""
    filter_state_objects_to_log: tuple[str, ...] = ()
    """Objects of Envoy's filter state that are sent with an entry."""


class HttpLogProvider(AddressedProvider):
    """Entries about requests to a service by gRPC (``envoy.service.accesslog.v3``)."""

    log_name: str = ""
    """Name of the log; default ``http_envoy_accesslog``, or ``listener_envoy_accesslog``."""
    filter_state_objects_to_log: tuple[str, ...] = ()
    """Objects of Envoy's filter state that are sent with an entry."""
    additional_request_headers_to_log: tuple[str, ...] = ()
    """Further headers of the request that are sent with an entry."""
    additional_response_headers_to_log: tuple[str, ...] = ()
    """Further headers of the response that are sent with an entry."""
    additional_response_trailers_to_log: tuple[str, ...] = ()
    """Trailers of the response that are sent with an entry."""


class OpenTelemetryLogFormat(Settings):
    """What an entry of OpenTelemetry's log holds; both can be set."""

    text: str = ""
    """Its body, with Envoy's variables; empty for Envoy's line."""
    labels: Structure | None = None
    """Its attributes, with Envoy's variables in their values."""


class OpenTelemetryLogProvider(AddressedProvider):
    """Entries to a service by OpenTelemetry's protocol (OTLP)."""

    log_name: str = ""
    """Name of the log; default ``otel_envoy_accesslog``."""
    log_format: OpenTelemetryLogFormat | None = None
    """What an entry holds."""

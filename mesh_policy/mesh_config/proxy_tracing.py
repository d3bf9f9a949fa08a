"""Tracing of a proxy, in its older form: ``tracing`` of a ProxyConfig. A Telemetry with a provider takes its place."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from mesh_policy.base import Flag
from mesh_policy.mesh_config.tracing_providers import TraceContext
from mesh_policy.mesh_config.values import (
    Collector,
    Long,
    Percentage,
    ProxyAddress,
    Settings,
    Text,
    Unsigned,
)
from mesh_policy.networking.client_tls import CONFIG_MAP, ClientTls


def _without_namespace(value: ClientTls) -> ClientTls:
    if (value.credential_name or "").startswith(CONFIG_MAP):
        raise ValueError(
            f"credentialName {value.credential_name!r}: settings of a mesh stand in no namespace; write files"
        )
    return value


class ZipkinTracing(Settings):
    """Spans by Zipkin's API."""

    address: Collector
    """``HOST:PORT`` of the collector; ``$(HOST_IP)`` stands for the node's address."""


class LightstepTracing(Settings):
    """Spans to Lightstep. Deprecated."""

    address: ProxyAddress
    """``HOST:PORT`` of Lightstep's satellites."""
    access_token: Text
    """Token that Lightstep gave out."""


class DatadogTracing(Settings):
    """Spans to an agent of Datadog."""

    address: Collector
    """``HOST:PORT`` of the agent; ``$(HOST_IP)`` stands for the node's address."""


class StackdriverTracing(Settings):
    """Spans to Stackdriver. Deprecated."""

    debug: Flag = False
    """Whether spans are written to standard output too."""
    max_number_of_attributes: Long | None = None
    """Most attributes of a span; default 200."""
    max_number_of_annotations: Long | None = None
    """Most annotations of a span; default 200."""
    max_number_of_message_events: Long | None = None
    """Most message events of a span; default 200."""


class OpenCensusTracing(Settings):
    """Spans to an agent of OpenCensus. Deprecated."""

    address: str = ""
    """Address of the agent as gRPC names it: ``dns://AUTHORITY/HOST:PORT``, ``unix:PATH``."""
    context: tuple[TraceContext, ...] = ()
    """Headers that are read and written; default W3C_TRACE_CONTEXT."""


class LiteralSpanTag(Settings):
    """The same value for every span."""

    value: str = ""
    """The value."""


class EnvironmentSpanTag(Settings):
    """A variable of the proxy's environment."""

    name: Text
    """Name of the variable."""
    default_value: str = ""
    """What is written when it is not set; empty: no tag."""


class HeaderSpanTag(Settings):
    """A header of the request."""

    name: Text
    """Name of the header."""
    default_value: str = ""
    """What is written when the request does not have it; empty: no tag."""


class SpanTag(Settings):
    """A tag of every span; one of the ways, or none for a tag that is not written."""

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (("literal", "environment", "header"),)

    literal: LiteralSpanTag | None = None
    """A fixed value."""
    environment: EnvironmentSpanTag | None = None
    """A variable of the environment."""
    header: HeaderSpanTag | None = None
    """A header of the request."""


class ProxyTracing(Settings):
    """Where a proxy's spans go, and how many there are."""

    CHOICES: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("zipkin", "lightstep", "datadog", "stackdriver", "open_census_agent"),
    )

    zipkin: ZipkinTracing | None = None
    """Spans by Zipkin's API."""
    lightstep: LightstepTracing | None = None
    """Spans to Lightstep. Deprecated."""
    datadog: DatadogTracing | None = None
    """Spans to Datadog."""
    stackdriver: StackdriverTracing | None = None
    """Spans to Stackdriver. Deprecated."""
    open_census_agent: OpenCensusTracing | None = None
    """Spans to OpenCensus. Deprecated."""
    custom_tags: dict[str, SpanTag] | None = None
    """Further tags of every span, by their name."""
    max_path_tag_length: Unsigned = 0
    """Most characters of the tag with the path; 0 means 256."""
    sampling: Percentage = 0.0
    """Share of the requests that are traced where nobody decided before, in percent; 0 or unset means 1."""
    tls_settings: Annotated[ClientTls, AfterValidator(_without_namespace)] | None = None
    """TLS towards the collector; unset: none."""
    enable_istio_tags: Flag | None = None
    """Whether spans have Istio's own tags; default true."""

"""Telemetry: which metrics, traces and access logs proxies make (Istio, ``telemetry.istio.io/v1``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mesh_policy.base import Flag, Model, Number, Policy
from mesh_policy.durations import PositiveDuration
from mesh_policy.selectors import Attached
from mesh_policy.telemetry.cel import check_expression

Expression = Annotated[str, AfterValidator(check_expression)]
Text = Annotated[str, StringConstraints(min_length=1)]
Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
Metric = Literal[
    "ALL_METRICS", "REQUEST_COUNT", "REQUEST_DURATION", "REQUEST_SIZE", "RESPONSE_SIZE", "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS", "TCP_SENT_BYTES", "TCP_RECEIVED_BYTES", "GRPC_REQUEST_MESSAGES", "GRPC_RESPONSE_MESSAGES",
]  # fmt: skip


class ProviderRef(Model):
    """A provider of the mesh's configuration."""

    name: Text
    """Its name there."""


class Direction(Model):
    """Which side a setting is for."""

    mode: Mode | None = None
    """CLIENT (outbound), SERVER (inbound), or CLIENT_AND_SERVER (default)."""


class LiteralTag(Model):
    """The same value for every span."""

    value: Text
    """The value."""


class EnvironmentTag(Model):
    """A variable of the proxy's environment."""

    name: Text
    """Name of the variable."""
    default_value: str | None = None
    """What is written when it is not set; unset: no tag."""


class HeaderTag(Model):
    """A header of the request."""

    name: Text
    """Name of the header."""
    default_value: str | None = None
    """What is written when the request does not have it; unset: no tag."""


class FormatterTag(Model):
    """A text with the variables of access logs (``%REQ(x)%``)."""

    value: Text
    """The text."""


class CustomTag(Model):
    """A tag of every span; exactly one of the ways, or none for a tag that is not written."""

    literal: LiteralTag | None = None
    """A fixed value."""
    environment: EnvironmentTag | None = None
    """A variable of the environment."""
    header: HeaderTag | None = None
    """A header of the request."""
    formatter: FormatterTag | None = None
    """A text with variables."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        chosen = [name for name in CustomTag.model_fields if getattr(self, name) is not None]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        return self


class Tracing(Model):
    """Traces."""

    match: Direction | None = None
    """Which side; default both."""
    providers: tuple[ProviderRef, ...] | None = None
    """Where spans go; only the first counts (Istio). Unset: the mesh's default."""
    random_sampling_percentage: Annotated[Number, Field(ge=0, le=100)] | None = None
    """Share of the requests that are traced where nobody decided before, in percent; unset inherits (mesh default 1)."""
    disable_span_reporting: Flag | None = None
    """Whether no span is sent, while the context is still passed on; default false."""
    disable_context_propagation: Flag | None = None
    """Whether trace headers of the request are left alone; default false."""
    custom_tags: dict[Text, CustomTag] | None = None
    """Tags by their name."""
    use_request_id_for_trace_sampling: Flag | None = None
    """Whether ``x-request-id`` carries the decision to trace; default true."""
    enable_istio_tags: Flag | None = None
    """Whether spans have Istio's own tags; default true."""


class MetricSelector(Model):
    """Which metric an override is for: a standard one or another by name, on one side or both."""

    metric: Metric | None = None
    """A standard metric; ALL_METRICS (default) for all of them."""
    custom_metric: Text | None = None
    """Another metric, by its name; not together with ``metric``."""
    mode: Mode | None = None
    """Which side; default both."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.metric is not None and self.custom_metric is not None:
            raise ValueError("metric and customMetric exclude each other; keep one")
        return self


class TagOverride(Model):
    """What becomes of one label."""

    operation: Literal["UPSERT", "REMOVE"] | None = None
    """UPSERT (default) writes ``value``, REMOVE takes the label away."""
    value: str | None = None
    """An expression of attributes, as in ``request.host``, or text in quotes; for UPSERT only, and required there."""

    @model_validator(mode="after")
    def _value(self) -> Self:
        if self.operation == "REMOVE" and self.value is not None:
            raise ValueError("value is for UPSERT; remove it")
        if self.operation != "REMOVE" and not self.value:
            raise ValueError("value is required for UPSERT; to take the label away set operation: REMOVE")
        return self


class MetricOverride(Model):
    """What is different for some metrics."""

    match: MetricSelector | None = None
    """Which ones; unset: all."""
    disabled: Flag | None = None
    """Whether they are not made; unset inherits."""
    tag_overrides: dict[str, TagOverride] | None = None
    """Labels by their name."""


class Metrics(Model):
    """Metrics."""

    providers: tuple[ProviderRef, ...] | None = None
    """Who makes them; unset: the mesh's default."""
    overrides: tuple[MetricOverride, ...] | None = None
    """What is different, in order: later ones win."""
    reporting_interval: PositiveDuration | None = None
    """How often those of open TCP connections are written; default 5s."""


class AccessLogFilter(Model):
    """Which requests are logged."""

    expression: Expression
    """An expression of CEL over Envoy's attributes, as in ``response.code >= 400``; required, as by Istio's webhook."""


class AccessLogging(Model):
    """Access logs."""

    match: Direction | None = None
    """Which side; default both."""
    providers: tuple[ProviderRef, ...] | None = None
    """Where they go; unset: the mesh's default."""
    disabled: Flag | None = None
    """Whether there are none; unset inherits."""
    filter: AccessLogFilter | None = None
    """Which requests are logged; unset: all."""


class TelemetrySpec(Attached):
    """Settings of the root namespace, then of the namespace, then of selected workloads; later ones override."""

    tracing: tuple[Tracing, ...] | None = None
    """Traces; only the first counts (Istio)."""
    metrics: tuple[Metrics, ...] | None = None
    """Metrics."""
    access_logging: tuple[AccessLogging, ...] | None = None
    """Access logs."""


class Telemetry(Policy):
    """See :class:`TelemetrySpec`."""

    GROUP: ClassVar[str] = "telemetry.istio.io"
    KIND: ClassVar[str] = "Telemetry"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1alpha1")
    kind: Literal["Telemetry"] = "Telemetry"
    spec: TelemetrySpec = Field(default_factory=TelemetrySpec)

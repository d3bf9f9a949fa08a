"""Which requests or connections an access log tells of (Envoy ``accesslog.v3.AccessLogFilter``)."""

from dataclasses import dataclass

from mesh_api.config.matchers import HeaderMatch


@dataclass(frozen=True, slots=True)
class StatusCodeFilter:
    """The status compared with ``value``; ``operation`` is ``EQ``, ``GE``, ``LE`` or ``NE``."""

    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class DurationFilter:
    """The whole duration in milliseconds compared with ``value``."""

    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class ResponseFlagFilter:
    """One of these response flags; none given: any."""

    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HeaderFilter:
    """A condition on the request's head."""

    header: HeaderMatch


@dataclass(frozen=True, slots=True)
class GrpcStatusFilter:
    """The status of a call of gRPC is one of these (or with ``exclude`` none)."""

    statuses: tuple[int, ...]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class LogTypeFilter:
    """What is told of, by the names of ``AccessLogType``, is one of these (or with ``exclude`` none)."""

    types: tuple[str, ...]
    exclude: bool = False


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """So many of a million, by the request's id; ``independent``: by chance, whatever the id is (``RuntimeFilter``)."""

    parts: int
    independent: bool = False


@dataclass(frozen=True, slots=True)
class NotHealthCheckFilter:
    """No request that checks the proxy's own health."""


@dataclass(frozen=True, slots=True)
class TraceableFilter:
    """Requests that are traced."""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Each of these."""

    filters: tuple["LogFilter", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of these."""

    filters: tuple["LogFilter", ...]


@dataclass(frozen=True, slots=True)
class ExpressionFilter:
    """An expression of CEL over Envoy's attributes."""

    expression: str


LogFilter = (
    StatusCodeFilter
    | DurationFilter
    | ResponseFlagFilter
    | HeaderFilter
    | GrpcStatusFilter
    | LogTypeFilter
    | SampleFilter
    | NotHealthCheckFilter
    | TraceableFilter
    | AllOf
    | AnyOf
    | ExpressionFilter
)
"""Any condition."""

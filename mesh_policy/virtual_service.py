"""VirtualService: how requests for a host are routed (Istio, ``networking.istio.io/v1``)."""

import ipaddress
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AliasChoices, Field, field_validator, model_validator

from mesh_policy.base import Labels, Model, Percent, Policy, Port
from mesh_policy.durations import PositiveDuration
from mesh_policy.hosts import Host, PlainHost
from mesh_policy.matchers import StringMatch, check_regex

RETRY_ON = (
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
    "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure", "cancelled",
    "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
)  # fmt: skip
"""Envoy's names for ``x-envoy-retry-on`` and ``x-envoy-retry-grpc-on``."""
HttpStatus = Annotated[int, Field(ge=200, le=599)]
Subnet = Annotated[str, Field(min_length=1)]


class PortSelector(Model):
    """A port by number."""

    number: Port


class Destination(Model):
    """A service (short names are of the policy's namespace), perhaps one subset and port of it."""

    host: PlainHost
    subset: str | None = None
    port: PortSelector | None = None


class HeaderOperations(Model):
    """Edits of headers."""

    set: Labels | None = None
    add: Labels | None = None
    remove: tuple[str, ...] | None = None

    @field_validator("remove")
    @classmethod
    def _removable(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if name.startswith(":") or name.lower() == "host":
                raise ValueError(f"header {name!r} cannot be removed")
        return value


class Headers(Model):
    """Edits of the request's and the response's headers."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None


class HttpRouteDestination(Model):
    """One destination; ``weight`` is relative to the sum of all, unset counts as 100 for a single one, else 0."""

    destination: Destination
    weight: Annotated[int, Field(ge=0)] | None = None
    headers: Headers | None = None


class HttpMatch(Model):
    """Conditions of one match block: all must hold. Header names are lower case."""

    name: str | None = None
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] | None = None
    without_headers: dict[str, StringMatch] | None = None
    query_params: dict[str, StringMatch] | None = None
    port: Port | None = None
    source_labels: Labels | None = None
    source_namespace: str | None = None
    gateways: tuple[str, ...] | None = None
    ignore_uri_case: bool | None = None
    stat_prefix: str | None = None


class RegexRewrite(Model):
    """Replaces what ``match`` (RE2) finds in the path."""

    match: str
    rewrite: str

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return check_regex(value)


class Rewrite(Model):
    """Changes path (the matched prefix, or by expression) and host on the way."""

    uri: str | None = None
    authority: str | None = None
    uri_regex_rewrite: RegexRewrite | None = None

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if self.uri is not None and self.uri_regex_rewrite is not None:
            raise ValueError("uri and uriRegexRewrite exclude each other; keep one")
        return self


class Redirect(Model):
    """Answers with a redirect; ``uri`` replaces the whole path, ``prefix_rewrite`` the matched prefix."""

    uri: str | None = None
    prefix_rewrite: str | None = None
    authority: str | None = None
    port: Port | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str | None = None
    redirect_code: int | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.uri is not None and self.prefix_rewrite is not None:
            raise ValueError("uri and prefixRewrite exclude each other; keep one")
        if self.port is not None and self.derive_port is not None:
            raise ValueError("port and derivePort exclude each other; keep one")
        if self.redirect_code is not None and self.redirect_code not in (301, 302, 303, 307, 308):
            raise ValueError(f"redirectCode {self.redirect_code}: allowed are 301, 302, 303, 307 and 308")
        return self


class HttpBody(Model):
    """A body as text or as base64."""

    string: str | None = None
    bytes: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.string is not None and self.bytes is not None:
            raise ValueError("string and bytes exclude each other; keep one")
        return self


class DirectResponse(Model):
    """Answers with ``status`` and ``body``."""

    status: HttpStatus
    body: HttpBody | None = None


class PercentValue(Model):
    """A percentage 0..100 with decimals."""

    value: Annotated[float, Field(ge=0, le=100)] | None = None


class FaultDelay(Model):
    """Delays a share of the requests (no percentage: none of them)."""

    percent: Percent | None = None
    percentage: PercentValue | None = None
    fixed_delay: PositiveDuration | None = None
    exponential_delay: PositiveDuration | None = None

    @model_validator(mode="after")
    def _a_delay(self) -> Self:
        if self.exponential_delay is not None:
            raise ValueError("exponentialDelay is not supported (by Istio either); use fixedDelay")
        if self.fixed_delay is None:
            raise ValueError("fixedDelay is required")
        return self


class FaultAbort(Model):
    """Ends a share of the requests with a status (no percentage: none of them)."""

    percentage: PercentValue | None = None
    http_status: HttpStatus | None = None
    grpc_status: str | None = None
    http2_error: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.http2_error is not None:
            raise ValueError("http2Error is not supported (by Istio either); use httpStatus or grpcStatus")
        if (self.http_status is None) == (self.grpc_status is None):
            raise ValueError("exactly one of httpStatus and grpcStatus is required")
        return self


class Fault(Model):
    """Faults put in on purpose."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.delay is None and self.abort is None:
            raise ValueError("a fault needs delay or abort")
        return self


class Retries(Model):
    """Retries; ``attempts`` does not count the first one, 0 switches them off."""

    attempts: Annotated[int, Field(ge=0)] | None = None
    per_try_timeout: PositiveDuration | None = None
    retry_on: str | None = None
    backoff: PositiveDuration | None = None
    retry_remote_localities: bool | None = None
    retry_ignore_previous_hosts: bool | None = None

    @field_validator("retry_on")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        for name in (value or "").split(","):
            word = name.strip()
            if word and word not in RETRY_ON and not (word.isdigit() and 100 <= int(word) <= 599):
                raise ValueError(f"{word!r} is no retry condition; allowed: {', '.join(RETRY_ON)} or a status code")
        return value


class CorsPolicy(Model):
    """Cross-origin rules."""

    allow_origin: tuple[str, ...] | None = None
    allow_origins: tuple[StringMatch, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_headers: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age: PositiveDuration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] | None = None


class Mirror(Model):
    """A copy of a share (default all) of the requests."""

    destination: Destination
    percentage: PercentValue | None = None


class Delegate(Model):
    """Another VirtualService that carries the rules."""

    name: str | None = None
    namespace: str | None = None


class HttpRoute(Model):
    """One rule: the first whose ``match`` holds decides."""

    name: str | None = None
    match: tuple[HttpMatch, ...] | None = None
    route: tuple[HttpRouteDestination, ...] | None = None
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: Rewrite | None = None
    timeout: PositiveDuration | None = None
    retries: Retries | None = None
    fault: Fault | None = None
    mirror: Destination | None = None
    mirrors: tuple[Mirror, ...] | None = None
    mirror_percent: Percent | None = Field(
        default=None,
        validation_alias=AliasChoices("mirrorPercent", "mirror_percent"),
        serialization_alias="mirrorPercent",
    )
    mirror_percentage: PercentValue | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._actions(), *self._weights(), *self._mirrors()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _actions(self) -> list[str]:
        names = {"route": self.route, "redirect": self.redirect, "directResponse": self.direct_response}
        chosen = [name for name, value in names.items() if value]
        if len(chosen) > 1:
            return [f"{' and '.join(chosen)} exclude each other; keep one"]
        if self.delegate is not None and chosen:
            return [f"delegate and {chosen[0]} exclude each other; keep one"]
        if not chosen and self.delegate is None:
            return ["one of route, redirect, directResponse or delegate is required"]
        if self.redirect is not None and (self.fault is not None or self.rewrite is not None):
            return ["a redirect can carry neither fault nor rewrite"]
        return []

    def _weights(self) -> list[str]:
        if self.route is None or len(self.route) < 2:
            return []
        if sum(destination.weight or 0 for destination in self.route) == 0:
            return ["the weights of several destinations must not all be 0; give them a weight"]
        return []

    def _mirrors(self) -> list[str]:
        if self.mirror is not None and self.mirrors:
            return ["mirror and mirrors exclude each other; keep mirrors"]
        return []


class TcpMatch(Model):
    """Conditions on a TCP connection."""

    destination_subnets: tuple[Subnet, ...] | None = None
    port: Port | None = None
    source_subnet: str | None = None
    source_labels: Labels | None = None
    source_namespace: str | None = None
    gateways: tuple[str, ...] | None = None

    @field_validator("destination_subnets")
    @classmethod
    def _subnets(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for subnet in value or ():
            ipaddress.ip_network(subnet, strict=False)
        return value


class TlsMatch(Model):
    """Conditions on a TLS connection that passes through."""

    sni_hosts: Annotated[tuple[Host, ...], Field(min_length=1)]
    destination_subnets: tuple[Subnet, ...] | None = None
    port: Port | None = None
    source_labels: Labels | None = None
    source_namespace: str | None = None
    gateways: tuple[str, ...] | None = None


class WeightedDestination(Model):
    """One destination of a TCP or TLS route."""

    destination: Destination
    weight: Annotated[int, Field(ge=0)] | None = None


class TcpRoute(Model):
    """One rule for TCP."""

    match: tuple[TcpMatch, ...] | None = None
    route: Annotated[tuple[WeightedDestination, ...], Field(min_length=1)]


class TlsRoute(Model):
    """One rule for TLS that passes through."""

    match: Annotated[tuple[TlsMatch, ...], Field(min_length=1)]
    route: Annotated[tuple[WeightedDestination, ...], Field(min_length=1)]


class VirtualServiceSpec(Model):
    """The rules for ``hosts``, at the gateways named (``mesh``, the default, is every sidecar)."""

    hosts: tuple[Host, ...] | None = None
    gateways: tuple[str, ...] | None = None
    http: tuple[HttpRoute, ...] | None = None
    tls: tuple[TlsRoute, ...] | None = None
    tcp: tuple[TcpRoute, ...] | None = None
    export_to: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.http or self.tls or self.tcp):
            raise ValueError("at least one of http, tls and tcp is required")
        hosts = self.hosts or ()
        if len(set(hosts)) != len(hosts):
            raise ValueError(f"hosts: {next(h for h in hosts if hosts.count(h) > 1)!r} stands twice")
        if "*" in hosts and (self.gateways is None or "mesh" in self.gateways):
            raise ValueError("hosts: `*` is not allowed for the mesh; name the hosts, or name a gateway")
        return self


class VirtualService(Policy):
    """See :class:`VirtualServiceSpec`."""

    KIND: ClassVar[str] = "VirtualService"
    kind: Literal["VirtualService"] = "VirtualService"
    spec: VirtualServiceSpec

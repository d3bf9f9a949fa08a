"""VirtualService: how requests for a host are routed (Istio, ``networking.istio.io/v1``)."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, field_validator, model_validator

from mesh_policy.base import Count, Flag, Labels, Model, Percent, Policy, Port
from mesh_policy.durations import PositiveDuration
from mesh_policy.hosts import ExportTo, Host, PlainHost
from mesh_policy.matchers import Compared, StringMatch, check_regex, count_groups
from mesh_policy.networking.answers import DirectResponse, Fault, PercentValue, Redirect
from mesh_policy.networking.headers import HeaderName, Headers

RETRY_ON = (
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
    "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure", "cancelled",
    "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
)  # fmt: skip
"""Envoy's names for ``x-envoy-retry-on`` and ``x-envoy-retry-grpc-on``."""
Subnet = Annotated[str, Field(min_length=1)]


class PortSelector(Model):
    """A port by number."""

    number: Port


class Destination(Model):
    """A service (short names are of the policy's namespace), perhaps one subset and port of it."""

    host: PlainHost
    subset: str | None = None
    port: PortSelector | None = None


class HttpRouteDestination(Model):
    """One destination; ``weight`` is relative to the sum of all, unset counts as 100 for a single one, else 0."""

    destination: Destination
    weight: Count | None = None
    headers: Headers | None = None


class HttpMatch(Model):
    """Conditions of one match block: all must hold. Header names are lower case."""

    name: str | None = None
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[HeaderName, StringMatch] | None = None
    without_headers: dict[HeaderName, StringMatch] | None = None
    query_params: dict[Annotated[str, Field(min_length=1)], StringMatch] | None = None
    port: Port | None = None
    source_labels: Labels | None = None
    source_namespace: str | None = None
    gateways: tuple[str, ...] | None = None
    ignore_uri_case: Flag | None = None
    stat_prefix: str | None = None


class RegexRewrite(Model):
    """Replaces what ``match`` (RE2) finds in the path."""

    match: str
    rewrite: str

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        return check_regex(value)

    @model_validator(mode="after")
    def _groups_exist(self) -> Self:
        for reference in re.findall(r"\\(.?)", self.rewrite):
            if reference != "\\" and not (reference.isdecimal() and int(reference) <= count_groups(self.match)):
                raise ValueError(
                    f"rewrite: \\{reference} is no group of {self.match!r}; a backslash itself is written twice"
                )
        return self


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


def check_retry_on(value: str) -> str:
    """The conditions, separated by commas, when Envoy knows all; :class:`ValueError` that names the one it does not."""
    for name in value.split(","):
        word = name.strip()
        if word and word not in RETRY_ON and not re.fullmatch("[1-5][0-9][0-9]", word):
            raise ValueError(f"{word!r} is no retry condition; allowed: {', '.join(RETRY_ON)} or a status code")
    return value


class Retries(Model):
    """Retries; ``attempts`` does not count the first one. 0, or none given, switches them off."""

    attempts: Count | None = None
    per_try_timeout: PositiveDuration | None = None
    retry_on: Annotated[str, AfterValidator(check_retry_on)] | None = None
    backoff: PositiveDuration | None = None
    retry_remote_localities: Flag | None = None
    retry_ignore_previous_hosts: Flag | None = None

    @model_validator(mode="after")
    def _not_for_nothing(self) -> Self:
        if not self.attempts and (self.per_try_timeout or self.retry_on or self.retry_remote_localities is not None):
            raise ValueError("attempts is 0, which switches retries off; set attempts, or remove the other fields")
        return self


class CorsPolicy(Model):
    """Cross-origin rules."""

    allow_origin: tuple[str, ...] | None = None
    allow_origins: tuple[Compared, ...] | None = None
    allow_methods: tuple[str, ...] | None = None
    allow_headers: tuple[str, ...] | None = None
    expose_headers: tuple[str, ...] | None = None
    max_age: PositiveDuration | None = None
    allow_credentials: Flag | None = None
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
        return _wrong_weights([item.weight for item in self.route or ()])

    def _mirrors(self) -> list[str]:
        if self.mirror is not None and self.mirrors:
            return ["mirror and mirrors exclude each other; keep mirrors"]
        return []


def _wrong_weights(weights: Sequence[int | None]) -> list[str]:
    if len(weights) > 1 and not any(weights):
        return ["the weights of several destinations must not all be 0; give them a weight"]
    if sum(weight or 0 for weight in weights) >= 2**32:
        return ["the weights sum to more than Envoy can hold; write shares of 100"]
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
    weight: Count | None = None


def _weighted(value: tuple[WeightedDestination, ...]) -> tuple[WeightedDestination, ...]:
    for problem in _wrong_weights([item.weight for item in value]):
        raise ValueError(problem)
    return value


WeightedDestinations = Annotated[tuple[WeightedDestination, ...], Field(min_length=1), AfterValidator(_weighted)]


class TcpRoute(Model):
    """One rule for TCP."""

    match: tuple[TcpMatch, ...] | None = None
    route: WeightedDestinations


class TlsRoute(Model):
    """One rule for TLS that passes through."""

    match: Annotated[tuple[TlsMatch, ...], Field(min_length=1)]
    route: WeightedDestinations


class VirtualServiceSpec(Model):
    """The rules for ``hosts``, at the gateways named (``mesh``, the default, is every sidecar)."""

    hosts: tuple[Host, ...] | None = None
    gateways: tuple[str, ...] | None = None
    http: tuple[HttpRoute, ...] | None = None
    tls: tuple[TlsRoute, ...] | None = None
    tcp: tuple[TcpRoute, ...] | None = None
    export_to: tuple[ExportTo, ...] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (self.http or self.tls or self.tcp):
            raise ValueError("at least one of http, tls and tcp is required")
        hosts = [host.lower() for host in self.hosts or ()]  # names have no case, and Envoy takes each domain once
        if len(set(hosts)) != len(hosts):
            raise ValueError(f"hosts: {next(h for h in hosts if hosts.count(h) > 1)!r} stands twice")
        if "*" in hosts and (not self.gateways or "mesh" in self.gateways):
            raise ValueError("hosts: `*` is not allowed for the mesh; name the hosts, or name a gateway")
        return self


class VirtualService(Policy):
    """See :class:`VirtualServiceSpec`."""

    KIND: ClassVar[str] = "VirtualService"
    kind: Literal["VirtualService"] = "VirtualService"
    spec: VirtualServiceSpec

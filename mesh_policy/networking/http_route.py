"""Rules for HTTP: when they hold and what they do with a request."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, model_validator

from mesh_policy.base import Count, Flag, Model, Unsigned
from mesh_policy.durations import PositiveDuration
from mesh_policy.hosts import is_label
from mesh_policy.matchers import AbsentMatch, Compared, PathMatch, TextMatch, check_regex
from mesh_policy.networking.answers import DirectResponse, Fault, PercentValue, Redirect
from mesh_policy.networking.destinations import Destination, wrong_weights
from mesh_policy.networking.headers import CorsHeaderName, HeaderName, Headers, check_one_authority
from mesh_policy.networking.ports import PortOrZero
from mesh_policy.networking.selectors import CheckedLabels

RETRY_ON = (
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
    "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure", "cancelled",
    "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
)  # fmt: skip
"""Envoy's names for ``x-envoy-retry-on`` and ``x-envoy-retry-grpc-on``."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*")
"""Methods that a browser may be allowed."""
STATUSES = frozenset(int(status) for status in HTTPStatus)
"""Status codes that have a name; among the conditions of retries a number is one of these."""


def _namespace_or_unset(value: str) -> str:
    if value and not is_label(value):
        raise ValueError(f"{value!r} is no namespace")
    return value


class HttpRouteDestination(Model):
    """One destination; ``weight`` is relative to the sum of all, unset counts as 100 for a single one, else 0."""

    destination: Destination
    """Where requests go."""
    weight: Count | None = None
    """Share of the requests, relative to the sum of all."""
    headers: Headers | None = None
    """Edits of headers for this destination alone, after the rule's own."""


class HttpMatch(Model):
    """Conditions of one match block: all must hold. Header names are lower case."""

    name: str | None = None
    """Name of the match, for people and statistics."""
    uri: PathMatch | None = None
    """Path, without the query."""
    scheme: TextMatch | None = None
    """``http`` or ``https``."""
    method: TextMatch | None = None
    """Method; case counts."""
    authority: TextMatch | None = None
    """Host that the request asks for."""
    headers: dict[HeaderName, TextMatch] | None = None
    """Headers; an empty match: the header is there. ``@request.auth.claims.NAME`` is a claim, at gateways alone."""
    without_headers: dict[HeaderName, AbsentMatch] | None = None
    """Headers that must not match; an empty match: the header is not there."""
    query_params: dict[str, TextMatch] | None = None
    """Query parameters; an empty match: the parameter is there."""
    port: PortOrZero | None = None
    """Port that the request came to; 0 and unset: any."""
    source_labels: CheckedLabels | None = None
    """Labels that the client must carry; at sidecars alone."""
    source_namespace: Annotated[str, AfterValidator(_namespace_or_unset)] | None = None
    """Namespace that the client must be in."""
    gateways: tuple[str, ...] | None = None
    """Gateways at which the match holds, in place of the VirtualService's."""
    ignore_uri_case: Flag | None = None
    """Whether the case of ``uri`` (exact, prefix) does not count."""
    stat_prefix: str | None = None
    """Prefix of the statistics of this route."""


class RegexRewrite(Model):
    """Replaces what ``match`` (RE2) finds in the path."""

    match: Annotated[str, AfterValidator(check_regex)]
    """Expression of RE2, at most 1024 bytes."""
    rewrite: Annotated[str, Field(min_length=1)]
    """What stands there instead; ``\\1`` is the first group of the expression."""


class Rewrite(Model):
    """Changes path (the matched prefix, or by expression) and host on the way."""

    uri: str | None = None
    """What stands in place of the matched prefix, or of the whole path where none was matched."""
    authority: str | None = None
    """Host that the destination is asked for."""
    uri_regex_rewrite: RegexRewrite | None = None
    """Changes the path by expression; excludes ``uri``."""

    @model_validator(mode="after")
    def _one_path(self) -> Self:
        if self.uri and self.uri_regex_rewrite is not None:
            raise ValueError("uri and uriRegexRewrite exclude each other; keep one")
        if not (self.uri or self.authority or self.uri_regex_rewrite is not None):
            raise ValueError("one of uri, uriRegexRewrite and authority is required")
        return self


def check_retry_on(value: str) -> str:
    """The conditions, separated by commas without blanks; :class:`ValueError` that names the one Envoy does not know."""
    for word in value.split(",") if value else ():
        if word not in RETRY_ON and not (word.isascii() and word.isdecimal() and int(word) in STATUSES):
            hint = "; write no blanks" if word != word.strip() else ""
            raise ValueError(f"{word!r} is no retry condition{hint}; allowed: {', '.join(RETRY_ON)} or a status code")
    return value


class Retries(Model):
    """Retries; ``attempts`` does not count the first one. 0, or none given, switches them off."""

    attempts: Count | None = None
    """Most retries of one request."""
    per_try_timeout: PositiveDuration | None = None
    """How long each attempt may take; default the rule's timeout."""
    retry_on: Annotated[str, AfterValidator(check_retry_on)] | None = None
    """Conditions of Envoy and status codes, with commas; default connect-failure,refused-stream,unavailable,cancelled."""
    backoff: PositiveDuration | None = None
    """Least time between attempts; default 25 ms."""
    retry_remote_localities: Flag | None = None
    """Whether retries may go to other localities; default as the mesh says."""
    retry_ignore_previous_hosts: Flag | None = None
    """Whether a retry avoids hosts that were tried; default yes."""

    @model_validator(mode="after")
    def _not_for_nothing(self) -> Self:
        if not self.attempts and (self.per_try_timeout or self.retry_on or self.retry_remote_localities is not None):
            raise ValueError("attempts is 0, which switches retries off; set attempts, or remove the other fields")
        return self


def _method(value: str) -> str:
    if value not in METHODS:
        raise ValueError(f"{value!r} is no method; allowed are {', '.join(METHODS)}")
    return value


class CorsPolicy(Model):
    """Cross-origin rules."""

    allow_origin: tuple[str, ...] | None = None
    """The old form of ``allow_origins``: whole origins."""
    allow_origins: tuple[Compared, ...] | None = None
    """Origins that are allowed."""
    allow_methods: tuple[Annotated[str, AfterValidator(_method)], ...] | None = None
    """Methods that are allowed."""
    allow_headers: tuple[CorsHeaderName, ...] | None = None
    """Headers that requests may carry."""
    expose_headers: tuple[CorsHeaderName, ...] | None = None
    """Headers of answers that scripts may read."""
    max_age: PositiveDuration | None = None
    """How long a browser may keep the answer; whole seconds."""
    allow_credentials: Flag | None = None
    """Whether cookies and the like may be sent."""
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] | None = None
    """What happens to questions of other origins: FORWARD (default) to the service, IGNORE answers without allowance."""

    @model_validator(mode="after")
    def _whole_seconds(self) -> Self:
        if self.max_age is not None and self.max_age.microseconds:
            raise ValueError("maxAge: browsers count whole seconds; round it")
        return self


class Mirror(Model):
    """A copy of a share (default all) of the requests."""

    destination: Destination
    """Where copies go; the answers are thrown away."""
    percentage: PercentValue | None = None
    """Share of the requests; unset means all."""


class Delegate(Model):
    """Another VirtualService that carries the rules."""

    name: str | None = None
    """Its name."""
    namespace: str | None = None
    """Its namespace; default this one's."""


class HttpRoute(Model):
    """One rule: the first whose ``match`` holds decides."""

    name: str | None = None
    """Name of the rule, for access logs and people."""
    match: tuple[HttpMatch, ...] | None = None
    """Conditions of which one must hold; none: every request."""
    route: tuple[HttpRouteDestination, ...] | None = None
    """Where requests go."""
    redirect: Redirect | None = None
    """Answers with a redirect."""
    direct_response: DirectResponse | None = None
    """Answers with a fixed response."""
    delegate: Delegate | None = None
    """Another VirtualService that carries the rules."""
    rewrite: Rewrite | None = None
    """Changes path and host on the way."""
    timeout: PositiveDuration | None = None
    """How long a request may take with all retries; unset means for ever."""
    retries: Retries | None = None
    """Retries; default 2 attempts."""
    fault: Fault | None = None
    """Faults put in on purpose."""
    mirror: Destination | None = None
    """The old form of ``mirrors``: one."""
    mirrors: tuple[Mirror, ...] | None = None
    """Copies of requests."""
    mirror_percent: Annotated[Unsigned, Field(le=100)] | None = Field(
        default=None,
        validation_alias=AliasChoices("mirrorPercent", "mirror_percent"),
        serialization_alias="mirrorPercent",
    )
    """The old form of ``mirror_percentage``; Istio warns of it."""
    mirror_percentage: PercentValue | None = None
    """Share of the requests of which ``mirror`` gets a copy; default all."""
    cors_policy: CorsPolicy | None = None
    """Cross-origin rules."""
    headers: Headers | None = None
    """Edits of headers."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = wrong_weights([item.weight for item in self.route or ()])
        if self.redirect is not None:
            problems += self._prefixes(self.redirect)
        if problems:
            raise ValueError("; ".join(problems))
        check_one_authority(self._authorities())
        return self

    def _prefixes(self, redirect: Redirect) -> list[str]:
        paths = [match.uri for match in self.match or () if match.uri is not None]
        if redirect.prefix_rewrite and any(path.prefix is None for path in paths):
            return ["redirect.prefixRewrite goes with matches by prefix; write prefix in each uri, or redirect.uri"]
        return []

    def _authorities(self) -> Iterator[str]:
        if self.rewrite is not None and self.rewrite.authority:
            yield self.rewrite.authority
        if self.headers is not None and self.headers.request is not None:
            yield from self.headers.request.authorities()

    def problems(self, of_delegate: bool) -> Iterator[str]:
        """What is wrong with the choice of actions, which depends on whether the VirtualService is a delegate."""
        if self.delegate is not None and not of_delegate:
            for name, value in (("redirect", self.redirect), ("route", self.route)):
                if value:
                    yield f"delegate and {name} exclude each other; keep one"
            return
        if self.delegate is not None:
            yield "delegate: a delegate (a VirtualService without hosts) has none itself"
        yield from self._actions()
        if self.mirror is not None and self.mirrors:
            yield "mirror and mirrors exclude each other; keep mirrors"

    def _actions(self) -> Iterator[str]:
        answers = {"redirect": self.redirect, "directResponse": self.direct_response}
        chosen = [name for name, value in answers.items() if value is not None]
        if not chosen:
            if not self.route:
                yield "one of route, redirect, directResponse or delegate is required"
            return
        besides = {"route": self.route, "fault": self.fault, "rewrite": self.rewrite}
        for name in [*chosen[1:], *(name for name, value in besides.items() if value)]:
            yield f"{chosen[0]} and {name} exclude each other; keep one"

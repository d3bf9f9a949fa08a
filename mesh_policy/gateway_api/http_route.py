"""HTTPRoute: how HTTP requests of a Gateway, or within the mesh, reach backends."""

from collections.abc import Iterator, Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Model, Whole
from mesh_policy.gateway_api.backend_refs import WeightedBackend
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.durations import GatewayDuration
from mesh_policy.gateway_api.http_filters import (
    HttpFilter,
    HttpFilters,
    ReplacePrefixMatch,
    RequestRedirectFilter,
    UrlRewriteFilter,
)
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.matches import HttpMatch, PathMatch
from mesh_policy.gateway_api.names import Hostname, SectionName
from mesh_policy.gateway_api.parent_refs import RouteSpec
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.rules import same_names, too_many_matches
from mesh_policy.gateway_api.session import SessionPersistence

EVERYTHING = (HttpMatch(path=PathMatch(type="PathPrefix", value="/")),)
"""What a rule matches that has no matches."""


class HttpBackend(WeightedBackend):
    """A backend, its share of the requests, and filters for those."""

    filters: HttpFilters | None = None
    """What is done to requests that go to this backend, and to its answers; at most 16. Istio takes changes of headers
    alone, and nothing of a route with another filter here."""


class Timeouts(Model):
    """How long requests may take, as ``10s``, ``500ms`` or ``1h30m``."""

    request: GatewayDuration | None = None
    """Longest time from a client's request to the end of the answer, retries included; ``0s`` stands for no limit,
    which is also Istio's default."""
    backend_request: GatewayDuration | None = None
    """Longest time of one try, at most ``request``; ``0s`` stands for no limit, which is the default. Without
    ``retry``, Istio puts it in place of ``request``."""

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.request and self.backend_request is not None and self.backend_request > self.request:
            refuse(self, [(("backendRequest",), "is longer than request; a try cannot outlast the whole: shorten it")])
        return self


RetryCode = Annotated[Whole, Field(ge=400, le=599)]


class Retry(Model):
    """When and how often requests are tried again."""

    codes: Annotated[tuple[RetryCode, ...], Items(key="")] | None = None
    """Status codes, 400 to 599, of answers after which a request is tried again. After a failed connection it always
    is."""
    attempts: Annotated[Whole, Field(ge=1, le=2**63 - 1)] | None = None
    """Most retries, not counting the first try; at least 1, at Istio by default 2."""
    backoff: GatewayDuration | None = None
    """Least time between tries, such as ``100ms``; at Istio by default 25 ms."""


class HttpRule(Model):
    """One rule: requests that fit go through the filters to the backends. What fits no rule gets 404."""

    name: SectionName | None = None
    """Name of the rule, for access logs and for objects that refer to it; no two rules of a route have the same."""
    matches: Annotated[tuple[HttpMatch, ...], Items(64)] | None = None
    """Conditions of which one must hold, at most 64; unset, every request fits (prefix ``/``)."""
    filters: HttpFilters | None = None
    """What is done to requests and answers, at most 16; but RequestMirror, ExtensionRef and ExternalAuth, each type
    stands once."""
    backend_refs: Annotated[tuple[HttpBackend, ...], Items(16)] | None = None
    """Backends that share the requests, at most 16. Without any, and for the share of one that is not valid, the answer
    is 500."""
    timeouts: Timeouts | None = None
    """How long requests may take; at Istio by default without end."""
    retry: Retry | None = None
    """When requests are tried again; at Istio by default after a failed connection, at most twice."""
    session_persistence: SessionPersistence | None = None
    """Keeps requests of one session at one backend; unset, each is balanced by itself. Istio does not look at it."""

    @property
    def effective_matches(self) -> tuple[HttpMatch, ...]:
        """The matches with their default."""
        return EVERYTHING if self.matches is None else self.matches

    @model_validator(mode="after")
    def _filters_fit(self) -> Self:
        refuse(self, self._wrong())
        return self

    def _wrong(self) -> Iterator[Refusal]:
        filters = self.filters or ()
        for place, item in enumerate(filters):
            if isinstance(item, RequestRedirectFilter) and self.backend_refs:
                yield ("filters", place), "a redirect answers by itself; remove it, or remove backendRefs"
        if self._is_one_prefix():
            return
        for name in ("RequestRedirect", "URLRewrite"):
            if any(_replaces_prefix(item, name) for item in filters):
                yield ("matches",), _ONE_PREFIX
            # As in the official rule, which does not look further when several backends have such a filter.
            if sum(any(_replaces_prefix(f, name) for f in b.filters or ()) for b in self.backend_refs or ()) == 1:
                yield ("matches",), _ONE_PREFIX

    def _is_one_prefix(self) -> bool:
        matches = self.effective_matches
        return len(matches) == 1 and (matches[0].path is None or matches[0].path.is_prefix)


_ONE_PREFIX = "must be exactly one PathPrefix for replacePrefixMatch; split the rule, or use replaceFullPath"


def _replaces_prefix(item: HttpFilter, name: str) -> bool:
    if item.type != name:
        return False
    if isinstance(item, RequestRedirectFilter):
        return isinstance(item.request_redirect.path, ReplacePrefixMatch)
    return isinstance(item, UrlRewriteFilter) and isinstance(item.url_rewrite.path, ReplacePrefixMatch)


def _fit(value: Sequence[HttpRule]) -> Sequence[HttpRule]:
    count = sum(len(rule.effective_matches) for rule in value)
    refuse(value, [*same_names(value), *too_many_matches(count)])
    return value


class HttpRouteSpec(RouteSpec):
    """Rules for HTTP requests to some hosts.

    Of all rules of all routes that fit a request the most specific match wins: exact paths, the longest prefix, a method,
    the most headers, the most query parameters; then the oldest route, the first by name, the first rule.
    """

    hostnames: Annotated[tuple[Hostname, ...], Items(16)] | None = None
    """Hosts that the rules are for, at most 16, perhaps with ``*.`` before them; default those of the listeners. One
    that does not fit a listener's does not count there. With a Service as parent they are not looked at."""
    rules: Annotated[tuple[HttpRule, ...], Items(16, least=1), AfterValidator(_fit)] | None = None
    """The rules, 1 to 16, with at most 128 matches together; default one that fits every request and has no
    backends."""


class HTTPRoute(GatewayApiPolicy):
    """See :class:`HttpRouteSpec`."""

    KIND: ClassVar[str] = "HTTPRoute"
    kind: Literal["HTTPRoute"] = "HTTPRoute"
    spec: HttpRouteSpec

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
from mesh_policy.gateway_api.parent_refs import DefaultGateways, ParentRefs
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.rules import same_names, too_many_matches
from mesh_policy.gateway_api.session import SessionPersistence

EVERYTHING = (HttpMatch(path=PathMatch(type="PathPrefix", value="/")),)
"""What a rule matches that has no matches."""


class HttpBackend(WeightedBackend):
    """A backend, its share, and filters for what it gets alone."""

    filters: HttpFilters | None = None


class Timeouts(Model):
    """``request`` bounds the whole exchange with the client, ``backend_request`` one try; 0 stands for no limit."""

    request: GatewayDuration | None = None
    backend_request: GatewayDuration | None = None

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.request and self.backend_request is not None and self.backend_request > self.request:
            refuse(self, [(("backendRequest",), "is longer than request; a try cannot outlast the whole: shorten it")])
        return self


RetryCode = Annotated[Whole, Field(ge=400, le=599)]


class Retry(Model):
    """Retries: on which status ``codes``, how often (``attempts``, without the first), at least ``backoff`` apart."""

    codes: Annotated[tuple[RetryCode, ...], Items(key="")] | None = None
    attempts: Annotated[Whole, Field(ge=1, le=2**63 - 1)] | None = None
    backoff: GatewayDuration | None = None


class HttpRule(Model):
    """One rule: what fits any of ``matches`` (by default all requests) goes through ``filters`` to ``backend_refs``.

    A rule without backends and redirect answers 500 (404 for a request that fits no rule).
    """

    name: SectionName | None = None
    matches: Annotated[tuple[HttpMatch, ...], Items(64)] | None = None
    filters: HttpFilters | None = None
    backend_refs: Annotated[tuple[HttpBackend, ...], Items(16)] | None = None
    timeouts: Timeouts | None = None
    retry: Retry | None = None
    session_persistence: SessionPersistence | None = None

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


class HttpRouteSpec(Model):
    """Rules for ``hostnames`` (by default those of the listeners), at the listeners of ``parent_refs``.

    Of all rules of all routes that fit a request the most specific match wins: exact paths, the longest prefix, a method,
    the most headers, the most query parameters; then the oldest route, the first by name, the first rule. Without
    ``rules`` there is one, which matches everything and has no backends.
    """

    parent_refs: ParentRefs | None = None
    use_default_gateways: DefaultGateways | None = None
    hostnames: Annotated[tuple[Hostname, ...], Items(16)] | None = None
    rules: Annotated[tuple[HttpRule, ...], Items(16, least=1), AfterValidator(_fit)] | None = None


class HTTPRoute(GatewayApiPolicy):
    """See :class:`HttpRouteSpec`."""

    KIND: ClassVar[str] = "HTTPRoute"
    kind: Literal["HTTPRoute"] = "HTTPRoute"
    spec: HttpRouteSpec

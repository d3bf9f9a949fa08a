"""Matches of HTTPRoute and GRPCRoute: all conditions of a match must hold, and one match of a rule."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import model_validator

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Items, Text
from mesh_policy.gateway_api.http_filters import Method
from mesh_policy.gateway_api.names import PATH, HeaderName, HeaderValue
from mesh_policy.gateway_api.refusals import Refusal, refuse

Comparison = Literal["Exact", "RegularExpression"]
"""How values are compared; by default ``Exact``."""
_PATH = re.compile(PATH.removesuffix("$") + r"\Z")
_LETTER = "A-Za-z_\u017f\u212a"  # without case the long s is an s, and the sign of Kelvin a k, says Go
_SERVICE = re.compile(rf"\.?[{_LETTER}][{_LETTER}0-9]*(\.[{_LETTER}][{_LETTER}0-9]*)*")
_METHOD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


class PathMatch(Model):
    """A condition on the path, without the query."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = None
    """How the path compares; case counts. ``PathPrefix`` (default) goes by whole elements: ``/a`` fits ``/a/b``, not
    ``/ab``. ``Exact`` and ``RegularExpression`` (at Istio of RE2) are for the whole path."""
    value: Annotated[str, Text("a path", most=1024, least=0)] | None = None
    """Path or expression, at most 1024 characters; default ``/``. But for an expression it begins with ``/``, and holds
    nothing that normalisation removes, such as ``//`` or ``/../``."""

    @property
    def is_prefix(self) -> bool:
        """Whether a prefix is compared."""
        return self.type in (None, "PathPrefix")

    @model_validator(mode="after")
    def _normal(self) -> Self:
        if self.type != "RegularExpression" and self.value is not None:
            refuse(self, [(("value",), reason) for reason in _wrong_path(self.value)])
        return self


def _wrong_path(value: str) -> Iterator[str]:
    if not value.startswith("/"):
        yield f"{value!r} is not absolute; begin it with /"
    for part in ("//", "/./", "/../", "%2f", "%2F", "#"):
        if part in value:
            yield f"{value!r} holds {part}, which no request has after normalisation; remove it"
    for end in ("/..", "/."):
        if value.endswith(end):
            yield f"{value!r} ends with {end}, which no request has after normalisation; remove it"
    if not _PATH.match(value):
        yield f"{value!r} holds characters that a path does not; write them as %XX"


class HttpHeaderMatch(Model):
    """A condition on a header."""

    type: Comparison | None = None
    """How the value compares: ``Exact`` (default), or ``RegularExpression`` (at Istio of RE2, and for the whole
    value)."""
    name: HeaderName
    """Name of the header; case does not count. Of entries that differ in case alone the first holds."""
    value: HeaderValue
    """Value or expression: printable ASCII, with single blanks or tabs between words. A request without the header does
    not fit."""


class QueryParamMatch(Model):
    """A condition on a query parameter."""

    type: Comparison | None = None
    """How the value compares: ``Exact`` (default), or ``RegularExpression`` (at Istio of RE2, and for the whole
    value)."""
    name: HeaderName
    """Name of the query parameter; case counts."""
    value: Annotated[str, Text("a value", most=1024)]
    """Value or expression, 1 to 1024 characters. A request without the parameter does not fit."""


class HttpMatch(Model):
    """Conditions on an HTTP request, which must all hold."""

    path: PathMatch | None = None
    """Path that a request must have; default the prefix ``/``, which every one has."""
    headers: Annotated[tuple[HttpHeaderMatch, ...], Items(16, key="name")] | None = None
    """Headers that a request must have, all of them; at most 16."""
    query_params: Annotated[tuple[QueryParamMatch, ...], Items(16, key="name")] | None = None
    """Query parameters that a request must have, all of them; at most 16."""
    method: Method | None = None
    """Method that a request must have; default any."""


class GrpcMethodMatch(Model):
    """A condition on what a gRPC request calls."""

    type: Comparison | None = None
    """How service and method compare, where case counts: ``Exact`` (default), or ``RegularExpression`` (at Istio of
    RE2)."""
    service: Annotated[str, Text("a service", most=1024, least=0)] | None = None
    """Service with its package, such as ``com.example.Login``, or an expression; unset, any. It or ``method`` is
    required."""
    method: Annotated[str, Text("a method", most=1024, least=0)] | None = None
    """Method of the service, such as ``Logout``, or an expression; unset, any. It or ``service`` is required."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        refuse(self, self._wrong())
        return self

    def _wrong(self) -> Iterator[Refusal]:
        if self.service is None and self.method is None:
            yield (), "service or method is required; leave the match out to match everything"
        if self.type == "RegularExpression":
            return
        if self.service is not None and not _SERVICE.fullmatch(self.service):
            yield ("service",), f"{self.service!r} is no gRPC service; write for example com.example.Login"
        if self.method is not None and not _METHOD.fullmatch(self.method):
            yield ("method",), f"{self.method!r} is no gRPC method; letters, digits and underscores are allowed"


class GrpcHeaderMatch(Model):
    """A condition on a header, which gRPC calls metadata."""

    type: Comparison | None = None
    """How the value compares: ``Exact`` (default), or ``RegularExpression`` (at Istio of RE2, and for the whole
    value)."""
    name: HeaderName
    """Name of the header (key of the metadata); case does not count."""
    value: Annotated[str, Text("a value", most=4096)]
    """Value or expression, 1 to 4096 characters. A request without the header does not fit."""


class GrpcMatch(Model):
    """Conditions on a gRPC request, which must all hold."""

    method: GrpcMethodMatch | None = None
    """Service and method that a request must call; default any."""
    headers: Annotated[tuple[GrpcHeaderMatch, ...], Items(16, key="name")] | None = None
    """Headers (metadata) that a request must have, all of them; at most 16."""

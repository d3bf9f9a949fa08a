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
    """How a path compares with ``value`` (by default ``/``): as ``PathPrefix`` (default; of whole elements), ``Exact``, or
    ``RegularExpression``, which must fit the whole path.
    """

    type: Literal["Exact", "PathPrefix", "RegularExpression"] | None = None
    value: Annotated[str, Text("a path", most=1024, least=0)] | None = None

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
    """A header (its name has no case) and how its value compares."""

    type: Comparison | None = None
    name: HeaderName
    value: HeaderValue


class QueryParamMatch(Model):
    """A query parameter and how its value compares."""

    type: Comparison | None = None
    name: HeaderName
    value: Annotated[str, Text("a value", most=1024)]


class HttpMatch(Model):
    """Conditions on an HTTP request; ``path`` is by default the prefix ``/``."""

    path: PathMatch | None = None
    headers: Annotated[tuple[HttpHeaderMatch, ...], Items(16, key="name")] | None = None
    query_params: Annotated[tuple[QueryParamMatch, ...], Items(16, key="name")] | None = None
    method: Method | None = None


class GrpcMethodMatch(Model):
    """A gRPC service (with its package), a method, or both; unset matches all."""

    type: Comparison | None = None
    service: Annotated[str, Text("a service", most=1024, least=0)] | None = None
    method: Annotated[str, Text("a method", most=1024, least=0)] | None = None

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
    """A header (metadata) and how its value compares."""

    type: Comparison | None = None
    name: HeaderName
    value: Annotated[str, Text("a value", most=4096)]


class GrpcMatch(Model):
    """Conditions on a gRPC request."""

    method: GrpcMethodMatch | None = None
    headers: Annotated[tuple[GrpcHeaderMatch, ...], Items(16, key="name")] | None = None

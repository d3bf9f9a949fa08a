"""Filters that HTTPRoute and GRPCRoute share: header changes, copies of requests, extensions."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Model, Percent, Whole
from mesh_policy.gateway_api.backend_refs import Backend
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.names import HeaderName, HeaderValue, Positive
from mesh_policy.gateway_api.object_refs import LocalObjectReference
from mesh_policy.gateway_api.refusals import Refusal, refuse
from mesh_policy.gateway_api.tagged import Choice


class Header(Model):
    """A header and its value."""

    name: HeaderName
    """Name of the header; case does not count. Of entries that differ in case alone the first holds."""
    value: HeaderValue
    """Value of the header: printable ASCII, with single blanks or tabs between words; several values are separated by
    commas."""


HeaderList = Annotated[tuple[Header, ...], Items(16, key="name")]


class HeaderModifier(Model):
    """Changes of headers. The Gateway API allows one change of each: a name stands in one of the lists, once."""

    set: HeaderList | None = None
    """Headers that get this value in place of all they have; at most 16."""
    add: HeaderList | None = None
    """Headers to whose values this one is added, and which are made where there are none; at most 16."""
    remove: Annotated[tuple[str, ...], Items(16, key="")] | None = None
    """Names of headers that are taken away, at most 16; case does not count."""


class Fraction(Model):
    """A share as a fraction."""

    numerator: Annotated[Whole, Field(ge=0, le=2**31 - 1)]
    """How many of ``denominator``: from 0, and at most as many."""
    denominator: Positive | None = None
    """Of how many: at least 1, default 100."""

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        whole = 100 if self.denominator is None else self.denominator
        if self.numerator > whole:
            refuse(self, [(("numerator",), f"{self.numerator} is more than the denominator, {whole}")])
        return self


class RequestMirror(Model):
    """A backend that gets copies of all requests, or of a share of them; its answers are thrown away."""

    backend_ref: Backend
    """Where copies go: to one endpoint of it, however many there are. One that does not exist gets none."""
    percent: Percent | None = None
    """Share of the requests that are copied, in per cent, 0 to 100; excludes ``fraction``. Without either all are."""
    fraction: Fraction | None = None
    """Share of the requests that are copied, as a fraction, for what whole per cents cannot say; excludes
    ``percent``."""

    @model_validator(mode="after")
    def _one_share(self) -> Self:
        if self.percent is not None and self.fraction is not None:
            refuse(self, [(("fraction",), "excludes percent; keep one")])
        return self


class RequestHeaderModifierFilter(Choice):
    """Changes the headers of requests."""

    type: Literal["RequestHeaderModifier"] = "RequestHeaderModifier"
    request_header_modifier: HeaderModifier
    """Which headers of requests change before they go to the backend."""


class ResponseHeaderModifierFilter(Choice):
    """Changes the headers of answers."""

    type: Literal["ResponseHeaderModifier"] = "ResponseHeaderModifier"
    response_header_modifier: HeaderModifier
    """Which headers of answers change before they go to the client."""


class RequestMirrorFilter(Choice):
    """Sends copies of requests; may stand several times."""

    type: Literal["RequestMirror"] = "RequestMirror"
    request_mirror: RequestMirror
    """Where copies go, and of how many requests."""


class ExtensionRefFilter(Choice):
    """A filter of an implementation's own; may stand several times."""

    type: Literal["ExtensionRef"] = "ExtensionRef"
    extension_ref: LocalObjectReference
    """Object in the route's namespace that says what the filter does, of a kind that the implementation knows. Istio
    knows none, and takes nothing of a route with this filter."""


def repeated(types: list[str], once: tuple[str, ...]) -> list[Refusal]:
    """Refusals of filters that stand a second time and may stand ``once`` only."""
    return [
        ((place, "type"), f"{kind} stands twice; keep one")
        for place, kind in enumerate(types)
        if kind in once and kind in types[:place]
    ]

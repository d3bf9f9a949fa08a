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
    """A header with its value."""

    name: HeaderName
    value: HeaderValue


HeaderList = Annotated[tuple[Header, ...], Items(16, key="name")]


class HeaderModifier(Model):
    """Changes of headers: ``set`` puts a value in place of all there are, ``add`` appends one, ``remove`` takes them away."""

    set: HeaderList | None = None
    add: HeaderList | None = None
    remove: Annotated[tuple[str, ...], Items(16, key="")] | None = None


class Fraction(Model):
    """A share: ``numerator`` of ``denominator`` (by default 100)."""

    numerator: Annotated[Whole, Field(ge=0, le=2**31 - 1)]
    denominator: Positive | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        whole = 100 if self.denominator is None else self.denominator
        if self.numerator > whole:
            refuse(self, [(("numerator",), f"{self.numerator} is more than the denominator, {whole}")])
        return self


class RequestMirror(Model):
    """A backend that gets copies of requests, whose answers are ignored: all, or a ``percent`` or ``fraction`` of them."""

    backend_ref: Backend
    percent: Percent | None = None
    fraction: Fraction | None = None

    @model_validator(mode="after")
    def _one_share(self) -> Self:
        if self.percent is not None and self.fraction is not None:
            refuse(self, [(("fraction",), "excludes percent; keep one")])
        return self


class RequestHeaderModifierFilter(Choice):
    """Changes the headers of requests."""

    type: Literal["RequestHeaderModifier"] = "RequestHeaderModifier"
    request_header_modifier: HeaderModifier


class ResponseHeaderModifierFilter(Choice):
    """Changes the headers of answers."""

    type: Literal["ResponseHeaderModifier"] = "ResponseHeaderModifier"
    response_header_modifier: HeaderModifier


class RequestMirrorFilter(Choice):
    """Sends copies of requests; may stand several times."""

    type: Literal["RequestMirror"] = "RequestMirror"
    request_mirror: RequestMirror


class ExtensionRefFilter(Choice):
    """A filter of an implementation's own; may stand several times."""

    type: Literal["ExtensionRef"] = "ExtensionRef"
    extension_ref: LocalObjectReference


def repeated(types: list[str], once: tuple[str, ...]) -> list[Refusal]:
    """Refusals of filters that stand a second time and may stand ``once`` only."""
    return [
        ((place, "type"), f"{kind} stands twice; keep one")
        for place, kind in enumerate(types)
        if kind in once and kind in types[:place]
    ]

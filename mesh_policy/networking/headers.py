"""Names and edits of headers."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _name(value: str) -> str:
    """RFC 9110, 5.6.2, and Istio's ``@request.auth.claims...`` and pseudo-headers, which others judge."""
    if not _TOKEN.fullmatch(value.removeprefix(":")) and not value.startswith("@"):
        raise ValueError(f"{value!r} is no name of a header")
    return value


def _value(value: str) -> str:
    if value.count("%") % 2:
        raise ValueError(f"{value!r}: a percent sign is written %%, or encloses one of Envoy's variables")
    if any(character in value for character in "\r\n\0"):
        raise ValueError(f"{value!r}: a header has one line")
    return value


HeaderName = Annotated[str, AfterValidator(_name)]
"""Name of a header."""
HeaderText = Annotated[str, AfterValidator(_value)]
"""Value of a header, perhaps with Envoy's variables (``%REQ(x)%``)."""


class HeaderOperations(Model):
    """Edits of headers."""

    set: dict[HeaderName, HeaderText] | None = None
    add: dict[HeaderName, HeaderText] | None = None
    remove: tuple[HeaderName, ...] | None = None

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        for name in self.remove or ():
            if is_authority(name) or name.startswith(":"):
                raise ValueError(f"remove: header {name!r} cannot be removed")
        for name in {**(self.add or {}), **(self.set or {})}:
            if name.startswith(":") and not is_authority(name):
                raise ValueError(f"header {name!r} cannot be written; of the pseudo-headers only :authority can")
        return self


class Headers(Model):
    """Edits of the request's and the response's headers. Writing ``Host`` rewrites the host of the request."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None

    @model_validator(mode="after")
    def _no_host_in_answers(self) -> Self:
        response = self.response or HeaderOperations()
        for name in {**(response.add or {}), **(response.set or {})}:
            if is_authority(name):
                raise ValueError(f"response: header {name!r} cannot be written; only requests have a host")
        return self


def is_authority(name: str) -> bool:
    """Whether a header names the host of a request."""
    return name.lower() in ("host", ":authority")

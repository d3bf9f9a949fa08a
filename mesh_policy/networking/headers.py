"""Names and edits of headers."""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from mesh_policy.base import Model
from mesh_policy.networking.header_values import check_header_value

_TOKEN = re.compile(r"[!#$%&'*+,.^_`|~0-9A-Za-z-]+")
_PSEUDO = (":method", ":scheme", ":authority", ":path", ":status")
CLAIMS = "@request.auth.claims"
"""What begins the name of a "header" that is a claim of the request's token."""


def is_claim(name: str) -> bool:
    """Whether a match of headers names a claim: ``@request.auth.claims.sub`` or ``@request.auth.claims[a][b]``."""
    if name[: len(CLAIMS)].lower() != CLAIMS:
        return False
    rest = name[len(CLAIMS) :]
    return (rest.startswith(".") and len(rest) > 1) or (rest.startswith("[") and rest.endswith("]") and len(rest) > 2)


def is_token(name: str) -> bool:
    """Whether it is a header's name (RFC 9110, 5.6.2, and a comma, which Istio takes)."""
    return _TOKEN.fullmatch(name) is not None


def _matched_name(value: str) -> str:
    if not (is_token(value) or value in _PSEUDO or is_claim(value)):
        raise ValueError(f"{value!r} is no name of a header, nor a claim such as {CLAIMS}.sub")
    return value


def _named(value: str) -> str:
    if not value:
        raise ValueError("the name of a header must not be empty")
    return value


def _cors_name(value: str) -> str:
    if not is_token(value):
        raise ValueError(f"{value!r} is no name of a header")
    return value


HeaderName = Annotated[str, AfterValidator(_matched_name)]
"""Name of a header that is compared, of a pseudo-header, or of a claim."""
CorsHeaderName = Annotated[str, AfterValidator(_cors_name)]
"""Name of a header that a browser asks for; ``*`` is every one."""
EditedName = Annotated[str, AfterValidator(_named)]
"""Name of a header that is edited. Istio takes any text here."""
HeaderText = Annotated[str, AfterValidator(check_header_value)]
"""Value of a header, perhaps with Envoy's variables (``%REQ(x)%``)."""


class HeaderOperations(Model):
    """Edits of headers."""

    set: dict[EditedName, HeaderText] | None = None
    """Headers that are put in place of what there was."""
    add: dict[EditedName, HeaderText] | None = None
    """Headers that are put beside what there was."""
    remove: tuple[EditedName, ...] | None = None
    """Headers that are taken away."""

    @model_validator(mode="after")
    def _allowed(self) -> Self:
        for name in self.remove or ():
            if is_authority(name) or name.startswith(":"):
                raise ValueError(f"remove: header {name!r} cannot be removed")
        for name in self.written:
            if name.startswith(":") and not is_authority(name):
                raise ValueError(f"header {name!r} cannot be written; of the pseudo-headers only :authority can")
        return self

    @property
    def written(self) -> Iterator[str]:
        """Names of the headers that are set or added."""
        yield from self.set or {}
        yield from self.add or {}

    def authorities(self) -> Iterator[str]:
        """Values that are written as the host of the request."""
        for values in (self.set, self.add):
            yield from (value for name, value in (values or {}).items() if is_authority(name))


class Headers(Model):
    """Edits of the request's and the response's headers. Writing ``Host`` rewrites the host of the request."""

    request: HeaderOperations | None = None
    """Edits of the request, before it is sent on."""
    response: HeaderOperations | None = None
    """Edits of the response, before it goes to who asked."""

    @model_validator(mode="after")
    def _no_host_in_answers(self) -> Self:
        for name in self.response.written if self.response is not None else ():
            if is_authority(name):
                raise ValueError(f"response: header {name!r} cannot be written; only requests have a host")
        return self


def is_authority(name: str) -> bool:
    """Whether a header names the host of a request."""
    return name.lower() in ("host", ":authority")


def check_one_authority(values: Iterable[str]) -> None:
    """Refuses a host of the request that is written twice."""
    current = ""
    for value in values:
        if current:
            raise ValueError(f"the host of the request is written twice, as {current!r} and {value!r}; keep one")
        current = value

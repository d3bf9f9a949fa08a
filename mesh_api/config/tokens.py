"""Tokens of end users: who issues them, and which a request must have (Envoy ``filters.http.jwt_authn.v3``)."""

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True, slots=True)
class JwtHeader:
    """A header that may carry the token, behind ``prefix``."""

    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class JwtProvider:
    """An issuer and its keys, ``jwks`` (JSON), under a ``name`` that requirements refer to.

    An empty ``issuer`` or empty ``audiences`` take any. Without a place of its own (``from_*``) the token is in
    ``Authorization: Bearer`` or ``?access_token=``. What is in a verified token goes into the request's metadata under
    ``payload_in_metadata``, where the ``space_delimited_claims`` become lists, into the header ``forward_payload_header``
    as base64url, and claim by claim into headers (``claim_to_headers``, pairs of header and claim). ``forward``: the
    token itself goes on to the upstream. ``clear_route_cache``: the route is chosen again, by what the token says.
    """

    name: str
    issuer: str = ""
    jwks: str = ""
    audiences: tuple[str, ...] = ()
    forward: bool = False
    from_headers: tuple[JwtHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    forward_payload_header: str = ""
    payload_in_metadata: str = ""
    space_delimited_claims: tuple[str, ...] = ()
    claim_to_headers: tuple[tuple[str, str], ...] = ()
    clear_route_cache: bool = False


@dataclass(frozen=True, slots=True)
class JwtRequired:
    """A valid token of this provider."""

    provider: str


@dataclass(frozen=True, slots=True)
class JwtMayBeMissing:
    """No token at all (``allow_missing``); one that is there and not valid does not do."""


@dataclass(frozen=True, slots=True)
class JwtAnyOf:
    """One of these (``requires_any``)."""

    requirements: tuple["JwtRequirement", ...]


@dataclass(frozen=True, slots=True)
class JwtAllOf:
    """All of these (``requires_all``)."""

    requirements: tuple["JwtRequirement", ...]


JwtRequirement = Union[JwtRequired, JwtMayBeMissing, JwtAnyOf, JwtAllOf]  # noqa: UP007 (it refers to itself)
"""What a request must have."""


@dataclass(frozen=True, slots=True)
class JwtAuthnFilter:
    """``envoy.filters.http.jwt_authn``: refuses requests with 401 that do not have what every request must.

    Providers are sorted by name. ``bypass_cors_preflight``: preflight requests of CORS, which carry no token, pass.
    """

    providers: tuple[JwtProvider, ...]
    requirement: JwtRequirement
    bypass_cors_preflight: bool = False

"""Tokens of end users: who issues them, and which a request must have (Envoy ``filters.http.jwt_authn.v3``)."""

from dataclasses import dataclass
from typing import Final, Union

from mesh_api.config.matchers import StringMatch
from mesh_api.config.routes import PathMatch, PathMatchKind, RouteMatch

SECRET_MEMBERS: Final = frozenset({"k", "d", "p", "q", "dp", "dq", "qi", "oth"})
"""Members of a JSON Web Key that nobody but its owner should have (RFC 7518, 6.2.2, 6.3.2 and 6.4)."""


@dataclass(frozen=True, slots=True)
class JwtHeader:
    """A header that may carry the token, behind ``prefix``."""

    name: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class RemoteJwks:
    """Keys that are at ``uri``: asked for over ``cluster`` (each time for at most ``timeout`` seconds), and again after
    ``cache_duration`` seconds (``None``: Envoy's 300), or ``failed_refetch`` seconds after a failure (``None``: as the proxy
    thinks fit). ``async_fetch``: before a request needs them; ``fast_listener``: listeners do not wait for them."""

    uri: str
    cluster: str
    timeout: float | None = None
    cache_duration: float | None = None
    async_fetch: bool = False
    fast_listener: bool = False
    failed_refetch: float | None = None


@dataclass(frozen=True, slots=True)
class JwtProvider:
    """An issuer and its keys, ``jwks`` (JSON) or those at ``remote``, under a ``name`` that requirements refer to.

    An empty ``issuer`` or empty ``audiences`` take any. Without a place of its own (``from_*``) the token is in
    ``Authorization: Bearer`` or ``?access_token=``. What is in a verified token goes into the request's metadata under
    ``payload_in_metadata``, where the ``space_delimited_claims`` become lists, into the header ``forward_payload_header``
    as base64url (``pad_forward_payload_header``: with its padding), and claim by claim into headers (``claim_to_headers``,
    pairs of header and claim); the token's header goes into the metadata under ``header_in_metadata``. ``forward``: the
    token itself goes on to the upstream. ``clear_route_cache``: the route is chosen again, by what the token says.

    ``clock_skew`` are seconds by which clocks may differ (0: Envoy's 60), ``max_lifetime`` seconds from now on in which it
    must end; ``require_expiration``: it must end at all; ``subject``: whose it must be.
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
    pad_forward_payload_header: bool = False
    header_in_metadata: str = ""
    clock_skew: int = 0
    require_expiration: bool = False
    max_lifetime: float | None = None
    subject: StringMatch | None = None
    remote: RemoteJwks | None = None


@dataclass(frozen=True, slots=True)
class JwtRequired:
    """A valid token of this provider, for one of these ``audiences`` (empty: for those of the provider)."""

    provider: str
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JwtMayBeMissing:
    """No token at all (``allow_missing``); one that is there and not valid does not do."""


@dataclass(frozen=True, slots=True)
class JwtMayFail:
    """No token, or whatever stands in its place (``allow_missing_or_failed``)."""


@dataclass(frozen=True, slots=True)
class JwtAnyOf:
    """One of these (``requires_any``)."""

    requirements: tuple["JwtRequirement", ...]


@dataclass(frozen=True, slots=True)
class JwtAllOf:
    """All of these (``requires_all``)."""

    requirements: tuple["JwtRequirement", ...]


JwtRequirement = Union[JwtRequired, JwtMayBeMissing, JwtMayFail, JwtAnyOf, JwtAllOf]  # noqa: UP007 (it refers to itself)
"""What a request must have."""

EVERY_REQUEST: Final = RouteMatch(PathMatch(PathMatchKind.PREFIX, "/"))
"""What rules for everything match."""


@dataclass(frozen=True, slots=True)
class JwtRule:
    """What the requests that match must have; ``None``: nothing, and no token is looked at."""

    requirement: JwtRequirement | None = None
    match: RouteMatch = EVERY_REQUEST


@dataclass(frozen=True, slots=True)
class JwtAuthnFilter:
    """``envoy.filters.http.jwt_authn``: refuses requests with 401 that do not have what the first rule for them asks for.

    Providers are sorted by name. ``bypass_cors_preflight``: preflight requests of CORS, which carry no token, pass.
    ``strip_failure_response``: who is refused is not told why.
    """

    providers: tuple[JwtProvider, ...]
    rules: tuple[JwtRule, ...]
    bypass_cors_preflight: bool = False
    strip_failure_response: bool = False

"""RequestAuthentication: which tokens of end users are believed (Istio, ``security.istio.io/v1``)."""

import ipaddress
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, StringConstraints, model_validator

from mesh_policy.base import Flag, Model, Policy
from mesh_policy.durations import PositiveDuration
from mesh_policy.security.key_sets import check_key_set
from mesh_policy.selectors import Attached

Text = Annotated[str, StringConstraints(min_length=1)]


_ESCAPES = r"%[0-9A-Fa-f]{2}"
_URL = re.compile(r"(?i:https?):(//([^/?]*))?([^?#]*)(\?[^#]*)?(#.*)?")
_USER = re.compile(rf"(?:[A-Za-z0-9\-._~:!$&'()*+,;=@]|{_ESCAPES})*")
_HOST = re.compile(r"""(?:[A-Za-z0-9\-._~!$&'()*+,;=\]<>"]|[^\x00-\x7f]|%25|%[89A-Fa-f][0-9A-Fa-f])*(?::[0-9]*)?""")
_BRACKETS = re.compile(r"\[([^\]%]*)(?:%25[^\]]*)?\](?::[0-9]*)?")


def _url(value: str) -> str:
    """The URL when Go's ``url.Parse`` takes it, with a scheme of HTTP; :class:`ValueError` otherwise."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ValueError(f"{value!r}: a URL holds no control characters")
    parts = _URL.fullmatch(value)
    if parts is None:
        raise ValueError(f"{value!r} is no URL; it begins with https:// (or http://)")
    user, _, host = (parts[2] or "").rpartition("@")
    if not _USER.fullmatch(user) or not _is_host(host):
        raise ValueError(f"{value!r}: {host!r} is no host of a URL; write HOST or HOST:PORT")
    for part in (parts[3], parts[5] or ""):
        if re.search(r"%(?![0-9A-Fa-f]{2})", part):
            raise ValueError(f"{value!r}: after `%` two hexadecimal digits must follow")
    return value


def _is_host(host: str) -> bool:
    brackets = _BRACKETS.fullmatch(host)
    if brackets is None:
        return _HOST.fullmatch(host) is not None
    try:
        ipaddress.IPv6Address(brackets[1])
    except ValueError:
        return False
    return True


def _header(value: str) -> str:
    if not re.fullmatch(r"[-_A-Za-z0-9]+", value):
        raise ValueError(f"{value!r} is no name of a header; allowed are letters, digits, - and _")
    return value


KeySet = Annotated[str, AfterValidator(check_key_set)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_url)]


class JwtHeader(Model):
    """A header that may carry the token."""

    name: Text
    """Name of the header."""
    prefix: str | None = None
    """What stands before the token, with its blank, as in ``Bearer ``; unset: nothing."""


class ClaimToHeader(Model):
    """A claim that is written into a header of the request once the token is verified."""

    header: Annotated[str, AfterValidator(_header)]
    """Name of the header; what the client sent in it is removed."""
    claim: Text
    """Name of the claim; parts of nested ones are joined by dots."""


class JwtRule(Model):
    """Tokens of one issuer. A request without a token passes; one with a token that is not valid is refused with 401."""

    issuer: Text | None = None
    """The ``iss`` of the tokens; required unless ``jwksUri`` is given."""
    audiences: tuple[Text, ...] | None = None
    """Values of ``aud`` of which the token must have one; unset takes any."""
    jwks_uri: Url | None = Field(
        default=None,
        validation_alias=AliasChoices("jwksUri", "jwks_uri"),
        serialization_alias="jwksUri",
    )
    """Where the public keys are; unset: found from the issuer by OpenID Connect discovery."""
    jwks: KeySet | None = None
    """The public keys themselves, as JSON; not together with ``jwksUri``."""
    from_headers: tuple[JwtHeader, ...] | None = None
    """Headers that may carry the token; no place given at all: ``Authorization: Bearer``, and ``?access_token=``."""
    from_params: tuple[Text, ...] | None = None
    """Query parameters that may carry the token."""
    from_cookies: tuple[Text, ...] | None = None
    """Cookies that may carry the token."""
    output_payload_to_header: str | None = None
    """Header that gets the token's payload, as base64url."""
    forward_original_token: Flag | None = None
    """Whether the application gets the token as well; default false: it is removed."""
    output_claim_to_headers: tuple[ClaimToHeader, ...] | None = None
    """Claims that the application gets as headers."""
    timeout: PositiveDuration | None = None
    """How long fetching the keys may take; default 5s."""
    space_delimited_claims: Annotated[tuple[Text, ...], Field(max_length=64)] | None = None
    """Claims whose text is a list separated by blanks, besides ``scope`` and ``permission``; at most 64."""

    @model_validator(mode="after")
    def _keys(self) -> Self:
        if self.jwks_uri is not None and self.jwks is not None:
            raise ValueError("jwks and jwksUri exclude each other; keep one")
        if self.issuer is None and self.jwks_uri is None:
            raise ValueError("issuer is required (or jwksUri, for tokens of any issuer with these keys)")
        return self


class RequestAuthenticationSpec(Attached):
    """Rules of all policies that select a workload are joined. That a token is there is asked for by AuthorizationPolicy."""

    jwt_rules: Annotated[tuple[JwtRule, ...], Field(max_length=4096)] | None = None
    """Tokens that are believed, at most 4096 rules; none: every request passes without an identity."""


class RequestAuthentication(Policy):
    """See :class:`RequestAuthenticationSpec`."""

    GROUP: ClassVar[str] = "security.istio.io"
    KIND: ClassVar[str] = "RequestAuthentication"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: Literal["RequestAuthentication"] = "RequestAuthentication"
    spec: RequestAuthenticationSpec = Field(default_factory=RequestAuthenticationSpec)

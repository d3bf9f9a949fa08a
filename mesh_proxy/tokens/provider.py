"""An issuer, compiled: whether a token is one of its, and what becomes of the request (Envoy ``jwt_authn/authenticator``).

A token that was verified is remembered, so that the next request with it costs a look into a table; times and audiences are
looked at again. So is the last one that was not, for rules ask the same of one token more than once.
"""

import base64
import json
from collections.abc import Callable
from typing import Any, Final

from mesh_api.config import JwtProvider
from mesh_proxy.protocol.http1 import ALLOWED_IN_FIELDS, Field, Head, field_of
from mesh_proxy.routing.matchers import string_test
from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.keys import key_set
from mesh_proxy.tokens.places import Found, Places
from mesh_proxy.tokens.token import Token, read_token

_SKEW: Final = 60
"""Seconds by which clocks may differ, where nothing is said (Envoy)."""
_REMEMBERED: Final = 1024
_LONGEST: Final = 4096
"""Bytes of a token that is remembered (Envoy ``jwt_max_token_size``)."""
_LARGEST: Final = float(1 << 64)
_SCHEMES: Final = ("http://", "https://")
_PADDING: Final = (b"", b"===", b"==", b"=")


class ProviderError(ValueError):
    """A provider that cannot be run."""


class Asking:
    """One request on its way through the requirements, at a time (``now``, seconds since 1970).

    ``metadata`` is what verified tokens say, by the keys of their providers; ``reroute``: its route is to be chosen again.
    """

    __slots__ = ("head", "metadata", "now", "reroute")

    def __init__(self, head: Head, now: int) -> None:
        self.head = head
        self.now = now
        self.metadata: dict[str, object] | None = None
        self.reroute: bool = False

    def learn(self, key: str, members: dict[str, Any]) -> None:
        """Something that a verified token says."""
        if self.metadata is None:
            self.metadata = {}
        self.metadata[key] = members


class Verified:
    """A token that was signed by the provider, and what requests with it carry on: ``fields``, and ``claims`` as rules see
    them."""

    __slots__ = ("claims", "fields", "token")

    def __init__(self, token: Token, fields: list[Field], claims: dict[str, Any]) -> None:
        self.token = token
        self.fields = fields
        self.claims = claims


class Provider:
    """See the module's docstring. Raises :class:`ProviderError`, or what :func:`string_test` raises."""

    __slots__ = (
        "_audiences", "_claims", "_keys", "_last", "_last_refused", "_lifetime", "_remembered", "_skew", "_subject", "config",
        "names", "places",
    )  # fmt: skip

    def __init__(self, config: JwtProvider) -> None:
        self.config = config
        self.places = Places((config,))
        self._keys = key_set(config.jwks)
        if self._keys.empty and config.remote is None:
            raise ProviderError(f"provider {config.name!r}: {statuses.NO_KEYS}")
        self._audiences = audiences(config.audiences)
        self._claims = [(_name(header), claim.split(".")) for header, claim in config.claim_to_headers]
        own = [_name(config.forward_payload_header)] if config.forward_payload_header else []
        self.names: list[bytes] = [*own, *(name for name, _ in self._claims)]
        """Fields that it writes, and nobody else may have written."""
        self._skew: int = config.clock_skew or _SKEW
        self._lifetime: float = -1.0 if config.max_lifetime is None else config.max_lifetime
        self._subject: Callable[[bytes], bool] | None = None if config.subject is None else string_test(config.subject)
        self._remembered: dict[bytes, Verified] = {}
        self._last: bytes = b""
        self._last_refused: str = ""

    def verify(self, found: Found, asking: Asking, wanted: frozenset[str]) -> str:
        """Why the token does not do; empty: it does, and the request is as it goes on with it. ``wanted`` are audiences that
        take the place of the provider's own."""
        text = found.text
        known = self._remembered.get(text)
        token = read_token(text) if known is None else known.token
        why = token.status or ("" if found.place.takes(token.issuer) else statuses.UNKNOWN_ISSUER)
        why = why or self._untimely(token, asking.now) or self._unfit(token, wanted)
        if why:
            if why == statuses.EXPIRED and known is not None:
                del self._remembered[text]
            return why
        if known is None:
            why = self._unsigned(token, text)
            if why:
                return why
            known = self._remember(token, text)
        self._enrich(asking, known, found)
        return ""

    def _untimely(self, token: Token, now: int) -> str:
        if now + self._skew < token.begins:
            return statuses.EARLY
        return statuses.EXPIRED if token.ends and now > token.ends + self._skew else self._unending(token, now)

    def _unending(self, token: Token, now: int) -> str:
        """Why it is for too long."""
        if not token.ends:
            return statuses.WRONG_SIGNATURE if self.config.require_expiration or self._lifetime >= 0 else ""
        return statuses.WRONG_SIGNATURE if 0 <= self._lifetime < token.ends - now else ""

    def _unfit(self, token: Token, wanted: frozenset[str]) -> str:
        """Why it is nobody's who counts, or for somebody else."""
        if self._subject is not None and not self._subject(token.subject.encode()):
            return statuses.WRONG_SIGNATURE
        allowed = wanted or self._audiences
        if not allowed:
            return ""
        for one in token.audiences:
            if _audience(one) in allowed:
                return ""
        return statuses.WRONG_AUDIENCE

    def _unsigned(self, token: Token, text: bytes) -> str:
        if text == self._last:
            return self._last_refused
        why = self._keys.verify(token)
        if why:
            self._last, self._last_refused = text, why
        return why

    def _remember(self, token: Token, text: bytes) -> Verified:
        made = Verified(token, self._fields(token), self._normal(token.claims))
        if len(text) <= _LONGEST:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            self._remembered[text] = made
        return made

    def _fields(self, token: Token) -> list[Field]:
        """What the upstream is told of a token."""
        config = self.config
        fields: list[Field] = []
        if config.forward_payload_header:
            padding = _PADDING[len(token.payload) % 4] if config.pad_forward_payload_header else b""
            fields.append(field_of(_name(config.forward_payload_header), token.payload + padding))
        for name, path in self._claims:
            value = _written(_at(token.claims, path))
            # What would end the field or the head is not written: a claim is its issuer's words, and no proxy's.
            if value and not value.translate(None, ALLOWED_IN_FIELDS):
                fields.append(field_of(name, value))
        return fields

    def _normal(self, claims: dict[str, Any]) -> dict[str, Any]:
        """The claims with those as lists that are written with blanks between."""
        lists = {
            name: claims[name].split()
            for name in self.config.space_delimited_claims
            if isinstance(claims.get(name), str) and claims[name].strip(" ")
        }
        return {**claims, **lists} if lists else claims

    def _enrich(self, asking: Asking, known: Verified, found: Found) -> None:
        head, config = asking.head, self.config
        for field in known.fields:
            head.add(field)
        if not config.forward:
            found.place.clear(head)
        if config.header_in_metadata:
            asking.learn(config.header_in_metadata, known.token.header)
        if config.payload_in_metadata:
            asking.learn(config.payload_in_metadata, known.claims)
        if config.clear_route_cache:
            asking.reroute = True


def audiences(names: tuple[str, ...]) -> frozenset[str]:
    """Audiences, to be compared."""
    return frozenset(map(_audience, names))


def _audience(name: str) -> str:
    """One without its scheme and the slash at its end, which do not count (Envoy)."""
    for scheme in _SCHEMES:
        if name.startswith(scheme):
            name = name[len(scheme) :]
            break
    return name.removesuffix("/")


_NEVER: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"upgrade", b"te", b"expect"}
)


def _name(header: str) -> bytes:
    """The name of a field that tells something of a token."""
    name = header.lower().encode()
    if name[:1] == b":" or name in _NEVER:
        raise ProviderError(f"no token may say what a request's {header} is")
    return name


def _at(claims: dict[str, Any], path: list[str]) -> object:
    found: object = claims
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _written(value: object) -> bytes:
    """A claim as the value of a field, as Envoy writes it; empty: there is nothing to write."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float):
        whole = value >= 0 and float(value).is_integer() and value < _LARGEST
        return b"%d" % int(value) if whole else b"%f" % value
    if value is None:
        return b""
    return base64.b64encode(json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode())

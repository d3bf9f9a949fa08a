"""What becomes of a request's token: the proxy's own filter decides, with keys of the simulation in place of the issuers'.

No signature of an issuer is checked and no time is looked at: a token is signed anew, by the one key that the simulated
filter knows, so what its claims say counts as if it were good. All else (places, issuers, audiences, form) is as in a proxy.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mesh_api.config import FilterChain, HttpConnectionManager, JwtAuthnFilter, JwtHeader, JwtProvider
from mesh_api.config.authorization import JWT_AUTHN, JWT_PAYLOAD
from mesh_proxy.authorization import Access
from mesh_proxy.filters.base import Answer
from mesh_proxy.filters.jwt_authn import JwtAuthn
from mesh_proxy.protocol.http1 import Head, Parser, field_of
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.tokens.places import Places
from mesh_proxy.tokens.token import base64url, members
from mesh_simulation.connections import certain
from mesh_simulation.mesh import Mesh
from mesh_simulation.request import Request

_SECRET: Final = b"of simulations, for nothing else"
_KEYS: Final = json.dumps({"keys": [{"kty": "oct", "k": base64.urlsafe_b64encode(_SECRET).decode()}]})
_USUAL: Final = JwtProvider("usual")
NOBODY: Final = Access(None, b"", ("", 0))


@dataclass(frozen=True, slots=True)
class Token:
    """What became of the token: ``told`` for people, ``refused`` the details of a 401 or 403 (empty: it passes), and the
    claims that authorization may look at."""

    told: str = ""
    status: int = 0
    refused: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)


class _Simulated:
    """A filter of tokens whose clock is that of the token it looks at."""

    __slots__ = ("_now", "config", "filter")

    def __init__(self, config: JwtAuthnFilter) -> None:
        providers = tuple(replace(one, jwks=_KEYS) for one in config.providers)
        self.config = config  # which keeps its id from being used again
        self._now = 0.0
        self.filter = JwtAuthn(replace(config, providers=providers), Counters("simulated"), self._clock)

    def _clock(self) -> float:
        return self._now

    def begin(self, claims: Mapping[str, Any]) -> None:
        """It is the time from which a token with these claims holds."""
        begins = claims.get("nbf", 0)
        self._now = float(begins) if isinstance(begins, int | float) else 0.0


def filter_of(chain: FilterChain) -> JwtAuthnFilter | None:
    """The chain's filter of tokens."""
    manager = chain.filter
    filters = manager.http_filters if isinstance(manager, HttpConnectionManager) else ()
    return next((item for item in filters if isinstance(item, JwtAuthnFilter)), None)


def token(mesh: Mesh, request: Request, config: JwtAuthnFilter | None) -> Token:
    """What the filter of a proxy (``None``: it has none) makes of the request's token."""
    head = request.head(Parser())
    head.path, _, head.query = head.target.partition(b"?")
    if config is None:
        carried = request.claims is not None or Places((_USUAL,)).find(head)
        return Token("not looked at: no RequestAuthentication selects the workload") if carried else Token()
    simulated: _Simulated = mesh.memo.setdefault(("tokens", id(config)), _Simulated(config))
    if request.claims is not None:
        _carry(head, request.claims, config)
        simulated.begin(request.claims)
    for one in Places(config.providers).find(head):
        claims = _claims(one.text)
        if claims is not None:
            _put(head, one.text, _signed(claims))
            simulated.begin(claims)
    access = Access(head, NOBODY.peer, NOBODY.destination)
    verdict = simulated.filter.on_request(head, None, certain, access)
    if isinstance(verdict, Answer):
        reply = verdict.reply
        why = reply.body.decode() or reply.details
        return Token(f"refused: {why}", reply.status, reply.details)
    known = access.metadata.get(JWT_AUTHN)
    if not isinstance(known, Mapping):
        return Token("none: passes without an identity")
    claims = known.get(JWT_PAYLOAD, {})
    return Token(f"accepted, of {claims.get('iss')}", metadata=access.metadata)


def _carry(head: Head, claims: Mapping[str, Any], config: JwtAuthnFilter) -> None:
    """Puts a token with these claims where one of its issuer is looked for."""
    issuer = claims.get("iss", "")
    own = [one for one in config.providers if one.issuer in ("", issuer)] or list(config.providers)
    provider, text = own[0], _signed(claims)
    if provider.from_headers or not (provider.from_params or provider.from_cookies):
        where = (*provider.from_headers, JwtHeader("authorization", "Bearer "))[0]
        name = where.name.lower().encode()
        head.drop(name)
        head.add(field_of(name, where.prefix.encode() + text))
    elif provider.from_params:
        given = provider.from_params[0].encode() + b"=" + text
        head.query = head.query + b"&" + given if head.query else given
        head.target = head.path + b"?" + head.query
    else:
        head.add(field_of(b"cookie", provider.from_cookies[0].encode() + b"=" + text))


def _put(head: Head, before: bytes, after: bytes) -> None:
    """One text in the place of another, wherever it stands."""
    head.replace([field_of(field.name, field.value.replace(before, after)) for field in head.fields])
    head.query = head.query.replace(before, after)
    head.target = head.path + b"?" + head.query if head.query else head.path


def _claims(text: bytes) -> dict[str, Any] | None:
    """What a text says that has the form of a token; ``None``: it has not."""
    parts = text.split(b".")
    content = base64url(parts[1].rstrip(b"=")) if len(parts) == 3 else None
    return None if content is None else members(content)


def _signed(claims: Mapping[str, Any]) -> bytes:
    head, body = (_text(json.dumps(part).encode()) for part in ({"alg": "HS256"}, dict(claims)))
    signed = head + b"." + body
    return signed + b"." + _text(hmac.digest(_SECRET, signed, "sha256"))


def _text(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")

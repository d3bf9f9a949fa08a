"""Who asks, as the policies of a workload take it: the effective mode of PeerAuthentication, and what becomes of a token.

No signature is checked and no time is looked at: claims that are given count as those of a good token.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from mesh_api.config.authorization import JWT_AUTHN, JWT_PAYLOAD
from mesh_control.compiler.peer_authentication import PeerMode, effective
from mesh_policy import Policy
from mesh_policy.security.request_authentication import JwtRule
from mesh_simulation.mesh import Mesh
from mesh_simulation.request import Request
from mesh_simulation.transport import Mode


@dataclass(frozen=True, slots=True)
class Token:
    """What became of the token: ``told`` for people, ``refused`` the details of a 401 or 403 (empty: it passes), and the
    claims that authorization may look at."""

    told: str = ""
    status: int = 0
    refused: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)


NO_TOKEN = Token()


def effective_mode(mesh: Mesh, namespace: str, labels: Mapping[str, str], port: int) -> Mode:
    """The mode for a port of a workload, and the PeerAuthentication that says so."""
    key = ("mode", namespace, id(labels))  # which live as long as the mesh
    if key not in mesh.memo:
        mesh.memo[key] = effective(mesh.world, namespace, labels)
    found: PeerMode = mesh.memo[key]
    if port in found.ports:
        return Mode(found.ports[port].value, f"{_named(found.port_policy)} port {port}")
    return Mode(found.mode.value, _named(found.policy))


def _named(policy: Policy | None) -> str:
    return "" if policy is None else f"{policy.kind} {policy.metadata.namespace}/{policy.metadata.name}"


# Tokens.


def token(request: Request, rules: Sequence[JwtRule]) -> Token:
    """What the rules of the RequestAuthentications for a workload make of the request's token."""
    claims = _carried(request, rules) if request.claims is None else request.claims
    if not rules:
        return NO_TOKEN if claims is None else Token("not looked at: no RequestAuthentication selects the workload")
    if claims is None:
        return Token("none: passes without an identity")
    if isinstance(claims, str):
        return _refused(claims)
    issuer = claims.get("iss")
    own = [rule for rule in rules if rule.issuer in (None, issuer)]
    if not own:
        return _refused("Jwt issuer is not configured")
    audiences = _list(claims.get("aud"))
    if not any(not rule.audiences or set(rule.audiences) & set(audiences) for rule in own):
        return _refused("Audiences in Jwt are not allowed", 403)
    return Token(f"accepted, of {issuer}", metadata={JWT_AUTHN: {JWT_PAYLOAD: _split(claims, own)}})


SPACE_DELIMITED = ("permission", "scope")
"""Claims that hold several values in one text whatever the rule says (Istio)."""


def _split(claims: Mapping[str, Any], rules: Sequence[JwtRule]) -> dict[str, Any]:
    """The claims, with the values of those that blanks divide one by one, as conditions look for them."""
    more = (name for rule in rules for name in rule.space_delimited_claims or ())
    found = dict(claims)
    for name in (*SPACE_DELIMITED, *more):
        if isinstance(found.get(name), str):
            found[name] = found[name].split()
    return found


def _refused(why: str, status: int = 401) -> Token:
    return Token(f"refused: {why}", status, f"jwt_authn_access_denied{{{why.replace(' ', '_')}}}")


def _list(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [] if value is None else [str(value)]


def _carried(request: Request, rules: Sequence[JwtRule]) -> Mapping[str, Any] | str | None:
    """The claims of the token that the request carries where a rule looks for it; why it is none, as text; ``None`` when
    there is none. Without rules the usual place is looked at, to tell that nobody reads it."""
    fields = {name.lower(): value for name, value in request.headers.items()}
    query = _query(request.target.partition("?")[2])
    for rule in rules or (None,):
        text = _text(rule, fields, query)
        if text is not None:
            return _claims(text)
    return None


@lru_cache(maxsize=1024)
def _query(text: str) -> Mapping[str, str]:
    return dict(parse_qsl(text))


def _text(rule: JwtRule | None, fields: Mapping[str, str], query: Mapping[str, str]) -> str | None:
    """The first token at the rule's own places; without any, after ``Bearer`` in ``Authorization``, or ``access_token``."""
    headers = [(h.name.lower(), h.prefix or "") for h in (rule.from_headers or ())] if rule is not None else []
    parameters = list(rule.from_params or ()) if rule is not None else []
    if not headers and not parameters and not (rule is not None and rule.from_cookies):
        headers, parameters = [("authorization", "Bearer ")], ["access_token"]
    for name, prefix in headers:
        value = fields.get(name)
        if value is not None and value.startswith(prefix):
            return value[len(prefix) :].strip()
    found = next((query[name] for name in parameters if name in query), None)
    if found is None and rule is not None and rule.from_cookies:
        cookies = dict(part.strip().partition("=")[::2] for part in fields.get("cookie", "").split(";"))
        found = next((cookies[name] for name in rule.from_cookies if name in cookies), None)
    return found


def _claims(text: str) -> Mapping[str, Any] | str:
    parts = text.split(".")
    if len(parts) != 3:
        return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return "Jwt payload is an invalid Base64url encoded"
    return payload if isinstance(payload, dict) else "Jwt payload is an invalid JSON"

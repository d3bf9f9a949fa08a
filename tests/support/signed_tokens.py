"""Tokens of end users in tests: keys that are made anew for each run, and tokens that they sign.

A file of cases (tests/parity) has ``tokens`` by name; ``${NAME}`` in a case is that token, and ``$jwks KEY ...`` in its
configuration the set of these keys. ``KEY:kid=ID:alg=NAME`` says something else of a key than its own name and nothing;
``kid=`` leaves it out.

Of a token may be said: ``key`` (who signs; default ``rsa``), ``alg`` (default: the key's own), ``header`` and ``claims``
(over what a good token has; nothing takes a member out, and ``now+60`` is a time, seen from when the token is made),
``head``, ``body`` and ``signature`` (these bytes in place of what would be there), and ``form``, how the three parts are
joined.
"""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER: Final = "testing@example.com"
FORM: Final = "{head}.{body}.{signature}"
USUAL: Final = {
    "rsa": "RS256", "rsa2": "RS256", "ec256": "ES256", "ec384": "ES384", "ec521": "ES512", "ed": "EdDSA", "oct": "HS256"
}  # fmt: skip
"""Keys by name, and what they sign with unless a token says otherwise."""

_HASHES: Final[dict[str, Any]] = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES: Final = {
    "ec256": ("P-256", ec.SECP256R1), "ec384": ("P-384", ec.SECP384R1), "ec521": ("P-521", ec.SECP521R1)
}  # fmt: skip
_SECRET: Final = b"a secret of the cases, known to nobody else"
_TIME: Final = re.compile(r"now([+-]\d+)")
_NAMED: Final = re.compile(r"\$\{([^}]+)\}")


def url64(data: bytes) -> str:
    """Base64url without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def key(name: str) -> Any:
    """The private key of that name."""
    if name == "oct":
        return _SECRET
    if name == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    if name in _CURVES:
        return ec.generate_private_key(_CURVES[name][1]())
    return rsa.generate_private_key(65537, 2048)


def public(name: str) -> dict[str, str]:
    """What a set of keys says of it (RFC 7517, RFC 8037)."""
    made = key(name)
    if name == "oct":
        return {"kty": "oct", "k": url64(_SECRET), "kid": name}
    if name == "ed":
        return {"kty": "OKP", "crv": "Ed25519", "x": url64(made.public_key().public_bytes_raw()), "kid": name}
    numbers = made.public_key().public_numbers()
    if name in _CURVES:
        size = (made.key_size + 7) // 8
        x, y = (url64(number.to_bytes(size)) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": _CURVES[name][0], "x": x, "y": y, "kid": name}
    return {"kty": "RSA", "n": url64(numbers.n.to_bytes(256)), "e": url64(numbers.e.to_bytes(3)), "kid": name}


def key_set(wanted: str) -> str:
    """The set of keys, as JSON, of the words after ``$jwks``."""
    keys = []
    for word in wanted.split():
        name, *changes = word.split(":")
        entry = public(name)
        for change in changes:
            member, _, value = change.partition("=")
            entry[member] = value
        keys.append({member: value for member, value in entry.items() if value})
    return json.dumps({"keys": keys})


def signed(name: str, alg: str, data: bytes) -> bytes:
    """The signature of the key over the data (RFC 7518, 3)."""
    made, kind = key(name), _HASHES.get(alg[2:])
    if name == "ed":
        return bytes(made.sign(data))
    if alg.startswith("HS"):
        secret = made if name == "oct" else _pem(made)
        return hmac.new(secret, data, getattr(hashlib, f"sha{alg[2:]}")).digest()
    assert kind is not None
    if name in _CURVES:
        size = (made.key_size + 7) // 8
        return b"".join(part.to_bytes(size) for part in decode_dss_signature(made.sign(data, ec.ECDSA(kind()))))
    if alg.startswith("PS"):
        return bytes(made.sign(data, padding.PSS(padding.MGF1(kind()), kind.digest_size), kind()))
    return bytes(made.sign(data, padding.PKCS1v15(), kind()))


def _pem(private: Any) -> bytes:
    """The public half as text: what a verifier that takes any key for a secret would verify with."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def token(described: Mapping[str, Any]) -> str:
    """The token that is described; see the module's docstring."""
    name = described.get("key", "rsa")
    alg = described.get("alg", USUAL[name])
    header = {"alg": alg, "typ": "JWT", "kid": name, **described.get("header", {})}
    claims = {"iss": ISSUER, "sub": "tester", "exp": "now+3600", **described.get("claims", {})}
    head = _part(described.get("head"), header)
    body = _part(described.get("body"), claims)
    given = described.get("signature")
    signing = alg if alg[2:] in _HASHES or name == "ed" else USUAL[name]
    signature = signed(name, signing, f"{head}.{body}".encode()) if given is None else given.encode()
    return str(described.get("form", FORM)).format(head=head, body=body, signature=url64(signature))


def _part(given: str | None, otherwise: Mapping[str, Any]) -> str:
    if given is not None:
        return url64(given.encode())
    members = {name: _timed(value) for name, value in otherwise.items() if value is not None}
    return url64(json.dumps(members, separators=(",", ":")).encode())


def _timed(value: Any) -> Any:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else int(time.time()) + int(found[1])


def filled(value: Any, tokens: Mapping[str, Mapping[str, Any]]) -> Any:
    """A part of a case with its tokens."""
    if isinstance(value, dict):
        return {name: filled(item, tokens) for name, item in value.items()}
    if isinstance(value, list):
        return [filled(item, tokens) for item in value]
    if isinstance(value, str):
        return _NAMED.sub(_replacing(tokens), value)
    return value


def _replacing(tokens: Mapping[str, Mapping[str, Any]]) -> Callable[[re.Match[str]], str]:
    made: dict[str, str] = {}

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name not in made:
            made[name] = token(tokens[name])
        return made[name]

    return replace

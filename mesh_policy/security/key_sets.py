"""JSON Web Key Sets as far as a policy is judged by them (RFC 7517): whether they can be read, and what they give away."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from mesh_policy import json_text

MEMBERS = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
    "oct": ("k",),
}
"""Kind of key to the members that it must have (RFC 7518, 6; RFC 8037, 2)."""
CURVES = {"EC": ("P-256", "P-384", "P-521", "secp256k1"), "OKP": ("Ed25519", "X25519", "Ed448", "X448")}
"""Curves that Istio's library knows."""
PRIVATE = ("d", "k")
"""Members that nobody but the issuer should have."""


def check_key_set(text: str) -> str:
    """The set, or a single key, when it can be read; :class:`ValueError` that names the key and its member otherwise.

    Empty text is no set at all, as a field that is not there.
    """
    for place, key in enumerate(_keys(text)):
        for problem in _problems(key):
            raise ValueError(f"key {place}: {problem}")
    return text


def private_keys(text: str) -> list[int]:
    """Indexes of the keys that hold private material."""
    return [place for place, key in enumerate(_keys(text)) if any(member in key for member in PRIVATE)]


def _keys(text: str) -> list[Mapping[str, Any]]:
    if not text:
        return []
    try:
        value = json_text.parse(text, _no_constant)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError('must be a JSON object such as {"keys": [...]}')
    keys = value.get("keys", [value])
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ValueError("keys: must be a list of keys, each a JSON object")
    return keys


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no value of JSON")


def _problems(key: Mapping[str, Any]) -> Iterator[str]:
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in MEMBERS:
        yield f"kty {kind!r}: known are {', '.join(MEMBERS)}"
        return
    for member in MEMBERS[kind]:
        value = key.get(member)
        if not isinstance(value, str) or (member == "crv" and not value):
            yield f"{member} is required for kty {kind}, as text"
        elif member == "crv":
            if value not in CURVES[kind]:
                yield f"crv {value!r}: known are {', '.join(CURVES[kind])}"
        elif not _is_base64(value):
            yield f"{member} is no base64url text"
    yield from _other_problems(key)


def _other_problems(key: Mapping[str, Any]) -> Iterator[str]:
    """Of members that may be there."""
    for member in ("alg", "kid", "x5t", "x5t#S256"):
        if not isinstance(key.get(member, ""), str):
            yield f"{member} must be text"
    operations, chain, secret = key.get("key_ops", []), key.get("x5c", []), key.get("d", "")
    if not isinstance(operations, list):
        yield "key_ops must be a list"
    if not isinstance(chain, list) or not all(isinstance(item, str) and _is_base64(item) for item in chain):
        yield "x5c must be a list of certificates in base64"
    if not isinstance(secret, str) or not _is_base64(secret):
        yield "d is no base64url text"


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text.translate(_URL) + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_URL = str.maketrans("-_", "+/")

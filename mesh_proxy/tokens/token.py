"""A token, read (RFC 7515, 3.1; RFC 7519): strictly, for what two programs could read differently is refused.

Base64url comes without padding, blanks and other letters, JSON in UTF-8 and with each member once. Nothing here is verified.
"""

import base64
import binascii
import json
import re
from typing import Any, Final

from mesh_proxy.tokens import statuses

ALGORITHMS: Final = frozenset(
    {
        "ES256",
        "ES384",
        "ES512",
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "EdDSA",
    }
)
"""Of RFC 7518 and RFC 8037; ``none`` is not among them."""

_LETTERS: Final = re.compile(rb"[A-Za-z0-9_-]*\Z")
_PADDING: Final = (b"", b"", b"==", b"=")
_TEXTS: Final = ("iss", "sub")
_TIMES: Final = ("iat", "nbf", "exp")
_END_OF_TIMES: Final = float(1 << 64)
_DEEPEST: Final = 100
_WHOLE: Final = 1e21
"""Below it a whole number is written without an exponent."""


class Token:
    """``status`` says why it is none; then nothing else counts.

    ``signed`` is what the ``signature`` is over. ``begins`` and ``ends`` are seconds since 1970; 0: it always has, it never
    does. ``payload`` are the claims as they came. Numbers in ``header`` and ``claims`` are what a double can hold.
    """

    __slots__ = (
        "algorithm", "audiences", "begins", "claims", "ends", "header", "issuer", "key_id", "payload", "signature", "signed",
        "status", "subject",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status: str = ""
        self.header: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.payload: bytes = b""
        self.signed: bytes = b""
        self.signature: bytes = b""
        self.algorithm: str = ""
        self.key_id: str = ""
        self.issuer: str = ""
        self.subject: str = ""
        self.audiences: list[str] = []
        self.begins: int = 0
        self.ends: int = 0


def read_token(text: bytes) -> Token:
    """The token that the text is; never raises."""
    token = Token()
    parts = text.split(b".")
    if len(parts) != 3 or not all(parts):
        token.status = statuses.BAD_FORMAT
        return token
    token.payload = parts[1]
    token.signed = parts[0] + b"." + parts[1]
    token.status = _read_header(token, parts[0]) or _read_claims(token, parts[1])
    if not token.status:
        signature = base64url(parts[2])
        if signature is None:
            token.status = statuses.SIGNATURE_BASE64
        else:
            token.signature = signature
    return token


def _read_header(token: Token, part: bytes) -> str:
    content = base64url(part)
    if content is None:
        return statuses.HEADER_BASE64
    header = members(content)
    if header is None:
        return statuses.HEADER_JSON
    token.header = header
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str):
        return statuses.BAD_ALGORITHM
    if algorithm not in ALGORITHMS:
        return statuses.UNKNOWN_ALGORITHM
    if not isinstance(key_id, str):
        return statuses.BAD_KEY_ID
    token.algorithm, token.key_id = algorithm, key_id
    # What is critical must be understood (RFC 7515, 4.1.11), and no extension is.
    return statuses.WRONG_SIGNATURE if "crit" in header else ""


def _read_claims(token: Token, part: bytes) -> str:
    content = base64url(part)
    if content is None:
        return statuses.PAYLOAD_BASE64
    claims = members(content)
    if claims is None:
        return statuses.PAYLOAD_JSON
    token.claims = claims
    for name in _TEXTS:
        if not isinstance(claims.get(name, ""), str):
            return statuses.not_text(name)
    token.issuer, token.subject = claims.get("iss", ""), claims.get("sub", "")
    for name in _TIMES:
        why = _no_time(name, claims.get(name, 0))
        if why:
            return why
    token.begins, token.ends = int(claims.get("nbf", 0)), int(claims.get("exp", 0))
    if not isinstance(claims.get("jti", ""), str):
        return statuses.not_text("jti")
    audiences = claims.get("aud", [])
    listed = audiences if isinstance(audiences, list) else [audiences]
    for one in listed:
        if not isinstance(one, str):
            return statuses.BAD_AUDIENCES
    token.audiences = listed
    return ""


def _no_time(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return statuses.not_time(name)
    return "" if 0 <= value < _END_OF_TIMES else statuses.no_such_time(name)


def base64url(part: bytes) -> bytes | None:
    """What is written in base64url without padding (RFC 7515, 2); ``None``: it is not, or could be written otherwise."""
    if _LETTERS.match(part) is None or len(part) % 4 == 1:
        return None
    try:
        found = base64.urlsafe_b64decode(part + _PADDING[len(part) % 4])
    except binascii.Error:
        return None
    # Bits that are left over are zero (RFC 4648, 3.5): there is one text for one token.
    return found if base64.urlsafe_b64encode(found).rstrip(b"=") == part else None


def members(content: bytes) -> dict[str, Any] | None:
    """The members of a JSON object (RFC 8259), of ``null`` none; ``None`` for anything else."""
    try:
        text = content.decode()
        found = json.loads(
            text, parse_int=_number, parse_float=_number, parse_constant=_refuse, object_pairs_hook=_each_once
        )
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        return None
    if found is None:
        return {}
    return found if isinstance(found, dict) and not _is_deep(found) else None


def _is_deep(value: object) -> bool:
    """Whether it is nested beyond what everybody behind can follow (protobuf's limit, and so Envoy's)."""
    level = [value]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        if not below:
            return False
        level = below
    return True


def _number(text: str) -> int | float:
    value = float(text)
    if abs(value) < _WHOLE:
        return int(value) if value.is_integer() else value
    if abs(value) == float("inf"):
        raise ValueError(text)
    return value


def _refuse(text: str) -> float:
    """``NaN`` and the like, which Python takes and JSON does not have."""
    raise ValueError(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found

"""What clients and hosts say of codings of bodies (RFC 9110 8.4, 12.5.3), as Envoy reads it."""

from typing import Final

from mesh_proxy.protocol.http1 import Head

CODING: Final = b"gzip"
_IDENTITY: Final = b"identity"
_ANY: Final = b"*"
_CODINGS_ON_THE_WAY: Final = (b"gzip", b"deflate")


def has_token(value: bytes | None, token: bytes) -> bool:
    """Whether a list has a word, in whatever letters."""
    if value is None:
        return False
    wanted = token.lower()
    return wanted in [part.strip(b" \t").lower() for part in value.split(b",")]


def type_in(value: bytes | None, types: frozenset[bytes]) -> bool:
    """Whether a ``Content-Type`` is one of these; who says none says nothing against it (Envoy)."""
    return value is None or value.partition(b";")[0].strip(b" \t").lower() in types


def transferable(head: Head) -> bool:
    """Whether a body is not compressed for its way already (``Transfer-Encoding``)."""
    for value in head.values(b"transfer-encoding"):
        for coding in _CODINGS_ON_THE_WAY:
            if has_token(value, coding):
                return False
    return True


def preferred(accepted: bytes | None) -> str:
    """How an ``Accept-Encoding`` puts gzip, by the name under which Envoy counts it: ``header_compressor_used`` or
    ``header_wildcard`` where gzip is what is wanted most."""
    if accepted is None:
        return "no_accept_header"
    best, most, refused = b"", 0.0, False
    for part in accepted.split(b","):
        name, _, parameters = part.partition(b";")
        coding = name.strip(b" \t")
        quality = _quality(parameters)
        if coding == CODING and not quality:
            refused = True
        if quality > most and coding in (CODING, _IDENTITY, _ANY):
            best, most = coding, quality
    if not best:
        return "header_not_valid"
    if best == _IDENTITY or (best == _ANY and refused):
        return "header_identity"
    return "header_wildcard" if best == _ANY else "header_compressor_used"


def _quality(parameters: bytes) -> float:
    """The weight of a coding; one that is no number is nothing worth."""
    name, equals, value = parameters.partition(b"=")
    if not equals or name.strip(b" \t").lower() != b"q":
        return 1.0
    text = value.strip(b" \t")
    if not text.replace(b".", b"", 1).isdigit():
        return 0.0
    return float(text)

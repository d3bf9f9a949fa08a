"""Secrets that the configuration names: certificates with their keys, and the roots that others are believed by."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TlsCertificate:
    """A certificate with those above it, and its key; PEM. ``staple`` is what its authority says of it (OCSP, DER)."""

    name: str
    chain: bytes
    key: bytes = field(repr=False)
    staple: bytes = b""


@dataclass(frozen=True, slots=True)
class TrustedRoots:
    """Roots, and the list of what was revoked (empty: none); PEM."""

    name: str
    roots: bytes
    revoked: bytes = b""


Secret = TlsCertificate | TrustedRoots

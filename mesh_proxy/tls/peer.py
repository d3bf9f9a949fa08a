"""Who the other end of a connection has proven to be, from its certificate."""

import ssl
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final


class Peer:
    """The other end of a connection. Without a certificate everything is empty.

    ``principals`` are all names of the certificate by which rules may know it: URIs, then DNS names, then the subject
    (Envoy 1.40, measured); one empty name where there is none, or no certificate. ``expires`` is when the certificate does,
    in seconds of wall time (0: it is not known).
    """

    __slots__ = ("addresses", "certificate", "dns", "expires", "principals", "subject", "uris")

    def __init__(self, certificate: bytes, described: Mapping[str, Any]) -> None:
        names = described.get("subjectAltName", ())
        self.certificate = certificate
        """DER."""
        self.uris = tuple(_told(value) for kind, value in names if kind == "URI")
        self.dns = tuple(_told(value) for kind, value in names if kind == "DNS")
        self.addresses = tuple(value for kind, value in names if kind == "IP Address")
        self.subject = _subject(described.get("subject", ()))
        found = (*self.uris, *self.dns, *((self.subject,) if self.subject else ()))
        self.principals: tuple[bytes, ...] = found or (b"",)
        until = described.get("notAfter")
        self.expires: float = 0.0 if until is None else float(ssl.cert_time_to_seconds(until))

    @property
    def names(self) -> tuple[bytes, ...]:
        """The subject's alternative names."""
        return (*self.uris, *self.dns)

    @property
    def listed(self) -> str:
        """All alternative names, for people."""
        return ",_".join([*(name.decode("latin-1") for name in self.names), *self.addresses])

    def is_for(self, name: str) -> bool:
        """Whether the certificate is for a host: one of its names, which may have a star, or of its addresses (Envoy's
        ``verifySubjectAltName``)."""
        wanted = name.encode()
        if wanted in self.uris or any(dns_name_fits(wanted, pattern) for pattern in self.dns):
            return True
        address = _address(name)
        return address is not None and any(_address(known) == address for known in self.addresses)


def dns_name_fits(name: bytes, pattern: bytes) -> bool:
    """Whether a name of a certificate stands for ``name``: a star in its first label stands for characters of one label, but
    not of one that is written in another alphabet (RFC 6125 6.4.3)."""
    name, pattern = name.lower(), pattern.lower()
    if name == pattern:
        return True
    label, dot, rest = name.partition(b".")
    star, dotted, domain = pattern.partition(b".")
    if not dot or not dotted or rest != domain or label.startswith(b"xn--"):
        return False
    before, found, after = star.partition(b"*")
    fits = label.startswith(before) and label.endswith(after) and len(label) >= len(star) - 1
    return bool(found) and fits and bool(label)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text.strip())
    except ValueError:
        return None


_BYTES: Final = tuple(bytes((byte,)) for byte in range(256))
_SHORT: Final = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "localityName": "L", "stateOrProvinceName": "ST", "domainComponent": "DC", "userId": "UID", "streetAddress": "STREET",
}  # fmt: skip


def _told(name: str) -> bytes:
    """A URI or a host as heads and logs may have it. Neither has control characters, but a certificate may say so: what
    follows a line end would be a field of its own (Envoy refuses requests that it had to tell of it)."""
    return b"".join(b"%%%02X" % byte if byte < 32 or byte == 127 else _BYTES[byte] for byte in name.encode())


def _subject(parts: tuple[tuple[tuple[str, str], ...], ...]) -> bytes:
    """As RFC 2253 writes it: the last part first."""
    found = (
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in names) for names in reversed(parts)
    )
    return ",".join(found).encode()


def _escaped(value: str) -> str:
    """Control characters and all beyond ASCII byte by byte (OpenSSL's ``XN_FLAG_RFC2253``): it becomes a part of heads."""
    made = "".join(map(_escaped_character, value))
    if made[:1] in (" ", "#"):
        made = "\\" + made
    return made[:-1] + "\\ " if made.endswith(" ") else made


def _escaped_character(char: str) -> str:
    if " " <= char <= "~":
        return f"\\{char}" if char in ',+"\\<>;' else char
    return "".join(f"\\{byte:02X}" for byte in char.encode(errors="replace"))


NOBODY: Final = Peer(b"", {})

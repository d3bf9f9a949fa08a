"""Who the other end of a connection has proven to be, from its certificate."""

from collections.abc import Mapping
from typing import Any, Final


class Peer:
    """The other end of a connection. Without a certificate everything is empty.

    ``principals`` are all names of the certificate by which rules may know it: URIs, then DNS names, then the subject
    (Envoy 1.40, measured); one empty name where there is none, or no certificate.
    """

    __slots__ = ("certificate", "dns", "principals", "subject", "uris")

    def __init__(self, certificate: bytes, described: Mapping[str, Any]) -> None:
        names = described.get("subjectAltName", ())
        self.certificate = certificate
        """DER."""
        self.uris = tuple(value.encode() for kind, value in names if kind == "URI")
        self.dns = tuple(value.encode() for kind, value in names if kind == "DNS")
        self.subject = _subject(described.get("subject", ()))
        found = (*self.uris, *self.dns, *((self.subject,) if self.subject else ()))
        self.principals: tuple[bytes, ...] = found or (b"",)

    @property
    def names(self) -> tuple[bytes, ...]:
        """The subject's alternative names."""
        return (*self.uris, *self.dns)


_SHORT: Final = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "localityName": "L", "stateOrProvinceName": "ST", "domainComponent": "DC", "userId": "UID", "streetAddress": "STREET",
}  # fmt: skip


def _subject(parts: tuple[tuple[tuple[str, str], ...], ...]) -> bytes:
    """As RFC 2253 writes it: the last part first."""
    found = (
        "+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in names) for names in reversed(parts)
    )
    return ",".join(found).encode()


def _escaped(value: str) -> str:
    made = "".join(f"\\{char}" if char in ',+"\\<>;' else char for char in value)
    if made[:1] in (" ", "#"):
        made = "\\" + made
    return made[:-1] + "\\ " if made.endswith(" ") else made


NOBODY: Final = Peer(b"", {})

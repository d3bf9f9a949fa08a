"""What access logs tell of certificates beyond names: read from them when it is asked for, once for each certificate."""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final


def serial_of(number: int) -> str:
    """A serial number as Envoy writes it: whole bytes in hexadecimal."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big").hex()


class Certificate:
    """The parts of one certificate. Dates are seconds since 1970."""

    __slots__ = ("begins", "ends", "fingerprint_1", "fingerprint_256", "issuer", "mails", "networks", "pem", "serial")

    def __init__(self, encoded: bytes) -> None:
        """``encoded`` is in DER."""
        from cryptography import x509  # heavy, and of no use to who logs nothing of it
        from cryptography.hazmat.primitives.serialization import Encoding

        found = x509.load_der_x509_certificate(encoded)
        self.serial = serial_of(found.serial_number).encode()
        self.issuer = found.issuer.rfc4514_string().encode()
        self.fingerprint_1 = hashlib.sha1(encoded, usedforsecurity=False).hexdigest().encode()
        self.fingerprint_256 = hashlib.sha256(encoded).hexdigest().encode()
        self.begins = found.not_valid_before_utc.timestamp()
        self.ends = found.not_valid_after_utc.timestamp()
        self.pem = found.public_bytes(Encoding.PEM)
        self.mails: tuple[bytes, ...] = ()
        self.networks: tuple[bytes, ...] = ()
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return
        self.mails = tuple(name.encode() for name in names.get_values_for_type(x509.RFC822Name))
        self.networks = tuple(str(name).encode() for name in names.get_values_for_type(x509.IPAddress))


@lru_cache(maxsize=1024)
def certificate_of(encoded: bytes) -> Certificate:
    """The parts of a certificate in DER."""
    return Certificate(encoded)


def _quoted(pem: bytes) -> bytes:
    from urllib.parse import quote

    return quote(pem.decode(), safe="").encode()


PARTS: Final[dict[str, Callable[[Certificate], bytes]]] = {
    "SERIAL": lambda found: found.serial,
    "ISSUER": lambda found: found.issuer,
    "FINGERPRINT_1": lambda found: found.fingerprint_1,
    "FINGERPRINT_256": lambda found: found.fingerprint_256,
    "CERT": lambda found: _quoted(found.pem),
    "EMAIL_SAN": lambda found: b",".join(found.mails),
    "IP_SAN": lambda found: b",".join(found.networks),
}
"""What ends the name of an operator to what it tells."""

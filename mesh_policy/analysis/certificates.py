"""What is wrong with the certificate of a secret. Reads as much of X.509 as that needs."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from mesh_policy.objects import Secret

PAIRS = (("cert", "key"), ("tls.crt", "tls.key"))
"""Keys of a secret that hold a certificate and its private key."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME, _GENERALIZED_TIME, _SEQUENCE = 0x17, 0x18, 0x30


def problem_of(secret: Secret, now: datetime | None = None) -> str:
    """What is wrong, as the end of a sentence; empty when a gateway can use the secret.

    Without ``now`` nothing is said of certificates that are too old or too young.
    """
    data = next((secret.data[cert] for cert, key in PAIRS if secret.data.get(cert) and secret.data.get(key)), None)
    if data is None:
        keys = ", ".join(sorted(secret.data)) or "nothing"
        return f"has no certificate with its key (tls.crt and tls.key, or cert and key); it has {keys}"
    blocks = _PEM.findall(data)
    if not blocks:
        return "holds no certificate in PEM form"
    try:
        begin, end = validity(base64.b64decode(b"".join(blocks[0].split()), validate=True))
    except (ValueError, IndexError, binascii.Error):
        return "holds a certificate that cannot be read"
    if now is not None and not begin <= now <= end:
        return f"holds a certificate that is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d} only; renew it"
    return ""


def validity(certificate: bytes) -> tuple[datetime, datetime]:
    """When an X.509 certificate (DER) begins and ends to be valid (RFC 5280, 4.1). :class:`ValueError` when it is none."""
    signed = _content(_content(certificate, _SEQUENCE), _SEQUENCE)
    for tag, content in _elements(signed):
        times = [(t, c) for t, c in _elements(content)] if tag == _SEQUENCE else []
        if len(times) == 2 and all(t in (_UTC_TIME, _GENERALIZED_TIME) for t, _ in times):
            return _time(*times[0]), _time(*times[1])
    raise ValueError("no certificate")


def _content(data: bytes, tag: int) -> bytes:
    found, content = next(_elements(data), (0, b""))
    if found != tag:
        raise ValueError("no certificate")
    return content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tags and contents of the values in DER."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4:
                raise ValueError("no certificate")
            length = int.from_bytes(data[place : place + size], "big")
            place += size
        if place + length > len(data):
            raise ValueError("the certificate is cut off")
        yield tag, data[place : place + length]
        place += length


def _time(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text  # RFC 5280, 4.1.2.5.1
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)

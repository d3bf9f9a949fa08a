"""Certificates of proxies on this machine, and on machines that are made of its namespaces: until when each is valid.

Reads only what its owner lets it read. Nothing but Python is needed, so the two times are looked for in the DER form.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

STATE = "var/lib/meshwright/proxy"
MACHINES = "var/lib/meshwright/machines"
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_TIME = rb"(?:\x17\x0d(\d{12})Z|\x18\x0f(\d{14})Z)"
_VALIDITY = re.compile(rb"\x30[\x1e\x20\x22]" + _TIME + _TIME, re.DOTALL)
"""RFC 5280, 4.1.2.5: a sequence of two times, until 2049 with two digits of the year."""


@dataclass(frozen=True)
class Certificate:
    """Of the proxy ``proxy`` (``NAME``, or ``NAME on MACHINE of ENVIRONMENT``); ``expires`` in seconds since 1970."""

    proxy: str
    expires: float


def certificates(root: Path = Path("/")) -> tuple[Certificate, ...]:
    """Every one that can be read, in the order of the names."""
    return tuple(sorted(_found(root), key=lambda found: found.proxy))


def _found(root: Path) -> Iterator[Certificate]:
    for folder, suffix in _states(root):
        for file in folder.glob("*/identity/identity.pem"):
            try:
                expires = expiry(file.read_text())
            except (OSError, ValueError):
                continue
            yield Certificate(f"{file.parent.parent.name}{suffix}", expires)


def _states(root: Path) -> Iterator[tuple[Path, str]]:
    yield root / STATE, ""
    for disk in (root / MACHINES).glob("*/*/upper"):
        yield disk / STATE, f" on {disk.parent.name} of {disk.parent.parent.name}"


def expiry(text: str) -> float:
    """When the first certificate of a text expires. Raises :class:`ValueError` for a text without any."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError("no certificate")
    found = _VALIDITY.search(ssl.PEM_cert_to_DER_cert(text[begin : end + len(END)] + "\n"))
    if found is None:
        raise ValueError("no certificate")
    short, long = found[3], found[4]
    if long is None:
        # RFC 5280, 4.1.2.5.1: years from 50 are those of the last century.
        long = (b"19" if short[:2] >= b"50" else b"20") + short
    return datetime.strptime(long.decode(), "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc).timestamp()

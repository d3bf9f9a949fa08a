"""A certificate authority that is given, under the names of Istio's secret ``cacerts``: as files, or in a Secret."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from cryptography import x509

from mesh_control.ca import pem
from mesh_control.ca.certificates import Signer
from mesh_control.ca.pem import PemError

CERTIFICATE, KEY, ROOTS, CHAIN = "ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"
MAX_DEPTH = 8
"""Certificates from what signs to a root; peers refuse longer ways."""

Extension = TypeVar("Extension", bound=x509.ExtensionType)


class GivenError(ValueError):
    """What is given cannot be used; the message names the place, the file and what is wrong."""


def read(folder: Path, now: float) -> Signer:
    """The signing certificate, its key, its chain and the roots. Raises :class:`GivenError`.

    ``cert-chain.pem`` may be missing, may begin with the signing certificate and end with a root, as Istio's does.
    """
    key_file, chain_file = folder / KEY, folder / CHAIN
    try:
        if key_file.stat().st_mode & 0o007:
            raise GivenError(f"{key_file}: everybody may open it; chmod 600 it, and think about who had it")
        texts = {name: (folder / name).read_bytes() for name in (CERTIFICATE, KEY, ROOTS)}
        if chain_file.exists():
            texts[CHAIN] = chain_file.read_bytes()
    except OSError as error:
        raise GivenError(f"{error.filename}: {error.strerror}") from None
    return of(texts, str(folder), now)


def of(texts: Mapping[str, bytes], place: str, now: float) -> Signer:
    """As :func:`read`, of what stands under those names in ``place``. Raises :class:`GivenError`.

    An empty ``root-cert.pem``, as Istio leaves it beside a root that signs itself, stands for that root.
    """
    try:
        [certificate, *more] = _certificates(texts, CERTIFICATE)
        key = pem.read_key(texts.get(KEY, b""))
        roots = _certificates(texts, ROOTS) if texts.get(ROOTS) or not _issued(certificate, certificate) else None
        links = [*more, *(_certificates(texts, CHAIN) if texts.get(CHAIN) else ())]
    except PemError as error:
        raise GivenError(f"{place}: {error}") from None
    if pem.public_bytes(key.public_key()) != pem.public_bytes(pem.checked(certificate.public_key())):
        raise GivenError(f"{place}: {KEY} is not the key of {CERTIFICATE}")
    trusted = roots or (certificate,)
    chain = _way(certificate, links, trusted, place)
    for depth, link in enumerate(chain):
        _check(link, depth, now, place)
    return Signer(certificate, key, tuple(link for link in chain if link not in trusted), trusted)


def _certificates(texts: Mapping[str, bytes], name: str) -> tuple[x509.Certificate, ...]:
    try:
        return pem.read_certificates(texts.get(name, b""))
    except PemError as error:
        raise PemError(f"{name}: {error}") from None


def _way(
    certificate: x509.Certificate, links: list[x509.Certificate], roots: tuple[x509.Certificate, ...], place: str
) -> list[x509.Certificate]:
    """From what signs to a root that is trusted."""
    way = [certificate]
    while way[-1] not in roots:
        above = next((c for c in (*roots, *links) if c not in way and _issued(way[-1], c)), None)
        if above is None or len(way) == MAX_DEPTH:
            raise GivenError(f"{place}: no way leads from {CERTIFICATE} by {CHAIN} to a certificate of {ROOTS}")
        way.append(above)
    return way


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # by kind of key it raises everything there is, and none of it is a proof
        return False
    return True


def _check(certificate: x509.Certificate, depth: int, now: float, place: str) -> None:
    """As every peer will: in its time, a CA, with room for what is below it (RFC 5280, 4.2.1.9)."""
    name = certificate.subject.rfc4514_string() or "the certificate without a subject"
    if not pem.begins(certificate) <= now < pem.expires(certificate):
        raise GivenError(f"{place}: {name} is valid from {_day(certificate, False)} to {_day(certificate, True)}")
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    # RFC 5280, 6.1.4 (k) and (n): without a usage every use is allowed; version 1 has no constraints, and is a root at most.
    is_authority = constraints.ca if constraints is not None else _is_old_root(certificate)
    if not is_authority or (usage is not None and not usage.key_cert_sign):
        raise GivenError(f"{place}: {name} may not sign certificates")
    room = None if constraints is None else constraints.path_length
    if room is not None and room < depth:
        raise GivenError(f"{place}: {name} allows {room} authorities below it; there are {depth}")


def _is_old_root(certificate: x509.Certificate) -> bool:
    return certificate.version is x509.Version.v1 and certificate.subject == certificate.issuer


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _day(certificate: x509.Certificate, end: bool) -> str:
    return (certificate.not_valid_after_utc if end else certificate.not_valid_before_utc).isoformat()

"""A certificate authority that is given as files, under the names of Istio's secret ``cacerts``."""

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
    """The files cannot be used; the message names the file and what is wrong."""


def read(folder: Path, now: float) -> Signer:
    """The signing certificate, its key, its chain and the roots. Raises :class:`GivenError`.

    ``cert-chain.pem`` may be missing, may begin with the signing certificate and end with a root, as Istio's does.
    """
    key_file = folder / KEY
    try:
        if key_file.stat().st_mode & 0o007:
            raise GivenError(f"{key_file}: everybody may open it; chmod 600 it, and think about who had it")
        [certificate, *more] = _certificates(folder / CERTIFICATE)
        key = pem.read_key(key_file.read_bytes())
        roots = _certificates(folder / ROOTS)
        chain_file = folder / CHAIN
        links = [*more, *(_certificates(chain_file) if chain_file.exists() else ())]
    except OSError as error:
        raise GivenError(f"{error.filename}: {error.strerror}") from None
    except PemError as error:
        raise GivenError(f"{folder}: {error}") from None
    if pem.public_bytes(key.public_key()) != pem.public_bytes(pem.checked(certificate.public_key())):
        raise GivenError(f"{key_file} is not the key of {CERTIFICATE}")
    chain = _way(certificate, links, roots, folder)
    for depth, link in enumerate(chain):
        _check(link, depth, now, folder)
    return Signer(certificate, key, tuple(link for link in chain if link not in roots), roots)


def _certificates(path: Path) -> tuple[x509.Certificate, ...]:
    try:
        return pem.read_certificates(path.read_bytes())
    except PemError as error:
        raise PemError(f"{path.name}: {error}") from None


def _way(
    certificate: x509.Certificate, links: list[x509.Certificate], roots: tuple[x509.Certificate, ...], folder: Path
) -> list[x509.Certificate]:
    """From what signs to a root that is trusted."""
    way = [certificate]
    while way[-1] not in roots:
        above = next((c for c in (*roots, *links) if c not in way and _issued(way[-1], c)), None)
        if above is None or len(way) == MAX_DEPTH:
            raise GivenError(f"{folder}: no way leads from {CERTIFICATE} by {CHAIN} to a certificate of {ROOTS}")
        way.append(above)
    return way


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # by kind of key it raises everything there is, and none of it is a proof
        return False
    return True


def _check(certificate: x509.Certificate, depth: int, now: float, folder: Path) -> None:
    """As every peer will: in its time, a CA, with room for what is below it (RFC 5280, 4.2.1.9)."""
    name = certificate.subject.rfc4514_string() or "the certificate without a subject"
    if not pem.begins(certificate) <= now < pem.expires(certificate):
        raise GivenError(f"{folder}: {name} is valid from {_day(certificate, False)} to {_day(certificate, True)}")
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    # RFC 5280, 6.1.4 (k) and (n): without a usage every use is allowed; version 1 has no constraints, and is a root at most.
    is_authority = constraints.ca if constraints is not None else _is_old_root(certificate)
    if not is_authority or (usage is not None and not usage.key_cert_sign):
        raise GivenError(f"{folder}: {name} may not sign certificates")
    room = None if constraints is None else constraints.path_length
    if room is not None and room < depth:
        raise GivenError(f"{folder}: {name} allows {room} authorities below it; there are {depth}")


def _is_old_root(certificate: x509.Certificate) -> bool:
    return certificate.version is x509.Version.v1 and certificate.subject == certificate.issuer


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _day(certificate: x509.Certificate, end: bool) -> str:
    return (certificate.not_valid_after_utc if end else certificate.not_valid_before_utc).isoformat()

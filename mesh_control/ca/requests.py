"""Requests for certificates (PKCS #10): what one may contain, and which identity it gets. Pure.

A request says little that counts: its key, which its signature proves to be the sender's, and the identity that is asked for.
Everything else in it is passed over, but for what asks for more than an identity, which is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mesh_api.identity import IdentityError, SpiffeId
from mesh_control.ca import pem
from mesh_control.ca.pem import PemError, PublicKey
from mesh_control.ca.tokens import Grant

MAX_CHARACTERS = 32 * 1024
"""Of a request: one with an RSA key of 8192 bits has some 3,000."""
_BEGIN = "-----BEGIN"


class RequestError(ValueError):
    """A request that cannot be used, whoever sends it."""


class ForbiddenError(PermissionError):
    """A request for what its sender has not proven to be."""


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request whose sender has the key. ``identity`` is the one asked for, if any; ``foreign`` every other name in it."""

    key: PublicKey
    identity: SpiffeId | None
    foreign: tuple[str, ...]

    def granted(self, grant: Grant) -> SpiffeId:
        """The identity that the certificate will have: the one asked for, else the only one that is proven.

        Raises :class:`ForbiddenError`, or :class:`RequestError` when several are proven and none is asked for.
        """
        if self.foreign:
            raise ForbiddenError(f"the request asks for {', '.join(self.foreign)}; proven is {grant}")
        wanted = self.identity or grant.single
        if wanted is None:
            raise RequestError(f"the request names no identity; several are proven: {grant}")
        if not grant.covers(wanted):
            raise ForbiddenError(f"the request asks for {wanted}; proven is {grant}")
        return wanted


def check(text: str) -> CheckedRequest:
    """Reads a request in PEM. Raises :class:`RequestError`."""
    if len(text) > MAX_CHARACTERS or text.count(_BEGIN) != 1:
        raise RequestError(f"the request is not one PEM block of at most {MAX_CHARACTERS} characters")
    try:
        request = x509.load_pem_x509_csr(text.encode())
        key = pem.checked(request.public_key())
        _prove(request)
        _refuse_authority(request)
        names = tuple(_names(request))
    except RequestError:
        raise
    except PemError as error:
        raise RequestError(str(error)) from None
    except pem.UNREADABLE as error:
        raise RequestError(f"the request cannot be read: {error}") from None
    identities = {name for name in names if isinstance(name, SpiffeId)}
    foreign = [str(name) for name in names if not isinstance(name, SpiffeId)]
    if len(identities) > 1:  # SPIFFE's X509-SVID, section 2: exactly one
        return CheckedRequest(key, None, (*foreign, *map(str, sorted(identities))))
    return CheckedRequest(key, next(iter(identities), None), tuple(foreign))


def _prove(request: x509.CertificateSigningRequest) -> None:
    if not isinstance(request.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise RequestError("the request is signed with a hash other than SHA-256, SHA-384 or SHA-512")
    if not request.is_signature_valid:
        raise RequestError("the request's signature is not that of its key")


def _refuse_authority(request: x509.CertificateSigningRequest) -> None:
    try:
        constraints = request.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return
    if constraints.ca:
        raise RequestError("the request asks for a certificate that signs others")


def _names(request: x509.CertificateSigningRequest) -> Iterator[SpiffeId | str]:
    """Every subject alternative name. The subject itself is no name here: it is never copied."""
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names:
        if not isinstance(name, x509.UniformResourceIdentifier):
            yield f"a name of the kind {type(name).__name__}"
            continue
        try:
            yield SpiffeId.parse(name.value)
        except IdentityError:
            yield f"{name.value[:200]!r}"

"""How whoever asks for a certificate proves who it is: one protocol, and what needs nothing from outside to look at.

An authenticator answers ``None`` when it was shown nothing of its kind. One proof is enough: an agent of Istio's goes on
showing the token that it began with when that has expired and its certificate is what counts. Who showed nothing is nobody.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from mesh_api.identity import SpiffeId
from mesh_control.ca import pem, tokens
from mesh_control.ca.authority import Authority, Caller, DeniedError
from mesh_control.ca.tokens import Grant


@dataclass(frozen=True, slots=True)
class Credentials:
    """What came with a call: the bearer token, or nothing; and the certificate of the connection's other end, which has been
    verified against the roots that are trusted, or ``None``. ``address`` is where the call comes from, for the log."""

    bearer: str = ""
    certificate: x509.Certificate | None = None
    address: str = ""


class Authenticator(Protocol):
    """One kind of proof."""

    async def authenticate(self, shown: Credentials, now: float) -> Caller | None:
        """Who proves to be what. Raises :class:`~mesh_control.ca.authority.DeniedError` for a proof that is none."""


@dataclass(frozen=True, slots=True)
class JoinTokens:
    """Believes whoever has a join token."""

    authority: Authority

    async def authenticate(self, shown: Credentials, now: float) -> Caller | None:
        """See :class:`Authenticator`."""
        if not tokens.is_token(shown.bearer):
            return None
        token = await asyncio.to_thread(self.authority.token_of, shown.bearer, now)
        return Caller(token.grant, f"join token {token.id}", token=token.id)


@dataclass(frozen=True, slots=True)
class PeerCertificates:
    """Believes whoever has a workload's certificate that is still valid and was not revoked: for the same identity."""

    authority: Authority

    async def authenticate(self, shown: Credentials, now: float) -> Caller | None:
        """See :class:`Authenticator`."""
        certificate = shown.certificate
        if certificate is None:
            return None
        # The handshake has looked at the time, too; but a connection may last longer than a certificate.
        if not pem.begins(certificate) <= now < pem.expires(certificate):
            raise DeniedError("the certificate of the connection is not valid now")
        identity = identity_of(certificate)
        if identity.trust_domain != self.authority.terms.trust_domain:
            raise DeniedError(f"{identity} is of another trust domain")
        serial = f"{certificate.serial_number:x}"
        if await asyncio.to_thread(self.authority.is_revoked, serial):
            raise DeniedError(f"certificate {serial} was revoked")
        return Caller(Grant.of(identity), f"certificate {serial}", serial=serial)


def identity_of(certificate: x509.Certificate) -> SpiffeId:
    """The workload that a certificate names. Raises :class:`~mesh_control.ca.authority.DeniedError` when it names none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        # SPIFFE's X509-SVID, section 2: one URI, no more.
        [uri] = found.get_values_for_type(x509.UniformResourceIdentifier)
        identity = SpiffeId.parse(uri)
    except (x509.ExtensionNotFound, *pem.UNREADABLE) as error:
        raise DeniedError(f"the certificate of the connection has no SPIFFE id: {error}") from None
    if not identity.is_workload:
        raise DeniedError(f"{identity} is no workload's")
    return identity


async def authenticate(authenticators: Sequence[Authenticator], shown: Credentials, now: float) -> Caller:
    """Who the first one that is convinced says. Raises :class:`~mesh_control.ca.authority.DeniedError` with all reasons."""
    reasons = []
    for authenticator in authenticators:
        try:
            caller = await authenticator.authenticate(shown, now)
        except DeniedError as reason:
            reasons.append(str(reason))
            continue
        if caller is not None:
            return caller
    raise DeniedError("; ".join(reasons) or "nothing was shown that proves an identity")

"""The certificate under which the webhook serves: of the control plane's authority, and replaced while connections stand."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, AuthorityError
from mesh_control.ca.certificates import SigningError
from mesh_control.ca.store import StoreError, write_private

log = logging.getLogger("mesh_control.webhook")

RENEWAL = 0.5
"""Part of a certificate's life after which the next one is used."""
LATEST = 0.1
"""Part of a certificate's life that is left when the next one is used even where its root may not be known yet."""
TURN = 30.0
"""Seconds between two looks, at most."""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A key and its certificate with the chain, in PEM; ``expires`` is in seconds since 1970."""

    key: bytes
    chain: str
    expires: float


class Issuer(Protocol):
    """Who gives certificates for serving."""

    def issue(self, names: Sequence[str], now: float) -> ServerCertificate:
        """A certificate for these names. Raises :class:`IssueError`."""

    def bundle(self) -> str:
        """The roots (PEM) by one of which a client verifies it."""

    def signer(self) -> str:
        """Names who signs now: another one means another certificate. Raises :class:`IssueError`."""


class IssueError(RuntimeError):
    """There is no certificate to be had now; the message says why."""


@dataclass(frozen=True, slots=True)
class AuthorityIssuer:
    """Certificates of the control plane's own authority."""

    authority: Authority

    def issue(self, names: Sequence[str], now: float) -> ServerCertificate:
        """See :class:`Issuer`."""
        try:
            key, chain = self.authority.serve(names, now)
        except (AuthorityError, SigningError, StoreError) as error:
            raise IssueError(str(error)) from None
        return ServerCertificate(pem.write_key(key), pem.write_certificates(chain), pem.expires(chain[0]))

    def bundle(self) -> str:
        """See :class:`Issuer`."""
        return self.authority.bundle()

    def signer(self) -> str:
        """See :class:`Issuer`."""
        try:
            return self.authority.signer().name
        except AuthorityError as error:
            raise IssueError(str(error)) from None


class Keeper:
    """Keeps ``context`` good for serving under the names. ``folder`` is the control plane's own.

    ``covers`` says whether whoever asks knows a root (PEM): before that no certificate under another root is used, as long
    as the former one is good. Raises :class:`IssueError` when there is no first certificate.
    """

    def __init__(self, issuer: Issuer, names: Sequence[str], folder: Path, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self._names = names
        self._folder = folder
        self._clock = clock
        self._signer = ""
        self._renewal = 0.0
        self._latest = 0.0
        self.covers: Callable[[str], bool] = lambda root: True
        self.root = ""
        """The root (PEM) of the certificate under which is served."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A session that goes on would go on under the former certificate.
        self.context.options |= ssl.OP_NO_TICKET
        self.context.num_tickets = 0
        self.refresh()

    def refresh(self) -> bool:
        """Use the next certificate, if it is time; whether it was. New connections get it, those that stand keep theirs."""
        now = self._clock()
        signer = self.issuer.signer()
        if now < self._renewal and signer == self._signer:
            return False
        root = pem.write_certificates(pem.read_certificates(self.issuer.bundle())[:1])
        if self.root not in ("", root) and now < self._latest and not self.covers(root):
            return False
        fresh = self.issuer.issue(self._names, now)
        if self.issuer.signer() != signer:
            return False  # it changed meanwhile: next time
        # OpenSSL reads keys from files only: it is there for as long as it takes, for nobody else to open.
        file = self._folder / "webhook.pem"
        try:
            write_private(file, fresh.key + fresh.chain.encode())
            self.context.load_cert_chain(file)
        except OSError as error:
            raise IssueError(f"{file}: {error.strerror}") from None
        finally:
            file.unlink(missing_ok=True)
        self._signer, self._renewal, self.root = signer, now + (fresh.expires - now) * RENEWAL, root
        self._latest = fresh.expires - (fresh.expires - now) * LATEST
        return True

    async def run(self) -> None:
        """Refresh when it is time, for ever. What fails is told, and tried again."""
        told = ""
        while True:
            await asyncio.sleep(max(1.0, min(TURN, (self._renewal - self._clock()) / 10)))
            try:
                await asyncio.to_thread(self.refresh)
                told = ""
            except IssueError as error:
                if str(error) != told:
                    log.error("no next certificate for the webhook: %s", error)
                told = str(error)

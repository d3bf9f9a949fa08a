"""The workload's certificate: asked for with a join token, kept on the disk, renewed at half of its life with a new key.

The service is Istio's ``IstioCertificateService`` at the control plane's own address; who it is is known by roots in a file
until the first certificate is there, and by those that came with it from then on. A join token that was written after the
certificate is an order to join anew: the certificate is of an authority that may be gone. A key and its certificates are one
file, so that a crash leaves the former pair or the next one.
"""

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_api.identity_service import METHOD, CertificateRequest, CertificateResponse, MessageError
from mesh_proxy.bootstrap import ControlPlane, Identity
from mesh_proxy.supervisor.ads import BACK_OFF_BASE, BACK_OFF_MAX, TokenError, channel_to, read_token

log = logging.getLogger(__name__)

RENEWAL: Final = (0.4, 0.5)
"""Part of a certificate's life after which the next one is asked for, chosen at random so that proxies do not come at once;
Istio's agent has half (``SECRET_GRACE_PERIOD_RATIO``)."""
ANSWER_SECONDS: Final = 10.0
"""How long an answer of the authority is waited for."""


class IdentityError(RuntimeError):
    """There is no certificate; the message says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Held:
    """What is kept: until when the certificate is valid, and when it was got (seconds since 1970)."""

    expires: float
    since: float

    def renewal(self, share: float) -> float:
        """When that share of its life will have gone."""
        return self.since + (self.expires - self.since) * share


class IdentityKeeper:
    """Keeps the files of ``identity`` good for as long as :meth:`run` runs. ``ready`` is set while they are.

    ``failed`` is told why there is no certificate, or no next one.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        identity: Identity,
        failed: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.ready = asyncio.Event()
        self._control_plane = control_plane
        self._identity = identity
        self._failed = failed
        self._clock = clock
        self._jitter = jitter

    @property
    def held(self) -> Held | None:
        """The certificate of now; ``None`` for none, one that cannot be used, or one older than the token."""
        return held(self._identity)

    async def run(self) -> None:
        """Gets and renews, for ever."""
        limit = BACK_OFF_BASE
        while True:
            found = self.held
            now = self._clock()
            if found is not None and now < found.expires:
                self.ready.set()
                due = found.renewal(self._jitter(*RENEWAL))
                if now < due:
                    await asyncio.sleep(due - now)
            else:
                self.ready.clear()
            reason = await self._attempt()
            if reason:
                log.warning("no certificate: %s", reason)
                self._failed(f"no certificate: {reason}")
                limit = min(limit * 2, BACK_OFF_MAX)
            else:
                limit = BACK_OFF_BASE
            # Also after success: a certificate that lives for seconds is not asked for without pause.
            await asyncio.sleep(self._jitter(limit / 2, limit))

    async def _attempt(self) -> str:
        try:
            await self._obtain()
        except (IdentityError, TokenError, OSError) as error:
            return str(error)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except Exception as error:
            # The traffic needs no next certificate to go on.
            log.exception("the certificate cannot be renewed")
            return type(error).__name__
        return ""

    async def _obtain(self) -> None:
        found = self.held
        known = found is not None and self._clock() < found.expires
        tls = self._identity.shown() if known else self._identity.joining()
        # With a certificate no token is shown: one that is used up would be no proof.
        metadata = () if known else (("authorization", f"Bearer {self._token()}"),)
        key = ec.generate_private_key(ec.SECP256R1())
        channel = channel_to(self._control_plane, tls)
        try:
            call = channel.unary_unary(METHOD)
            sent = CertificateRequest(_request(key)).to_bytes()
            answer = await call(sent, timeout=ANSWER_SECONDS, metadata=metadata, wait_for_ready=False)
        finally:
            await channel.close()
        expires = self._keep(key, _chain(answer))
        self.ready.set()
        log.info("certificate %s until %s", "renewed" if known else "received", time.ctime(expires))

    def _token(self) -> str:
        # Kubernetes lets every user of a pod read its tokens, and puts the volume into the proxy's container alone.
        return read_token(self._identity.token_file, shared=not self._identity.token_is_replaced)

    def _keep(self, key: ec.EllipticCurvePrivateKey, answer: tuple[str, ...]) -> float:
        """Writes the files, the roots first: whoever reads in between has old roots and old key, or new roots, which hold
        the old ones as long as these count. Returns when the certificate expires."""
        *chain, roots = answer
        try:
            (leaf,) = x509.load_pem_x509_certificates(chain[0].encode())
            x509.load_pem_x509_certificates(roots.encode())
        except ValueError:
            raise IdentityError("the authority's answer holds no certificates") from None
        if leaf.public_key() != key.public_key():
            raise IdentityError("the authority's answer is for another key")
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._identity.folder.mkdir(mode=0o700, exist_ok=True)
        _write_private(self._identity.roots, roots.encode())
        _write_private(self._identity.pair, secret + "".join(chain).encode())
        return leaf.not_valid_after_utc.timestamp()


def held(identity: Identity) -> Held | None:
    """What the files hold; ``None`` when that is nothing, or when a token was written after it."""
    try:
        since = identity.pair.stat().st_mtime
        leaf = x509.load_pem_x509_certificates(identity.pair.read_bytes())[0]
        if not identity.roots.exists():
            return None
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError):  # a token that is gone is no order
        if not identity.token_is_replaced and identity.token_file.stat().st_mtime > since:
            return None
    return Held(leaf.not_valid_after_utc.timestamp(), since)


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    """A request without a name: the authority knows the only one that is proven."""
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def _chain(answer: Any) -> tuple[str, ...]:
    try:
        chain = CertificateResponse.from_bytes(answer).chain
    except MessageError:
        raise IdentityError("the authority's answer cannot be read") from None
    if len(chain) < 2:
        raise IdentityError("the authority's answer holds no certificate and roots")
    return chain


def _write_private(path: Path, content: bytes) -> None:
    """Whole or not at all, and never open to others."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)

"""A workload that asks a control plane for its certificate: makes a key, asks with a token, renews with what it got."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from mesh_api.identity_service import METHOD, CertificateRequest, CertificateResponse

ISTIOD = "istiod.istio-system.svc"
LIMIT = 20.0
"""Seconds after which an answer is given up."""


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """PKCS #8 without a password."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request_pem(
    key: Any,
    uris: Sequence[str] = (),
    others: Sequence[x509.GeneralName] = (),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    common_name: str = "",
    algorithm: Any = None,
) -> str:
    """A request for these names, with these extensions (and whether each is critical) beside."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    names = [*map(x509.UniformResourceIdentifier, uris), *others]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@dataclass(slots=True)
class Workload:
    """One workload, with its key and what it was given."""

    identity: str
    roots: str
    port: int
    name: str = ISTIOD
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    chain: tuple[str, ...] = ()

    @contextlib.asynccontextmanager
    async def connected(self, *, shown: bool) -> AsyncIterator[Any]:
        """A connection to the control plane; with the certificate ``shown``, or without."""
        credentials = grpc.ssl_channel_credentials(
            self.roots.encode(),
            key_pem(self.key) if shown else None,
            "".join(self.chain).encode() if shown else None,
        )
        options = [("grpc.ssl_target_name_override", self.name), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(f"127.0.0.1:{self.port}", credentials, options=options) as channel:
            yield channel

    async def ask(
        self, token: str = "", *, shown: bool = False, request: str | None = None, seconds: int = 0, **metadata: Any
    ) -> tuple[str, ...]:
        """The answer's chain; :class:`grpc.aio.AioRpcError` when there is none."""
        async with self.connected(shown=shown) as channel:
            return await self.ask_on(channel, token, request=request, seconds=seconds, **metadata)

    async def ask_on(
        self, channel: Any, token: str = "", *, request: str | None = None, seconds: int = 0, **metadata: Any
    ) -> tuple[str, ...]:
        """As :meth:`ask`, on a connection that is there."""
        csr = request_pem(self.key, [self.identity]) if request is None else request
        call = channel.unary_unary(METHOD)
        headers = [("authorization", f"Bearer {token}")] if token else []
        sent = CertificateRequest(csr, seconds, metadata).to_bytes()
        answer = await call(sent, timeout=LIMIT, metadata=headers, wait_for_ready=False)
        return CertificateResponse.from_bytes(answer).chain

    async def join(self, token: str, seconds: int = 0) -> None:
        """Get the first certificate."""
        self._take(await self.ask(token, seconds=seconds))

    async def renew(self, seconds: int = 0) -> None:
        """Get the next one with the present one, for a new key."""
        fresh = ec.generate_private_key(ec.SECP256R1())
        chain = await self.ask(shown=True, request=request_pem(fresh, [self.identity]), seconds=seconds)
        self.key = fresh
        self._take(chain)

    def _take(self, answer: tuple[str, ...]) -> None:
        *chain, roots = answer
        self.chain, self.roots = tuple(chain), roots

    @property
    def certificate(self) -> x509.Certificate:
        """The present one."""
        return x509.load_pem_x509_certificate(self.chain[0].encode())

    def context(self, folder: Path, *, server: bool) -> ssl.SSLContext:
        """TLS with the present certificate, where both sides need one of the present roots."""
        file = folder / f"{os.urandom(8).hex()}.pem"
        file.write_bytes(key_pem(self.key) + "".join(self.chain).encode())
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False  # the peer's identity is no host's name
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_cert_chain(file)
        made.load_verify_locations(cadata=self.roots)
        file.unlink()
        return made

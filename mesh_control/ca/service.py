"""``IstioCertificateService/CreateCertificate`` over gRPC: bytes in, a proof looked at, a certificate or a status out."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from mesh_api import identity_service as wire
from mesh_control.ca.authentication import Authenticator, Credentials, authenticate
from mesh_control.ca.authority import Authority, AuthorityError, Caller, DeniedError, LifetimeError
from mesh_control.ca.certificates import SigningError
from mesh_control.ca.front import Peer
from mesh_control.ca.limits import Limiter
from mesh_control.ca.requests import ForbiddenError, RequestError
from mesh_control.ca.store import StoreError
from mesh_control.metrics import Metrics

log = logging.getLogger("mesh_control.ca")

MAX_MESSAGE = 256 * 1024
"""Bytes of a request."""
MAX_DETAILS = 1000
"""Characters of a reason: it may quote what was sent, and travels in a header."""
TLS_PEERS = "unix-abstract:"
"""How gRPC's name of a connection begins that comes from the front."""
Code = grpc.StatusCode
FAILURES: tuple[tuple[type[Exception], Any, str], ...] = (
    (DeniedError, Code.UNAUTHENTICATED, ""),
    (ForbiddenError, Code.PERMISSION_DENIED, "PERMISSION_DENIED"),
    (LifetimeError, Code.INVALID_ARGUMENT, "TTL_ERROR"),
    (RequestError, Code.INVALID_ARGUMENT, "CSR_ERROR"),
    (wire.MessageError, Code.INVALID_ARGUMENT, "CSR_ERROR"),
    (SigningError, Code.INTERNAL, "CERT_GEN_ERROR"),
    (AuthorityError, Code.INTERNAL, "CA_NOT_READY"),
    (StoreError, Code.UNAVAILABLE, "CA_NOT_READY"),
)
"""What is answered to what goes wrong, and its name in the metrics, as in istiod (``security/pkg/pki/error``). The first
that fits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of calls: by address, before anything is looked at; and by identity and host, before anything is signed."""

    addresses: Limiter = field(default_factory=lambda: Limiter(burst=500, rate=100))
    identities: Limiter = field(default_factory=lambda: Limiter(burst=50, rate=5))


@dataclass(slots=True)
class CertificateService:
    """Serves one authority. ``peer_of`` finds the connection of a name that the front gave."""

    authority: Authority
    authenticators: Sequence[Authenticator]
    clock: Callable[[], float]
    metrics: Metrics
    peer_of: Callable[[str], Peer | None] = lambda name: None
    on_proof: Callable[[str], None] = lambda name: None
    """Told the name of a connection at which somebody has proven who they are."""
    limits: Limits = field(default_factory=Limits)

    def handler(self) -> Any:
        """For a gRPC server's table."""
        method = grpc.unary_unary_rpc_method_handler(self._create)
        return grpc.method_handlers_generic_handler(wire.SERVICE, {wire.METHOD_NAME: method})

    async def _create(self, data: bytes, context: Any) -> bytes:
        now = self.clock()
        shown = self.credentials(context)
        self.metrics.count("citadel_server_csr_count")
        host = shown.address.rpartition(":")[0]
        if len(data) > MAX_MESSAGE:  # the server takes longer ones, of xDS
            await context.abort(Code.RESOURCE_EXHAUSTED, f"a request has at most {MAX_MESSAGE} bytes")
        if not self.limits.addresses.take(host, now):
            await context.abort(Code.RESOURCE_EXHAUSTED, f"{host} asks too often")
        caller: Caller | None = None
        try:
            request = _request(data)
            caller = await authenticate(self.authenticators, shown, now)
            self.proven(context)
            if not self.limits.identities.take(f"{caller.grant} {caller.token} {host}", now):
                await context.abort(Code.RESOURCE_EXHAUSTED, f"{caller.grant} asks too often from {host}")
            chain = await asyncio.to_thread(
                self.authority.issue, caller, request.csr, request.seconds, shown.address, now
            )
        except tuple(kind for kind, _, _ in FAILURES) as error:
            await self._fail(error, shown.address, caller, context, now)
            raise AssertionError from None  # abort has raised
        self.metrics.count("citadel_server_success_cert_issuance_count")
        return wire.CertificateResponse(chain).to_bytes()

    async def _fail(self, error: Exception, address: str, caller: Caller | None, context: Any, now: float) -> None:
        _, code, name = next(row for row in FAILURES if isinstance(error, row[0]))
        self.authority.refused(str(error), address, caller.proof if caller is not None else "", now)
        if name:
            self.metrics.count("citadel_server_csr_sign_err_count", error=name)
            text = f"CSR signing error ({error})"
        else:
            self.metrics.count("citadel_server_authentication_failure_count")
            text = "request authenticate failure"  # why is told in our log, and to nobody who guesses
        if isinstance(error, StoreError):
            log.error("%s", error)
            text = "the authority cannot write at the moment"
        await context.abort(code, text[:MAX_DETAILS])

    def proven(self, context: Any) -> None:
        """Who makes this call of any service of the same server has proven who they are."""
        self.on_proof(str(context.peer()).removeprefix(TLS_PEERS))

    def credentials(self, context: Any) -> Credentials:
        """What came with a call of any service of the same server."""
        name = str(context.peer())
        peer = self.peer_of(name.removeprefix(TLS_PEERS)) if name.startswith(TLS_PEERS) else None
        if peer is None:
            peer = Peer(name, None)
        return Credentials(_bearer(context.invocation_metadata()), peer.certificate, peer.address)


def _request(data: bytes) -> wire.CertificateRequest:
    request = wire.CertificateRequest.from_bytes(data)
    if request.metadata.get(wire.IMPERSONATED):
        # Istio's CA_TRUSTED_NODE_ACCOUNTS: a node that asks in the name of its pods. There is no such account here.
        raise DeniedError("the identity of another is asked for")
    return request


def _bearer(metadata: Any) -> str:
    """The bearer token of a call; none, when there are several to choose from."""
    values = [value for key, value in metadata or () if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return ""
    kind, _, token = values[0].partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""

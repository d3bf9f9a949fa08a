"""ADS over gRPC: a thin shell that carries bytes between connections and :class:`~mesh_control.control.Control`.

Both protocols are served at every address. Where a server has credentials, who a client is comes from its certificate
(:mod:`mesh_control.serve.peers`); the identity is looked at with its first request. On the port that it shares with the
authority (:meth:`XdsServer.handler`), nobody is served who has proven nothing.
"""

import asyncio
import contextlib
import hmac
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from mesh_api.xds import grpc as wire
from mesh_api.xds.errors import DecodeError
from mesh_control.ca import tokens
from mesh_control.control import Control
from mesh_control.proxies import ProxyError
from mesh_control.push import Answer, Asked
from mesh_control.registration.proof import Anyone, Believe, JoinProof, Withdrawn
from mesh_control.serve import peers
from mesh_control.serve.entrance import Entrance, Entrant
from mesh_control.serve.limits import OPTIONS, OUTBOX, Admission, Bucket, Limits

log = logging.getLogger("mesh_control.xds")

SPREAD = 100
"""Clients that are told to go, and come back to another control plane, in one second of an orderly end."""
REFUSAL, PATIENCE = 0.2, 10
"""Seconds of silence after which a refused client is told, and how many times as long it is waited for. What it says is not
looked at, but a client of grpc's asyncio that is still writing when its stream ends tells its user ``INTERNAL``, not our
reason."""
_END = None


@dataclass(slots=True)
class _Connection:
    """One stream: who it is, and what waits to be sent."""

    name: str
    address: str
    identities: peers.Identities
    proof: JoinProof
    outbox: "asyncio.Queue[tuple[Answer, float] | None]" = field(default_factory=asyncio.Queue)
    heard: int = 0
    """Requests that have come."""
    refused: "_RefusedError | None" = None
    """Why it is served no more; what it says then is heard, and not looked at."""

    def refuse(self, refused: "_RefusedError") -> None:
        """Sends nothing that waits, and ends the stream; the first reason counts."""
        if self.refused is not None:
            return
        self.refused = refused
        while not self.outbox.empty():
            self.outbox.get_nowait()
        self.outbox.put_nowait(_END)


class XdsServer:
    """Serves one :class:`Control` on one address, or on that of :meth:`handler` alone. ``token`` ``None`` lets anyone join.

    ``believe`` looks at join tokens of a certificate authority, where there is one, and ``withdrawn`` at what a stream was
    opened with, when :meth:`look_again` is called. ``identify`` says what a connection has proven: where
    :meth:`listen` was given credentials that ask for certificates, a certificate proves as much as a token.
    """

    def __init__(
        self,
        control: Control,
        address: str | None,
        token: str | None,
        *,
        limits: Limits = Limits(),  # noqa: B008 (immutable)
        identify: peers.Identify = peers.identities_of,
    ) -> None:
        self.believe: Believe | None = None
        self.withdrawn: Withdrawn | None = None
        self._control = control
        self._token = token
        self._identify = identify
        self._limits = limits
        self._admission = Admission(limits)
        self._ids = itertools.count(1)
        self._connections: dict[str, _Connection] = {}
        control.deliver = self._deliver
        control.address_of = self._address
        self._started = False
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((self.handler(None),))
        self.port = 0 if address is None else self.listen(address)

    def handler(self, entrance: Entrance | None) -> Any:
        """For the table of a gRPC server: with ``entrance``, of another one, whose connections must prove who they are there.
        Before :meth:`start` and after :meth:`stop` it answers ``UNAVAILABLE``."""

        async def state_of_the_world(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Answer]:
            async for response in self._stream(requests, context, entrance, delta=False):
                yield response

        async def delta(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[Answer]:
            async for response in self._stream(requests, context, entrance, delta=True):
                yield response

        methods = {
            wire.METHOD_NAME: grpc.stream_stream_rpc_method_handler(
                state_of_the_world, response_serializer=wire.ResponseSerializer()
            ),
            wire.DELTA_METHOD_NAME: grpc.stream_stream_rpc_method_handler(
                delta, response_serializer=wire.DeltaSerializer()
            ),
        }
        return grpc.method_handlers_generic_handler(wire.SERVICE, methods)

    def listen(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Serves one more address, before :meth:`start`; with ``credentials`` over TLS. Returns the port. Raises
        :class:`OSError` for an address that cannot be bound."""
        try:
            if credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(f"xds_address: {address} cannot be bound; is the port in use? set another one")
        return int(port)

    async def start(self) -> None:
        """Accept proxies."""
        self._started = True
        await self._server.start()

    async def stop(self, grace: float = 1.0) -> None:
        """End every stream, one after another where they are many; proxies come back to the next control plane."""
        self._started = False
        going = list(self._connections.values())
        random.shuffle(going)
        for number, connection in enumerate(going, 1):
            connection.outbox.put_nowait(_END)
            if number % SPREAD == 0:
                await asyncio.sleep(1.0)
        await self._server.stop(grace)

    def _address(self, stream: str) -> str:
        connection = self._connections.get(stream)
        return "" if connection is None else connection.address

    def _deliver(self, stream: str, responses: list[Answer]) -> None:
        connection = self._connections.get(stream)
        if connection is None or connection.refused is not None:
            return
        now = self._control.clock()
        for response in responses:
            connection.outbox.put_nowait((response, now))
        if connection.outbox.qsize() > OUTBOX and connection.refused is None:
            self._control.metrics.count("pilot_xds_write_timeout")
            connection.refuse(_RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{OUTBOX} responses wait to be read"))

    async def _stream(
        self, requests: AsyncIterator[bytes], context: Any, entrance: Entrance | None, *, delta: bool
    ) -> AsyncIterator[Answer]:
        try:
            connection = await self._admitted(context, entrance)
        except _RefusedError as refused:
            log.warning("refused %s: %s", context.peer(), refused)
            await _hear_out(requests)
            await context.abort(refused.code, str(refused))
            raise  # not reached: abort raises
        stream, outbox = connection.name, connection.outbox
        self._connections[stream] = connection
        self._control.hub.open(stream, delta=delta)
        decode = wire.delta_request_from_bytes if delta else wire.request_from_bytes
        reader = asyncio.create_task(self._read(connection, requests, decode), name=f"xds {stream}")
        try:
            await self._look_at(connection)  # what was revoked since it was let in
            while (item := await outbox.get()) is not _END:
                self._control.metrics.observe("pilot_proxy_queue_time", self._control.clock() - item[1])
                yield item[0]
            if connection.refused is not None:
                log.warning("%s of %s: %s", stream, connection.address, connection.refused)
                await _heard_out(connection, reader)
                await context.abort(connection.refused.code, str(connection.refused))
        finally:
            reader.cancel()
            self._admission.leave(connection.address, connection.identities)
            del self._connections[stream]
            self._control.on_close(stream)

    async def look_again(self) -> None:
        """Ends every stream that was opened with what is withdrawn now."""
        for connection in list(self._connections.values()):
            await self._look_at(connection)

    async def _look_at(self, connection: _Connection) -> None:
        if self.withdrawn is not None and await self.withdrawn(connection.proof):
            reason = "what the stream was opened with was revoked"
            connection.refuse(_RefusedError(grpc.StatusCode.UNAUTHENTICATED, reason))

    async def _read(
        self, connection: _Connection, requests: AsyncIterator[bytes], decode: Callable[[bytes], Asked]
    ) -> None:
        """Takes requests for as long as there are any, also of one that was refused: see :data:`REFUSAL`."""
        bucket = Bucket(self._limits.rate, self._limits.burst)
        try:
            async for data in requests:
                connection.heard += 1
                if connection.refused is None:
                    await self._take(connection, data, decode, bucket)
        except Exception:
            log.exception("%s: a request could not be taken", connection.name)
            connection.refuse(_RefusedError(grpc.StatusCode.INTERNAL, "the request could not be taken"))
        finally:
            connection.outbox.put_nowait(_END)

    async def _take(
        self, connection: _Connection, data: bytes, decode: Callable[[bytes], Asked], bucket: Bucket
    ) -> None:
        try:
            request = decode(data)
            if wait := bucket.wait(self._control.clock()):
                await asyncio.sleep(wait)  # what is not read is not sent: HTTP/2 holds the client back
            if request.node is not None:
                problem = peers.beyond(request.node, connection.proof)
                if problem is not None:
                    connection.refuse(_RefusedError(grpc.StatusCode.PERMISSION_DENIED, problem))
                    return
            await self._control.on_request(connection.name, request, connection.proof, connection.identities)
        except (ProxyError, DecodeError) as error:
            connection.refuse(_RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error)))

    async def _admitted(self, context: Any, entrance: Entrance | None) -> _Connection:
        """Fail closed, and before anything is read. Raises :class:`_RefusedError`."""
        if not self._started:
            raise _RefusedError(grpc.StatusCode.UNAVAILABLE, "the control plane is not ready")
        if entrance is None:
            identities = self._identify(context)
            proof = await self._authorize(context, identities)
            entrant = Entrant(peers.address_of(context.peer()), identities, proof)
        else:
            entrant = await entrance(context)
            proof = self._proven(context, entrant)
        entrant.admitted()
        refusal = self._admission.enter(entrant.address, entrant.identities)
        if refusal is not None:
            raise _RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
        name = f"s{next(self._ids)}"
        return _Connection(name, entrant.address, entrant.identities, proof)

    def _proven(self, context: Any, entrant: Entrant) -> JoinProof:
        """The token that proxies share is a proof here as well; that none is asked for elsewhere lets nobody in."""
        if entrant.proof is not None:
            return entrant.proof
        if self._token is not None and hmac.compare_digest(_shown(context).encode(), f"Bearer {self._token}".encode()):
            return Anyone()
        log.warning("%s proves nothing: %s", entrant.address, entrant.reason)
        raise _RefusedError(grpc.StatusCode.UNAUTHENTICATED, "authentication failure")

    async def _authorize(self, context: Any, identities: peers.Identities) -> JoinProof:
        """Where a token is asked for, nothing is served without one; nor with a wrong one of the authority's. A certificate
        that was verified takes its place."""
        text = _shown(context)
        bearer = text.removeprefix("Bearer ")
        proof: JoinProof | None = None
        if self.believe is not None and tokens.is_token(bearer):
            proof = await self.believe(bearer)
        elif identities and not text:
            proof = peers.Certified(identities)
        elif self._token is None or hmac.compare_digest(text.encode(), f"Bearer {self._token}".encode()):
            proof = Anyone()
        if proof is None:
            raise _RefusedError(grpc.StatusCode.UNAUTHENTICATED, "a valid join token is required")
        return proof


class _RefusedError(Exception):
    """A client is not let in."""

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _shown(context: Any) -> str:
    shown = dict(context.invocation_metadata() or ()).get("authorization", "")
    return shown.decode(errors="replace") if isinstance(shown, bytes) else str(shown)


async def _hear_out(requests: AsyncIterator[bytes]) -> None:
    """As :func:`_heard_out`, of a client that was not let in."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL):
            async for _ in requests:
                pass


async def _heard_out(connection: _Connection, reader: "asyncio.Task[None]") -> None:
    """Returns when a client that was refused is silent, or has gone; at last when it never is."""
    for _ in range(PATIENCE):
        before = connection.heard
        await asyncio.wait([reader], timeout=REFUSAL)
        if reader.done() or connection.heard == before:
            return

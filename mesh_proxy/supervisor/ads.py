"""The stream to the control plane: a thin shell of gRPC around what :mod:`~mesh_proxy.supervisor.config_store` decides."""

import asyncio
import logging
import os
import random
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
import grpc.aio

from mesh_api.xds import grpc as wire
from mesh_api.xds.session import DeltaRequest, DeltaResponse, Request, Response
from mesh_proxy.bootstrap import ControlPlane, ControlTls

log = logging.getLogger(__name__)

BACK_OFF_BASE: Final = 0.5
BACK_OFF_MAX: Final = 30.0
"""Seconds between attempts (Envoy's for its xDS streams), each chosen at random up to the current limit."""

OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", -1),
    # The channel lives for one stream: back-off is ours, and a proxy of the environment is not for a mesh's own traffic.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Two supervisors in one process (tests do it) must not share a connection.
    ("grpc.use_local_subchannel_pool", 1),
)


Asked = Request | DeltaRequest
Answer = Response | DeltaResponse


class Listener(Protocol):
    """Who is told what happens on the stream; what it returns is sent."""

    def on_connect(self) -> Iterable[Asked]:
        """A new stream is open; returns its first requests."""

    def on_response(self, response: Answer) -> Iterable[Asked]:
        """A response arrived."""

    def on_disconnect(self, reason: str) -> None:
        """The stream is gone, or could not be made."""


class TokenError(ValueError):
    """A file of a token, a key or certificates that cannot be used."""


class AdsStream:
    """Keeps one stream to ``control_plane``, for as long as :meth:`run` runs.

    ``token_file`` holds the bearer token; it and the files of ``tls`` are read for each stream anew, so that they can be
    exchanged. Without ``tls`` nothing is encrypted.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        listener: Listener,
        token_file: Path | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
        tls: ControlTls | None = None,
    ) -> None:
        self._control_plane = control_plane
        self._listener = listener
        self._token_file = token_file
        self._jitter = jitter
        self._tls = tls
        self._outgoing: asyncio.Queue[Asked] | None = None
        self._answered = False

    def send(self, requests: Iterable[Asked]) -> None:
        """Sends on the present stream; without one they are dropped, since a new stream begins from what is accepted."""
        if self._outgoing is not None:
            for request in requests:
                self._outgoing.put_nowait(request)

    async def run(self) -> None:
        """Connects, talks, and connects again; ends only when cancelled."""
        limit = BACK_OFF_BASE
        while True:
            self._answered = False
            reason = await self._attempt()
            self._listener.on_disconnect(reason)
            limit = BACK_OFF_BASE if self._answered else min(limit * 2, BACK_OFF_MAX)
            await asyncio.sleep(self._jitter(limit / 2, limit))

    async def _attempt(self) -> str:
        """One stream from begin to end; returns why it ended."""
        try:
            metadata = self._metadata()
            channel = channel_to(self._control_plane, self._tls)
        except TokenError as error:
            return str(error)
        try:
            await asyncio.wait_for(channel.channel_ready(), self._control_plane.connect_timeout)
            await self._converse(channel, metadata)
        except TimeoutError:
            return f"no connection to {self._control_plane.target} within {self._control_plane.connect_timeout:g} s"
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except ValueError as error:
            return str(error)
        except Exception as error:
            # What goes wrong here must not take the traffic with it, which needs no control plane.
            log.exception("the stream to the control plane failed")
            return f"{type(error).__name__}: {error}"
        finally:
            self._outgoing = None
            await channel.close()
        return "the control plane ended the stream"

    async def _converse(self, channel: Any, metadata: tuple[tuple[str, str], ...]) -> None:
        delta = self._control_plane.delta
        call = channel.stream_stream(wire.DELTA_METHOD if delta else wire.METHOD)(metadata=metadata)
        read = wire.delta_response_from_bytes if delta else wire.response_from_bytes
        outgoing: asyncio.Queue[Asked] = asyncio.Queue()
        self._outgoing = outgoing
        self.send(self._listener.on_connect())
        writer = asyncio.create_task(_write(call, outgoing), name="ads-writer")
        try:
            while (data := await call.read()) is not grpc.aio.EOF:
                self._answered = True
                self.send(self._listener.on_response(read(data)))
            # A stream that ends with an error status raises it here.
            if await call.code() is not grpc.StatusCode.OK:
                raise ValueError(f"{(await call.code()).name}: {await call.details()}")
        finally:
            writer.cancel()
            call.cancel()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token_file is None:
            return self._control_plane.metadata
        others = tuple(pair for pair in self._control_plane.metadata if pair[0] != "authorization")
        return (*others, ("authorization", f"Bearer {read_token(self._token_file)}"))


def channel_to(control_plane: ControlPlane, tls: ControlTls | None) -> Any:
    """A channel of gRPC's, for one use; the files of ``tls`` are read now. Raises :class:`TokenError` for one of them."""
    if tls is None:
        return grpc.aio.insecure_channel(control_plane.target, options=OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        _pem(tls.roots),
        _pem(tls.key, secret=True) if tls.key is not None else None,
        _pem(tls.certificate) if tls.certificate is not None else None,
    )
    options = (*OPTIONS, ("grpc.ssl_target_name_override", tls.server_name))
    return grpc.aio.secure_channel(control_plane.target, credentials, options=options)


def _pem(file: Path, *, secret: bool = False) -> bytes:
    """What an error says never quotes the content."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            if secret and stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o007:
                raise TokenError(f"key file {file}: everybody may read it; its mode should be 0600")
            content = opened.read()
    except OSError as error:
        raise TokenError(f"file {file}: {error.strerror}") from None
    if b"-----BEGIN " not in content:
        # Without roots gRPC would take its own: those of the whole world.
        raise TokenError(f"file {file}: holds no PEM")
    return content


def read_token(file: Path, *, shared: bool = True) -> str:
    """The token in ``file``. Raises :class:`TokenError` when it is unreadable, empty, or, on a ``shared`` machine, readable
    by everybody."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="utf-8") as opened:
            if shared and stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o007:
                raise TokenError(f"token file {file}: everybody may read it; its mode should be 0600")
            token = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenError(f"token file {file}: {getattr(error, 'strerror', None) or error}") from None
    if not token or not token.isprintable() or " " in token:
        raise TokenError(f"token file {file}: holds no token")
    return token


async def _write(call: Any, outgoing: asyncio.Queue[Asked]) -> None:
    while True:
        request = await outgoing.get()
        try:
            await call.write(_encoded(request))
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # The reader sees the same end with its reason.
            return


def _encoded(request: Asked) -> bytes:
    return wire.request_to_bytes(request) if isinstance(request, Request) else wire.delta_request_to_bytes(request)

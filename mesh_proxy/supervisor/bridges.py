"""Ways to services of telemetry that want TLS: a socket of this proxy alone, behind which each connection is made as the
cluster says. gRPC's own TLS knows neither identities of SPIFFE nor secrets that change while it runs.

The socket stands in a folder that only our user can enter: whoever reaches it speaks with the proxy's certificate.
"""

import asyncio
import contextlib
import logging
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from mesh_api.config import Secret, UpstreamTls
from mesh_proxy.supervisor.collectors import Collector, Reached
from mesh_proxy.tls.contexts import NOT_SUPPLIED, Tls, TlsError, is_sayable
from mesh_proxy.tls.peer import NOBODY

log = logging.getLogger(__name__)

H2, HTTP_11 = "h2", "http/1.1"
PEER_EXCHANGE: Final = "istio-peer-exchange"
"""A protocol of sidecars, which is spoken before the bytes of a connection (Istio): not by us."""
CONNECT_SECONDS: Final = 5.0
"""How long a host may take for connection and handshake."""
CHUNK: Final = 65536

Secrets = Callable[[], Sequence[Secret]]


class Bridge:
    """To one cluster, in one ``protocol`` (:data:`H2`, :data:`HTTP_11`). ``problem`` says why the last connection failed;
    empty: it did not."""

    def __init__(self, folder: Path, number: int, protocol: str, secrets: Secrets) -> None:
        self.path = folder / f"{number}.sock"
        self.problem = ""
        self._protocol = protocol
        self._secrets = secrets
        self._to = Collector(())
        self._subject = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def lead(self, to: Collector, subject: str) -> None:
        """From now on connections lead there, and ask for ``subject`` where the cluster wants the request's host asked for;
        those that led elsewhere end."""
        if (to, subject) != (self._to, self._subject):
            self._to, self._subject = to, subject
            self._end()
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def close(self) -> None:
        """Ends it with its connections."""
        self._end()
        if self._server is not None:
            self._server.close()
            await asyncio.gather(*self._open, return_exceptions=True)

    def _end(self) -> None:
        for task in self._open:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        # Cancelled, it leads elsewhere now, or is closed.
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(writer):
            await self._carry(reader, writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made = await self._connected()
        if made is None:
            return
        theirs, host = made
        with contextlib.closing(host):
            ways = [asyncio.create_task(_copied(reader, host)), asyncio.create_task(_copied(theirs, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the first host that takes one."""
        secrets = {secret.name: secret for secret in self._secrets()}
        for host in self._to.hosts:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    made = await self._connect(host, secrets)
            except TimeoutError:
                self.problem = f"{host.address}: no connection within {CONNECT_SECONDS:g} s"
            except (OSError, TlsError) as error:
                self.problem = f"{host.address}: {_said(error)}"
            else:
                self.problem = ""
                return made
        return None

    async def _connect(
        self, host: Reached, secrets: Mapping[str, Secret]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Raises :class:`OSError` and :class:`TlsError`."""
        place, _, port = host.address.rpartition(":")
        if host.tls is None:
            return await asyncio.open_connection(place.strip("[]"), int(port))
        tls = Tls(_speaking(host.tls, self._protocol), secrets)
        context = tls.context
        if context is None:
            raise TlsError(f"{NOT_SUPPLIED}: {', '.join(tls.waiting)}")
        name = tls.name_for(self._subject if host.asks_for_subject else "", host.name)
        if name and not is_sayable(name):
            raise TlsError(f"{name!r} cannot be asked for")
        reader, writer = await asyncio.open_connection(
            place.strip("[]"), int(port), ssl=context, server_hostname=name, ssl_handshake_timeout=CONNECT_SECONDS
        )
        secured = writer.get_extra_info("ssl_object")
        peer = tls.peer(secured) if secured is not None else NOBODY
        refusal = tls.refusal(peer, name, self._subject if host.checks_subject else "")
        if refusal:
            writer.transport.abort()
            raise TlsError(refusal)
        return reader, writer


class Bridges:
    """Those to all clusters; made when they are first asked for."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._known: dict[tuple[str, str, str], Bridge] = {}

    async def to(self, cluster: str, found: Collector, protocol: str, subject: str) -> Bridge:
        """The one to a cluster's hosts for requests to a host. Raises :class:`OSError`."""
        key = cluster, protocol, subject
        bridge = self._known.get(key)
        if bridge is None:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="mesh-proxy-")
            bridge = self._known[key] = Bridge(Path(self._folder.name), len(self._known), protocol, self._secrets)
        await bridge.lead(found, subject)
        return bridge

    async def close(self) -> None:
        """Ends all of them."""
        for bridge in self._known.values():
            await bridge.close()
        if self._folder is not None:
            self._folder.cleanup()


def _speaking(config: UpstreamTls, protocol: str) -> UpstreamTls:
    """With the one version of HTTP that is spoken, and what else sidecars tell each other."""
    told = [known for known in config.common.alpn if known not in (H2, HTTP_11, PEER_EXCHANGE)]
    return replace(config, common=replace(config.common, alpn=(*told, protocol)))


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


def _said(error: OSError | TlsError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"CERTIFICATE_VERIFY_FAILED: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return str(error.reason or error)
    return str(getattr(error, "strerror", None) or error)

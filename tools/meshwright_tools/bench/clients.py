"""Many light clients of the delta protocol in one process: they keep nothing, acknowledge all, and note when what came.

They share the machine's cores with the control plane that is measured, so that each must cost little: gRPC's messages are
read and written here, over the HTTP/2 of our own proxy. Run as a program by :mod:`meshwright_tools.bench.crowd`, with which
it speaks lines: it says that it is loaded, and begins when it is told what to ask for by name; then it is given a moment, and
says as JSON what came after that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import sys
import time
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from mesh_api.xds.grpc import DELTA_METHOD
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.protocol.http2.handler import Handler
from mesh_proxy.protocol.http2.receiving import Tables
from mesh_proxy.protocol.http2.session import Session
from mesh_proxy.protocol.http2.settings import Settings
from mesh_proxy.protocol.http2.stream import Stream

METHOD = DELTA_METHOD.encode()
FIELDS = [field_of(b"te", b"trailers"), field_of(b"content-type", b"application/grpc")]
LEAD = struct.Struct(">BI")
"""What comes before a message of gRPC: whether it is compressed, which none is, and its length."""
PAUSE = 0.5
"""Seconds until a client that was cut off connects again (those of Envoy, the first time)."""
TYPE_FIELD, NONCE_FIELD = 4, 5
"""Of ``DeltaDiscoveryResponse``: what is looked for without reading the resources."""


def told(data: bytes) -> tuple[str, str]:
    """Type and nonce of a response; everything else is skipped by its length."""
    found = {TYPE_FIELD: b"", NONCE_FIELD: b""}
    place, end = 0, len(data)
    while place < end:
        tag, place = _number(data, place)
        length, place = _number(data, place)  # every field of the message has a length
        if tag >> 3 in found:
            found[tag >> 3] = data[place : place + length]
        place += length
    return found[TYPE_FIELD].decode(), found[NONCE_FIELD].decode()


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if not byte & 0x80:
            return value, place


class Client:
    """One proxy that connects, and again whenever it has been cut off."""

    def __init__(self, number: int, names: dict[str, list[str]], tables: Tables) -> None:
        self._number = number
        self._names = names
        self._tables = tables
        self.seen: dict[str, float] = {}
        """Type to the moment of its latest response (seconds of the machine's monotonic clock)."""
        self.lost = 0

    async def run(self, host: str, port: int) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(OSError):
                transport, conversation = await loop.create_connection(self._conversation, host, port)
                try:
                    await conversation.over
                finally:
                    transport.close()
            self.lost += 1
            await asyncio.sleep(PAUSE)

    def _conversation(self) -> Conversation:
        first = [self._subscription(kind) for kind in ADS_ORDER]
        return Conversation(self.seen, first, self._tables)

    def _subscription(self, kind: str) -> bytes:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, resource_names_subscribe=self._names.get(kind, ()))
        if kind == CLUSTER:
            address = f"10.{self._number >> 16 & 255}.{self._number >> 8 & 255}.{self._number & 255}"
            request.node.id = f"sidecar~{address}~client-{self._number}.default~default.svc.cluster.local"
        return bytes(request.SerializeToString())


class Conversation(asyncio.Protocol):
    """A stream of gRPC on a connection of its own: every response is noted in ``seen``, and acknowledged after those of other
    clients that have come by then."""

    def __init__(self, seen: dict[str, float], first: list[bytes], tables: Tables) -> None:
        self._seen = seen
        self._first = first
        self._session = Session(Settings(), _Heard(self), tables, True, time.monotonic())
        self._content = bytearray()
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: Any) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = transport
        self._stream = self._session.request(b"POST", b"http", b"bench", METHOD, FIELDS, False, time.monotonic())
        for request in self._first:
            self._say(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._session.receive(data, time.monotonic())
        self._write()

    def connection_lost(self, reason: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self.end()

    def end(self) -> None:
        """Nothing more comes."""
        if not self.over.done():
            self.over.set_result(None)

    def take(self, stream: Stream, data: bytes) -> None:
        """A part of the responses, each of which has its length before it (gRPC over HTTP/2, Length-Prefixed-Message)."""
        self._session.consumed(stream, len(data))
        content = self._content
        content += data
        while len(content) >= LEAD.size and len(content) >= (end := LEAD.size + LEAD.unpack_from(content)[1]):
            kind, nonce = told(bytes(content[LEAD.size : end]))
            del content[:end]
            self._seen[kind] = time.monotonic()
            self._loop.call_soon(self._acknowledge, kind, nonce)

    def _acknowledge(self, kind: str, nonce: str) -> None:
        self._say(discovery_pb2.DeltaDiscoveryRequest(type_url=kind, response_nonce=nonce).SerializeToString())
        self._write()

    def _say(self, request: bytes) -> None:
        self._session.data(self._stream, LEAD.pack(0, len(request)) + request, False)

    def _write(self) -> None:
        while output := self._session.take_output():
            self._transport.write(output)


class _Heard(Handler):
    """What the control plane does, told on."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def on_head(self, stream: Stream, head: Head, end: bool) -> None:
        if end or head.status != 200:
            self._conversation.end()

    def on_data(self, stream: Stream, data: bytes, end: bool) -> None:
        self._conversation.take(stream, data)
        if end:
            self._conversation.end()

    def on_trailers(self, stream: Stream, fields: list[Field]) -> None:
        self._conversation.end()

    def on_reset(self, stream: Stream, code: int, details: str) -> None:
        self._conversation.end()

    def on_window(self, stream: Stream) -> None:
        """What is said is short."""

    def on_settings(self) -> None:
        """It speaks HTTP/2."""

    def on_goaway(self, last: int, code: int) -> None:
        """The stream ends soon."""

    def on_failure(self, code: int, details: str) -> None:
        self._conversation.end()


async def main(address: str, first: int, count: int, names: dict[str, list[str]]) -> None:
    """Begins with ``count`` clients, then answers questions until standard input ends."""
    tables = Tables()
    clients = [Client(first + number, names, tables) for number in range(count)]
    host, _, port = address.rpartition(":")
    tasks = [asyncio.create_task(client.run(host, int(port))) for client in clients]
    while line := await asyncio.to_thread(sys.stdin.readline):
        since = float(line)
        answer: dict[str, Any] = {"lost": sum(client.lost for client in clients)}
        for kind in ADS_ORDER:
            moments = [seen for client in clients if (seen := client.seen.get(kind, 0.0)) > since]
            answer[kind] = {"count": len(moments), "last": max(moments, default=0.0)}
        print(json.dumps(answer), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    print("loaded", flush=True)
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.stdin.readline())))

"""Many light clients of the delta protocol in one process: they keep nothing, acknowledge all, and note when what came.

Run as a program by :mod:`meshwright_tools.bench.control`, with which it speaks lines: a moment on standard input, what came
after it as JSON on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import grpc
from envoy.service.discovery.v3 import discovery_pb2

PREFIX = "type.googleapis.com/envoy.config."
CLUSTER = f"{PREFIX}cluster.v3.Cluster"
ENDPOINT = f"{PREFIX}endpoint.v3.ClusterLoadAssignment"
LISTENER = f"{PREFIX}listener.v3.Listener"
ROUTE = f"{PREFIX}route.v3.RouteConfiguration"
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
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
    """One connection."""

    def __init__(self, number: int, names: dict[str, list[str]]) -> None:
        self._number = number
        self._names = names
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.seen: dict[str, float] = {}
        """Type to the moment of its latest response (seconds of the machine's monotonic clock)."""
        self.lost = 0

    async def run(self, address: str) -> None:
        """Until the process ends; connects again when it has to."""
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await self._stream(address)
            self.lost += 1

    async def _stream(self, address: str) -> None:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            call = channel.stream_stream(METHOD)(wait_for_ready=True)
            writer = asyncio.create_task(self._write(call))
            try:
                while (data := await call.read()) is not grpc.aio.EOF:
                    kind, nonce = told(data)
                    self.seen[kind] = time.monotonic()
                    answer = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, response_nonce=nonce)
                    self._outbox.put_nowait(answer.SerializeToString())
            finally:
                writer.cancel()

    async def _write(self, call: Any) -> None:
        self._outbox = asyncio.Queue()
        for kind in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            self._outbox.put_nowait(self._subscription(kind))
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the reader sees the same end
            while True:
                await call.write(await self._outbox.get())

    def _subscription(self, kind: str) -> bytes:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=kind, resource_names_subscribe=self._names.get(kind, ()))
        if kind == CLUSTER:
            address = f"10.{self._number >> 16 & 255}.{self._number >> 8 & 255}.{self._number & 255}"
            request.node.id = f"sidecar~{address}~client-{self._number}.default~default.svc.cluster.local"
        return bytes(request.SerializeToString())


async def main(address: str, first: int, count: int, names: dict[str, list[str]]) -> None:
    """Begins with ``count`` clients, then answers questions until standard input ends."""
    clients = [Client(first + number, names) for number in range(count)]
    tasks = [asyncio.create_task(client.run(address)) for client in clients]
    while line := await asyncio.to_thread(sys.stdin.readline):
        since = float(line)
        answer: dict[str, Any] = {"lost": sum(client.lost for client in clients)}
        for kind in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            moments = [seen for client in clients if (seen := client.seen.get(kind, 0.0)) > since]
            answer[kind] = {"count": len(moments), "last": max(moments, default=0.0)}
        print(json.dumps(answer), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.stdin.readline())))

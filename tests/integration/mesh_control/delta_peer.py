"""A proxy of the delta protocol that keeps what it is sent, as Envoy does."""

import asyncio
from collections.abc import Callable
from typing import Any

from mesh_api.config import ClusterType, HttpConnectionManager
from mesh_api.config.proxy_config import filter_chains
from mesh_api.node import Node
from mesh_api.xds import grpc as wire
from mesh_api.xds.session import DeltaClient, DeltaRequest, DeltaResponse
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.integration.mesh_control.harness import LIMIT, connection, decoded, written


class DeltaPeer:
    """Connects as often as it is told to, and keeps what it has in between."""

    def __init__(self, node: Node) -> None:
        self.session = DeltaClient(node)
        self.received: list[DeltaResponse] = []
        """Of the present connection."""
        self.outbox: asyncio.Queue[DeltaRequest] = asyncio.Queue()
        self.taken = asyncio.Condition()

    def resource(self, type_url: str, name: str) -> Any:
        """An accepted resource, decoded."""
        return decoded(type_url, self.session.accepted(type_url)[name])

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds; looks again after everything that is taken."""
        async with asyncio.timeout(LIMIT), self.taken:
            await self.taken.wait_for(holds)

    async def run(self, port: int, token: str | None) -> None:
        """One connection, until it ends."""
        metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self.received = []
        self.outbox = asyncio.Queue()
        async with connection(port) as channel:
            call = channel.stream_stream(
                wire.DELTA_METHOD,
                request_serializer=wire.delta_request_to_bytes,
                response_deserializer=wire.delta_response_from_bytes,
            )(metadata=metadata, wait_for_ready=True)
            async with written(call, self.session.start(), self.outbox):
                async for response in call:
                    self._take(response)
                    async with self.taken:
                        self.taken.notify_all()

    def _take(self, response: DeltaResponse) -> None:
        self.received.append(response)
        self.outbox.put_nowait(self.session.ack(response))
        if response.type_url == CLUSTER:
            self.session.wait_for(ENDPOINT, [name for name, _, _ in response.resources])
            self._follow(ENDPOINT, self._assignments())
        if response.type_url == LISTENER:
            self._follow(ROUTE, self._tables())

    def _follow(self, type_url: str, names: set[str]) -> None:
        request = self.session.subscribe(type_url, names)
        if request is not None:
            self.outbox.put_nowait(request)

    def _assignments(self) -> set[str]:
        clusters = [self.resource(CLUSTER, name) for name in self.session.accepted(CLUSTER)]
        return {cluster.assignment_name for cluster in clusters if cluster.type is ClusterType.EDS}

    def _tables(self) -> set[str]:
        listeners = [self.resource(LISTENER, name) for name in self.session.accepted(LISTENER)]
        chains = [chain.filter for listener in listeners for chain in filter_chains(listener)]
        return {chain.rds_name for chain in chains if isinstance(chain, HttpConnectionManager) and chain.rds_name}

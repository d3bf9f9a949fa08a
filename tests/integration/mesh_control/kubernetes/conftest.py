"""A real API server for the session."""

from collections.abc import AsyncIterator

import pytest

from mesh_policy.schema.crds import definitions
from tests.support import kube_apiserver
from tests.support.kube_apiserver import Client, Server


@pytest.fixture
async def server(started: Server) -> Server:
    await started.ready()
    return started


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """Somebody who may do everything."""
    async with kube_apiserver.client(server) as found:
        yield found


@pytest.fixture
async def istio_kinds(client: Client) -> None:
    """The definitions of Istio's kinds, as ``mesh crds`` prints them."""
    await client.apply(*definitions())

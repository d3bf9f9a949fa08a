"""The hosts that a real Envoy chooses among."""

from collections.abc import Iterator

import pytest

from tests.integration.mesh_proxy.balancing.everywhere import Everywhere


@pytest.fixture(scope="module")
def everywhere() -> Iterator[Everywhere]:
    server = Everywhere()
    yield server
    server.close()

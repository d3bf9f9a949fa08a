"""Who may ask the admin interface on loopback: the operator's tools, and no page that a browser on the machine has open."""

from typing import Any, cast

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mesh_proxy.supervisor.admin import Proxy, admin_app


class Told:
    """A proxy that is told to end."""

    def __init__(self) -> None:
        self.told = 0

    def quit(self) -> None:
        self.told += 1


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 200, 1),
        ({"Host": "localhost:15000"}, 200, 1),
        ({"Host": "[::1]:15000"}, 200, 1),
        ({"Host": "10.0.0.1"}, 200, 1),
        ({"Origin": "https://elsewhere.example"}, 403, 0),
        ({"Origin": "null"}, 403, 0),
        ({"Host": "rebound.example:15000"}, 403, 0),
        ({"Host": "localhost.example:15000"}, 403, 0),
    ],
)
async def test_pages_of_others_cannot_end_the_proxy(fields: dict[str, str], status: int, told: int) -> None:
    proxy = Told()
    async with (
        TestClient(TestServer(admin_app(cast(Proxy, cast(Any, proxy))))) as client,
        client.post("/quitquitquit", headers=fields) as reply,
    ):
        assert reply.status == status
    assert proxy.told == told

"""A real API server asks the webhook of a real control plane, and keeps what it takes alone."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from mesh_control.webhook.manifest import client_of, configuration
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.support.kube_apiserver import PATIENCE, Client, Server
from tests.support.ports import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

KINDS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
ENTRIES = "/apis/networking.istio.io/v1/namespaces/default/serviceentries"


def entry(name: str, host: str, **spec: Any) -> dict[str, Any]:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"hosts": [host], "ports": ports, "resolution": "DNS", **spec},
    }


@contextmanager
def plane_with_webhook(folder: Path) -> Iterator[tuple[ControlPlane, str]]:
    plane, address = ControlPlane(folder), f"127.0.0.1:{free_port()}"
    settings = yaml.safe_load(plane.config.read_text())
    settings |= {
        "ca": {"address": f"127.0.0.1:{free_port()}"},
        "webhook": {"address": address, "server_names": ["127.0.0.1"]},
    }
    plane.config.write_text(yaml.safe_dump(settings))
    plane.start()
    try:
        yield plane, f"https://{address}"
    finally:
        if plane.process is not None:
            plane.kill()


async def created(server: Server, value: Mapping[str, Any], **query: str) -> tuple[int, str, list[str]]:
    """Status, message and warnings of the answer to a creation."""
    access = server.access()
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=access.tls or True), headers=access.headers()) as http,
        http.post(access.url + ENTRIES, json=value, params=query) as answer,
    ):
        content = await answer.json()
        return answer.status, str(content.get("message", "")), list(answer.headers.getall("Warning", []))


async def asked(server: Server, message: str) -> None:
    """Until the API server has taken up that it is to ask: what the webhook refuses, it refuses."""
    deadline = time.monotonic() + PATIENCE
    told = ""
    while message not in told:
        assert time.monotonic() < deadline, told
        _, told, _ = await created(server, entry("second", "shop.example"), dryRun="All")
        await asyncio.sleep(0)


@pytest.mark.usefixtures("istio_kinds")
async def test_an_api_server_keeps_what_the_webhook_takes(tmp_path: Path, server: Server, client: Client) -> None:
    with plane_with_webhook(tmp_path) as (plane, url):
        await plane.client.apply("demo", yaml.safe_dump(entry("first", "shop.example")), LIMIT)
        wanted = configuration(await plane.client.trust_bundle(), client_of(url))
        await client.api.request("POST", KINDS, wanted)
        try:
            await asked(server, "shop.example is already declared by ServiceEntry")
            status, message, _ = await created(server, entry("second", "shop.example"))
            assert status == 422
            assert message.startswith(
                'admission webhook "validation.meshwright.io" denied the request: MESH0007 Service'
            )

            missing = entry("third", "third.example", resolution="STATIC", endpoints=[{"address": "third.example"}])
            status, message, _ = await created(server, missing)
            assert (status, "a name; resolution STATIC takes addresses" in message) == (422, True), message

            status, _, warnings = await created(server, entry("fourth", "fourth.example"))
            assert (status, warnings) == (201, [])

            plane.kill()  # and with nobody to ask, nothing is kept
            status, message, _ = await created(server, entry("fifth", "fifth.example"))
            assert (status, 'failed calling webhook "validation.meshwright.io"' in message) == (500, True), message
        finally:
            await client.api.request("DELETE", f"{KINDS}/{wanted['metadata']['name']}")
            await client.api.request("DELETE", ENTRIES)

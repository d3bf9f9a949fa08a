"""The webhook's root changes, and a real API server does not miss a single answer."""

import asyncio
import base64
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, Terms
from mesh_control.ca.store import Store
from mesh_control.metrics import Metrics
from mesh_control.sources.kubernetes import rbac
from mesh_control.sources.kubernetes.api import Api
from mesh_control.webhook.bundle import STRATEGIC, Bundle, bundle_of, united
from mesh_control.webhook.certificate import AuthorityIssuer, Keeper
from mesh_control.webhook.manifest import NAME, client_of, configuration
from mesh_control.webhook.server import Webhook, serving
from tests.integration.mesh_control.kubernetes.test_webhook import KINDS, created, entry
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import CONTROL, SUBJECT, Client, Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build


def roots(text: str) -> set[str]:
    return {pem.write_certificates((root,)) for root in pem.read_certificates(text)}


async def is_asked(server: Server) -> bool:
    status, _, warnings = await created(server, {**entry("any", "any.example"), "kind": "ServiceEntry"}, dryRun="All")
    assert status == 201, (status, warnings)
    return True


@pytest.mark.usefixtures("istio_kinds")
async def test_no_admission_fails_while_the_root_changes(tmp_path: Path, server: Server, client: Client) -> None:
    await client.apply(*rbac.manifests(SUBJECT, "default"))
    authority = Authority(Store(tmp_path / "ca"), Terms(), time.time())
    keeper = Keeper(AuthorityIssuer(authority), ["127.0.0.1"], tmp_path, time.time)
    bundle = Bundle(
        server.access(CONTROL), lambda: united(authority.bundle(), keeper.root), turn_seconds=0.05, settle_seconds=1.0
    )
    keeper.covers = bundle.covers
    first = keeper.root
    async with serving(Webhook(lambda policy: [], Metrics()), "127.0.0.1:0", keeper.context) as port:
        wanted = configuration(authority.bundle(), client_of(f"https://127.0.0.1:{port}"))
        place = f"{KINDS}/{wanted['metadata']['name']}"
        await client.api.request("POST", KINDS, wanted)
        task = asyncio.create_task(bundle.run())
        try:
            await poll(lambda: is_asked(server), bool)
            authority.rotate(time.time())
            current = authority.trust.current
            assert current is not None
            authority.distrust(current.name, time.time())  # the next one signs at once
            assert first not in roots(authority.bundle())
            assert not keeper.refresh()  # no API server knows its root yet
            both = await poll(lambda: client.api.request("GET", place), lambda v: len(roots(said(v))) == 2)
            assert first in roots(said(both))
            deadline = time.monotonic() + 60
            while not keeper.refresh():
                assert time.monotonic() < deadline
                await is_asked(server)
            assert keeper.root not in ("", first)
            while len(roots(said(await client.api.request("GET", place)))) != 1:
                assert time.monotonic() < deadline
                await is_asked(server)
            for _ in range(20):
                await is_asked(server)
        finally:
            task.cancel()
            await client.api.request("DELETE", place)


@pytest.mark.usefixtures("istio_kinds")
async def test_replicas_with_different_roots_are_believed_alike(tmp_path: Path, server: Server, client: Client) -> None:
    """The API server is led to one replica, then to the other, whose root nobody wrote into the object that was applied."""
    await client.apply(*rbac.manifests(SUBJECT, "default"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    authorities = [Authority(Store(tmp_path / name / "ca"), Terms(), time.time()) for name in ("one", "two")]
    keepers = [
        Keeper(AuthorityIssuer(authority), ["127.0.0.1"], tmp_path / name, time.time)
        for authority, name in zip(authorities, ("one", "two"), strict=True)
    ]
    first, second = (
        Bundle(server.access(CONTROL), keeper.issuer.bundle, lambda leads=leads: leads, replica)  # type: ignore[misc]
        for keeper, leads, replica in zip(keepers, (True, False), ("one", "two"), strict=True)
    )
    wanted = configuration(authorities[0].bundle(), client_of("https://127.0.0.1:1"))
    place = f"{KINDS}/{wanted['metadata']['name']}"
    async with Api(server.access(CONTROL)) as api, AsyncExitStack() as stack:
        serve = (serving(Webhook(lambda policy: [], Metrics()), "127.0.0.1:0", keeper.context) for keeper in keepers)
        ports = [await stack.enter_async_context(served) for served in serve]
        await client.api.request("POST", KINDS, wanted)
        try:
            for bundle in (second, first, second, first):
                await bundle.turn(api)
                assert not bundle.problem
            both = await client.api.request("GET", place)
            assert roots(said(both)) == {keeper.root for keeper in keepers}
            for port in ports:
                led = {"webhooks": [{"name": NAME, "clientConfig": {"url": f"https://127.0.0.1:{port}/validate"}}]}
                await client.api.request("PATCH", place, led, content=STRATEGIC)
                await poll(lambda: is_taken(server), bool)
        finally:
            await client.api.request("DELETE", place)


async def is_taken(server: Server) -> bool:
    """It takes an API server a moment to ask where it was just told to."""
    value = {**entry("any", "any.example"), "kind": "ServiceEntry"}
    return (await created(server, value, dryRun="All"))[0] == 201


async def test_without_the_object_nothing_is_written_and_nothing_waits(server: Server, client: Client) -> None:
    bundle = Bundle(server.access(CONTROL), lambda: "")
    await client.apply(*rbac.manifests(SUBJECT, "default"))
    async with Api(server.access(CONTROL)) as api:
        await bundle.turn(api)
    assert bundle.covers("any")
    assert not bundle.problem


def said(value: Mapping[str, Any]) -> str:
    found = bundle_of(value)
    assert found is not None
    assert base64.b64decode(value["webhooks"][0]["clientConfig"]["caBundle"]).decode() == found
    return found

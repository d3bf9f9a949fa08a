"""Our own proxy gets its certificate by itself, renews it, and is served over mutual TLS alone: real processes."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import Proxy, served
from tests.support.modules import ansible_module

pytestmark = pytest.mark.integration

NAME = "store.default"
NODE = f"sidecar~127.0.0.13~{NAME}~default.svc.cluster.local"
IDENTITY = "spiffe://cluster.local/ns/default/sa/store"


@pytest.fixture
def judge() -> ModuleType:
    """The role's module that tells who has to join."""
    return ansible_module("mesh_proxy", "proxy_identity")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not true():
            await asyncio.sleep(0.05)  # files tell nobody when they change


async def connected(plane: ControlPlane) -> None:
    async with asyncio.timeout(LIMIT):
        while NAME not in (await plane.client.status())["proxies"]:
            await asyncio.sleep(0.05)
    assert (await plane.client.wait(LIMIT))["waiting"] == []


async def test_a_proxy_joins_with_its_token_and_is_known_by_its_certificate(tmp_path: Path, judge: ModuleType) -> None:
    with served(tmp_path / "control") as plane:
        proxy = Proxy(plane, tmp_path / "proxy")
        token, roots = await proxy.invite(plane), await plane.client.trust_bundle()
        assert judge.why_not(proxy.state, IDENTITY, roots) == "it has no certificate"
        with proxy.running():
            await connected(plane)
        (issued,) = [c for c in await plane.client.certificates() if c["identity"] == IDENTITY]
        assert issued["proof"].startswith("join token ")
        assert judge.why_not(proxy.state, IDENTITY, roots) == ""
        assert "is for" in judge.why_not(proxy.state, IDENTITY.replace("store", "order"), roots)
        for file in (proxy.pair, proxy.state / "identity" / "roots.pem"):
            assert file.stat().st_mode & 0o077 == 0
        said = proxy.log + plane.log
        assert token not in said
        assert "PRIVATE KEY" not in said
        # With the token used up, the certificate alone lets it in again.
        with proxy.running():
            await connected(plane)
        assert len([c for c in await plane.client.certificates() if c["identity"] == IDENTITY]) == 1


async def test_it_renews_before_the_end_and_stays_connected(tmp_path: Path) -> None:
    with served(tmp_path / "control", lifetime="4s") as plane:
        proxy = Proxy(plane, tmp_path / "proxy")
        await proxy.invite(plane)
        with proxy.running():
            await connected(plane)
            for _ in range(2):
                before = proxy.pair.read_bytes()
                await until(lambda before=before: proxy.pair.read_bytes() != before)  # type: ignore[misc]
            await connected(plane)
        assert "no certificate" not in proxy.log


async def test_a_token_that_is_newer_than_the_certificate_is_an_order_to_join_anew(
    tmp_path: Path, judge: ModuleType
) -> None:
    with served(tmp_path / "control") as plane:
        proxy = Proxy(plane, tmp_path / "proxy")
        await proxy.invite(plane)
        with proxy.running():
            await connected(plane)
    with served(tmp_path / "other") as other:
        roots = await other.client.trust_bundle()
        assert "not taken" in judge.why_not(proxy.state, IDENTITY, roots)
        value = json.loads((proxy.folder / "bootstrap.json").read_text())
        cluster = value["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"][0]
        cluster["endpoint"]["address"]["socket_address"]["port_value"] = other.xds_port
        (proxy.folder / "bootstrap.json").write_text(json.dumps(value))
        await proxy.invite(other)
        with proxy.running():
            await connected(other)
        assert judge.why_not(proxy.state, IDENTITY, roots) == ""


async def test_one_that_cannot_join_says_why_and_waits(tmp_path: Path) -> None:
    with served(tmp_path / "control") as plane:
        proxy = Proxy(plane, tmp_path / "proxy")
        await proxy.invite(plane)
        (proxy.folder / "token").write_text("mwjt.0123456789ab." + "a" * 43 + "\n")
        with proxy.running():
            await until(lambda: "no certificate: UNAUTHENTICATED" in proxy.log)
            await proxy.invite(plane)
            await connected(plane)


async def test_an_expired_certificate_is_told_from_a_good_one(tmp_path: Path, judge: ModuleType) -> None:
    with served(tmp_path / "control", lifetime="2s") as plane:
        proxy = Proxy(plane, tmp_path / "proxy")
        await proxy.invite(plane)
        with proxy.running():
            await connected(plane)
        roots = await plane.client.trust_bundle()
        await until(lambda: "expired" in judge.why_not(proxy.state, IDENTITY, roots))

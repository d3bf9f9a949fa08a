"""Our own proxy gets its certificate by itself, renews it, and is served over mutual TLS alone: real processes."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.programs import bootstrap
from tests.support.modules import ansible_module
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

NAME = "store.default"
NODE = f"sidecar~127.0.0.13~{NAME}~default.svc.cluster.local"
IDENTITY = "spiffe://cluster.local/ns/default/sa/store"


@pytest.fixture
def judge() -> ModuleType:
    """The role's module that tells who has to join."""
    return ansible_module("mesh_proxy", "proxy_identity")


def planned(folder: Path, **authority: Any) -> ControlPlane:
    """A control plane that is served by TLS alone; it does not run yet."""
    folder.mkdir(exist_ok=True)
    plane = ControlPlane(folder, token=None)
    settings = yaml.safe_load(plane.config.read_text())
    settings["xds_address"] = None
    settings["ca"] = {"address": f"127.0.0.1:{plane.xds_port}", **authority}
    plane.config.write_text(yaml.safe_dump(settings))
    return plane


@contextlib.contextmanager
def served(folder: Path, **authority: Any) -> Iterator[ControlPlane]:
    plane = planned(folder, **authority)
    plane.start()
    try:
        yield plane
    finally:
        if plane.process is not None:
            plane.kill()


class Proxy:
    """A proxy with its files, as the role lays them."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.state = folder / "state" / "store"
        self.state.mkdir(parents=True, mode=0o700)
        value = bootstrap(plane, NODE, free_port(), {"LABELS": {"app": "store"}, "SERVICE_ACCOUNT": "store"})
        del value["dynamic_resources"]["ads_config"]["grpc_services"][0]["initial_metadata"]
        value["node"]["metadata"]["MESHWRIGHT"] = {
            "concurrency": 1,
            "drain_seconds": 1,
            "ready_port": free_port(),
            "state_dir": str(self.state),
            "control_root_file": str(folder / "roots.pem"),
            "token_file": str(folder / "token"),
            "identity_dir": str(self.state / "identity"),
        }
        (folder / "bootstrap.json").write_text(json.dumps(value))

    @property
    def pair(self) -> Path:
        return self.state / "identity" / "identity.pem"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def invite(self, plane: ControlPlane) -> str:
        """Lay the roots and a token beside it, as the role does; returns the token."""
        made = str((await plane.client.create_token(IDENTITY, 600.0, 1))["token"])
        (self.folder / "roots.pem").write_text(await plane.client.trust_bundle())
        (self.folder / "token").unlink(missing_ok=True)
        (self.folder / "token").touch(mode=0o600)
        (self.folder / "token").write_text(made + "\n")
        return made

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        command = [sys.executable, "-m", "mesh_proxy", "--bootstrap", str(self.folder / "bootstrap.json")]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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

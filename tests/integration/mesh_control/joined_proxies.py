"""Our own proxy, or an Envoy, beside a workload that joins the mesh with a token: files, and process."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mesh_control.ca import pem
from mesh_control.ca.certificates import CLOCK_SKEW
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.programs import bootstrap, connected
from tests.integration.mesh_control.test_secure_xds import secure_bootstrap, workload
from tests.support import secret_server
from tests.support.certificate_client import Workload, key_pem
from tests.support.ports import free_port

STORE = "sidecar~127.0.0.13~store.default~default.svc.cluster.local"


def planned(folder: Path, inventory: dict[str, Any] | None = None, **authority: Any) -> ControlPlane:
    """A control plane that is served by TLS alone; it does not run yet."""
    folder.mkdir(exist_ok=True)
    plane = ControlPlane(folder, token=None)
    if inventory is not None:
        plane.write_inventory(inventory)
    settings = yaml.safe_load(plane.config.read_text())
    settings["xds_address"] = None
    settings["ca"] = {"address": f"127.0.0.1:{plane.xds_port}", **authority}
    plane.config.write_text(yaml.safe_dump(settings))
    return plane


@contextlib.contextmanager
def served(folder: Path, inventory: dict[str, Any] | None = None, **authority: Any) -> Iterator[ControlPlane]:
    """One that serves, and is gone at the end."""
    plane = planned(folder, inventory, **authority)
    plane.start()
    try:
        yield plane
    finally:
        if plane.process is not None:
            plane.kill()


class Proxy:
    """A proxy with its files, as the role lays them."""

    def __init__(self, plane: ControlPlane, folder: Path, node: str = STORE, **metadata: Any) -> None:
        self.folder, self.node = folder, node
        self.workload = node.split("~")[2].partition(".")[0].partition("-")[0]
        """Also its service account and its label ``app``."""
        self.namespace = node.split("~")[2].rpartition(".")[2]
        folder.mkdir()
        self.state = folder / "state" / self.workload
        self.state.mkdir(parents=True, mode=0o700)
        self.admin = free_port()
        known = {"LABELS": {"app": self.workload}, "SERVICE_ACCOUNT": self.workload}
        value = bootstrap(plane, node, self.admin, known | metadata)
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
    def identity(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{self.workload}"

    @property
    def pair(self) -> Path:
        return self.state / "identity" / "identity.pem"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def invite(self, plane: ControlPlane) -> str:
        """Lay the roots and a token beside it, as the role does; returns the token."""
        made = str((await plane.client.create_token(self.identity, 600.0, 1))["token"])
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


@contextlib.asynccontextmanager
async def joined(
    program: str, envoy: Path, plane: ControlPlane, folder: Path, node: str, **metadata: Any
) -> AsyncIterator[None]:
    """One of ours or (``program`` is ``envoy``) a real Envoy, with a certificate of its own, that has taken everything."""
    proxy = Proxy(plane, folder, node, **metadata)
    async with contextlib.AsyncExitStack() as stack:
        if program == "ours":
            await proxy.invite(plane)
            stack.enter_context(proxy.running())
        else:
            await stack.enter_async_context(_joined_envoy(envoy, plane, proxy, metadata))
        await connected(plane, node)
        yield


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its key, and the roots that came with it."""

    roots: bytes
    chain: bytes
    key: bytes


@contextlib.asynccontextmanager
async def _joined_envoy(
    envoy: Path, plane: ControlPlane, proxy: Proxy, metadata: Mapping[str, Any]
) -> AsyncIterator[None]:
    """In place of a proxy of ours. Its certificate is renewed at half of its life."""
    made = await workload(plane, proxy.identity)
    await made.join(str((await plane.client.create_token(proxy.identity, 600.0, 1))["token"]))
    metadata = {"LABELS": {"app": proxy.workload}, "SERVICE_ACCOUNT": proxy.workload, **metadata}
    desk = secret_server.Desk(_issued(made))
    with secret_server.serving(desk) as port, (proxy.folder / "log").open("ab") as log:
        file = proxy.folder / "envoy.json"
        file.write_text(json.dumps(secure_bootstrap(plane, made, port, proxy.node, metadata)))
        options = ("--concurrency", "1", "--drain-strategy", "immediate", "--drain-time-s", "1", "-l", "warning")
        command = [str(envoy), "-c", str(file), "--use-dynamic-base-id", *options]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: ASYNC220 (at once)
        renewing = asyncio.create_task(_renewed(made, desk))
        try:
            yield
            assert not renewing.done(), renewing.exception()
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)


async def _renewed(made: Workload, desk: secret_server.Desk) -> None:
    """As an agent beside Envoy does it."""
    while True:
        half = (pem.begins(made.certificate) + CLOCK_SKEW + pem.expires(made.certificate)) / 2
        await asyncio.sleep(max(half - time.time(), 0))
        await made.renew()
        desk.replace(_issued(made))


def _issued(made: Workload) -> secret_server.Issued:
    return Pair(made.roots.encode(), "".join(made.chain).encode(), key_pem(made.key))

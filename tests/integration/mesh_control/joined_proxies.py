"""Our own proxy beside a workload that joins the mesh with a token: its files, and its process."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.integration.mesh_control.harness import ControlPlane
from tests.integration.mesh_control.programs import bootstrap
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
        return f"spiffe://cluster.local/ns/default/sa/{self.workload}"

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

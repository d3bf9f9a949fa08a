"""Proxies as processes under a control plane: a real Envoy, or our own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tests.integration.mesh_control.harness import LIMIT, TOKEN, ControlPlane
from tests.support import secret_server
from tests.support.envoy_bootstrap import grpc_cluster
from tests.support.ports import free_port


def bootstrap(
    plane: ControlPlane, node: str, admin: int, metadata: dict[str, Any], api_type: str = "GRPC"
) -> dict[str, Any]:
    """As a machine gets it."""
    authorization = {"key": "authorization", "value": f"Bearer {TOKEN}"}
    service = {"envoy_grpc": {"cluster_name": "xds-grpc"}, "initial_metadata": [authorization]}
    ads = {"api_type": api_type, "transport_api_version": "V3", "grpc_services": [service]}
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "node": {"id": node, "cluster": "test", "metadata": metadata},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "dynamic_resources": {"ads_config": ads, "cds_config": source, "lds_config": source},
        "static_resources": {"clusters": [grpc_cluster("xds-grpc", plane.xds_port)]},
    }


@dataclass(frozen=True, slots=True)
class Program:
    """A proxy that runs with a bootstrap: the command before its file, and its own settings."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    api_type: str = "GRPC"

    def start(
        self, plane: ControlPlane, node: str, metadata: dict[str, Any], secrets_port: int
    ) -> subprocess.Popen[bytes]:
        """In a session of its own, so that its workers end with it."""
        value = bootstrap(plane, node, free_port(), metadata, self.api_type)
        if self.name != "ours":
            value["static_resources"]["clusters"].append(secret_server.cluster(secrets_port))
        else:
            own = {"state_dir": str(plane.folder / "proxy"), "token_file": str(plane.folder / "token")}
            ports = {"ready_port": free_port(), "stats_port": free_port()}
            value["node"]["metadata"]["MESHWRIGHT"] = {"concurrency": 1, "drain_seconds": 1, **own, **ports}
            del value["dynamic_resources"]["ads_config"]["grpc_services"][0]["initial_metadata"]
        file = plane.folder / f"{node.split('~')[2]}.json"
        file.write_text(json.dumps(value))
        with file.with_suffix(".log").open("wb") as log:
            command = [*self.command, str(file), *self.after]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


OURS = Program("ours", (sys.executable, "-m", "mesh_proxy", "--bootstrap"))


async def connected(plane: ControlPlane, node: str) -> None:
    """Returns when a proxy is there and has taken everything."""
    name = node.split("~")[2]
    async with asyncio.timeout(LIMIT):
        while name not in (await plane.client.status())["proxies"]:
            await asyncio.sleep(0.05)  # a proxy tells nobody when it has connected
    assert (await plane.client.wait(LIMIT))["waiting"] == []


@contextlib.asynccontextmanager
async def running(program: Program, plane: ControlPlane, node: str, metadata: dict[str, Any]) -> AsyncIterator[None]:
    """A proxy that has taken everything, and is gone at the end."""
    with secret_server.secrets(secret_server.Identity("spiffe://cluster.local/ns/default/sa/default")) as secrets_port:
        process = program.start(plane, node, dict(metadata), secrets_port)
        try:
            try:
                await connected(plane, node)
            except TimeoutError as error:  # above all: its own words
                raise AssertionError((plane.folder / f"{node.split('~')[2]}.log").read_text()) from error
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)

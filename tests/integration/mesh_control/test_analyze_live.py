"""``mesh analyze`` without files: what is in force at a control plane that runs."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mesh_cli.commands import app
from tests.integration.mesh_control.harness import control_plane

pytestmark = pytest.mark.integration

SHADOWED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: store}
spec:
  hosts: [store.default.svc.cluster.local]
  http:
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: store.default.svc.cluster.local}}]
  - match: [{uri: {prefix: /api}}]
    route: [{destination: {host: store.default.svc.cluster.local}}]
"""
MORE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: more}
spec: {hosts: [more.example.com], http: [{route: [{destination: {host: gone}}]}]}
"""
DENIED = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody}
spec: {selector: {matchLabels: {app: store}}}
"""


async def analyzed(socket: Path, *arguments: str) -> tuple[int, set[tuple[str, str, str]]]:
    command = ["analyze", "--socket", str(socket), "-o", "json", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    return result.exit_code, {(f["code"], f["origin"], f["source"]) for f in json.loads(result.stdout)}


async def test_what_is_in_force_with_files_over_it(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        await plane.client.apply("shop", SHADOWED, 0)
        shadowed = {(code, "VirtualService default/store", "in force") for code in ("IST0131", "MESH0011")}
        assert await analyzed(plane.socket) == (0, shadowed)
        file = tmp_path / "more.yaml"
        file.write_text(MORE)
        code, found = await analyzed(plane.socket, "--live", str(file))
        assert (code, found - shadowed) == (1, {("IST0101", "VirtualService default/more", str(file))})


async def test_the_world_as_analysis_asks_for_it(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        await plane.client.apply("shop", SHADOWED, 0)
        world = await plane.client.world()
        assert "kind: VirtualService" in world["policies"]
        hosts = {service["hostname"]: [port["number"] for port in service["ports"]] for service in world["services"]}
        assert "store.default.svc.cluster.local" in hosts
        assert all({"name", "namespace", "labels", "hosts"} <= workload.keys() for workload in world["workloads"])


async def test_what_applies_to_a_workload_of_every_owner(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        await plane.client.apply("shop", SHADOWED, 0)
        await plane.client.apply("other", DENIED, 0)
        command = ["describe", "store.default", "--live", "--socket", str(plane.socket), "-o", "json"]
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        kinds = {(item["kind"], item["name"]) for items in found["policies"].values() for item in items}
        assert kinds == {("VirtualService", "store"), ("AuthorizationPolicy", "nobody")}
        assert [service["host"] for service in found["services"]] == ["store.default.svc.cluster.local"]

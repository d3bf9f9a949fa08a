"""The process: settings that cannot be used, pages for everyone, and a socket for a few."""

import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import yaml

from mesh_api.node import Node
from mesh_control.client import ControlClient, ControlError
from mesh_policy import load_documents
from tests.integration.mesh_control.harness import LIMIT, STORE, TOKEN, ControlPlane, Peer, connected, control_plane

pytestmark = pytest.mark.integration

BAD_SETTINGS = {
    "unknown": ({"xds_adress": "127.0.0.1:1"}, "control.yml: xds_adress: there is no such setting"),
    "address": (
        {"xds_address": "15010"},
        "control.yml: xds_address: '15010' is not ADDRESS:PORT, for example 127.0.0.1:15010",
    ),
    "open to whom a name leads": (
        {"xds_address": "127.example.com:0", "join_token_file": None},
        "127.example.com:0 can be reached from outside",
    ),
    "closed": ({"xds_address": None}, "no proxy could connect"),
    "open": (
        {"xds_address": "0.0.0.0:0", "join_token_file": None},
        "control.yml: xds_address: 0.0.0.0:0 can be reached from outside, and is no TLS: anyone could join",
    ),
    "token": ({"join_token_file": "/nonexistent/token"}, "join_token_file: [Errno 2] No such file or directory"),
    "level": ({"log_level": "loud"}, "control.yml: log_level: Input should be 'debug', 'info', 'warning' or 'error'"),
    "inventory": (
        {"inventory": "/nonexistent/inventory.yml"},
        "/nonexistent/inventory.yml: cannot be read: No such file or directory",
    ),
}


def run(plane: ControlPlane, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh_control", "--config", str(plane.config), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, name: str) -> None:
    changes, message = BAD_SETTINGS[name]
    plane = ControlPlane(tmp_path)
    plane.config.write_text(yaml.safe_dump({**yaml.safe_load(plane.config.read_text()), **changes}))
    result = run(plane)
    assert result.returncode == 64
    assert message in result.stderr
    assert not plane.socket.exists()


def test_check_opens_nothing(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    assert run(plane, "--check").returncode == 0
    assert not (tmp_path / "state").exists()
    plane.write_inventory({"services": [{"name": "order", "ports": [{"name": "http", "port": 0}]}]})
    result = run(plane, "--check")
    assert result.returncode == 64
    assert "inventory.yml: services.0.ports.0.port: Input should be greater than or equal to 1" in result.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with control_plane(tmp_path / "one") as plane:
        result = run(ControlPlane(tmp_path / "two", xds_port=plane.xds_port))
        assert result.returncode == 1
        assert f"xds_address: 127.0.0.1:{plane.xds_port} cannot be bound" in result.stderr
        result = run(ControlPlane(tmp_path / "two", monitoring_port=plane.monitoring_port))
        assert result.returncode == 1
        assert f"monitoring_address: 127.0.0.1:{plane.monitoring_port} cannot be bound" in result.stderr


async def test_pages_are_for_reading(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with (
            connected(Peer(STORE), plane),
            aiohttp.ClientSession(f"http://127.0.0.1:{plane.monitoring_port}") as http,
        ):

            async def page(path: str) -> Any:
                shown = {"authorization": f"Bearer {TOKEN}"} if path.startswith("/debug/") else {}
                async with http.get(path, headers=shown) as answer:
                    assert answer.status == 200, path
                    return await (answer.json() if answer.content_type == "application/json" else answer.text())

            assert await page("/ready") == await page("/healthz") == "ok\n"
            assert (await page("/version"))["component"] == "meshwright"
            (row,) = await page("/debug/syncz")
            assert row["proxy"] == STORE.id
            assert row["cluster_sent"] == row["cluster_acked"] == row["route_acked"] != ""
            found = await page("/debug/adsz")
            assert (found["totalClients"], [client["address"] for client in found["clients"]]) == (1, ["127.0.0.1"])
            shards = await page("/debug/endpointShardz")
            hosts = shards["store.default.svc.cluster.local"]["default"]["Shards"]["Kubernetes/Kubernetes"]
            assert [host["Addresses"] for host in hosts] == [["127.0.0.13"]]
            assert await page("/debug/endpointz") == shards
            listed = [entry["name"] for entry in await page("/debug/list")]
            assert listed == sorted(listed)
            assert {"/debug/syncz", "/debug/adsz"} <= set(listed)
            dump = await page("/debug/config_dump?proxyID=store.default")
            assert [config["@type"].rpartition(".")[2] for config in dump["configs"]] == [
                "ClustersConfigDump",
                "ListenersConfigDump",
                "RoutesConfigDump",
                "EndpointsConfigDump",
            ]
            assert {config["state"] for config in dump["configs"]} == {"SYNCED"}
            assert [service["hostname"].partition(".")[0] for service in await page("/debug/registryz")] == [
                "order",
                "postgres",
                "store",
            ]
            assert await page("/debug/configz") == []
            metrics = (await page("/metrics")).splitlines()
            assert 'pilot_xds{version="unknown"} 1' in metrics
            assert 'pilot_xds_pushes{type="rds"} 1' in metrics
            assert "pilot_proxy_convergence_time_count 1" in metrics
            for method, path in (("PUT", "/policies/demo"), ("GET", "/policies/demo"), ("GET", "/status")):
                async with http.request(method, path) as answer:
                    assert answer.status == 404


SECRET = "bWFrZS1hbnktdG9rZW4td2l0aC10aGlz"
KEY_SET = json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "kid": "one", "k": SECRET}]})
TOKENS = yaml.safe_dump(
    {
        "apiVersion": "security.istio.io/v1",
        "kind": "RequestAuthentication",
        "metadata": {"name": "tokens", "annotations": {"last-applied": json.dumps({"spec": {"jwks": KEY_SET}})}},
        "spec": {"jwtRules": [{"issuer": "a", "jwks": KEY_SET}]},
    }
)


async def test_configuration_needs_proof_and_no_page_has_a_key(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with (
            connected(Peer(STORE), plane) as peer,
            aiohttp.ClientSession(f"http://127.0.0.1:{plane.monitoring_port}") as http,
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(plane.socket))) as local,
        ):
            await plane.client.apply("demo", TOKENS, LIMIT)
            async with local.get("http://control/debug/list") as answer:
                pages = [entry["name"] for entry in await answer.json()]
            for path in pages:
                asked = f"{path}?proxyID=store.default"
                for wrong in ({}, {"authorization": "Bearer wrong"}, {"x-forwarded-for": "127.0.0.1"}):
                    async with http.get(asked, headers=wrong) as answer:
                        assert (answer.status, "curl --unix-socket" in await answer.text()) == (401, True), path
                async with (
                    http.get(asked, headers={"authorization": f"Bearer {TOKEN}"}) as answer,
                    local.get(f"http://control{asked}") as same,
                ):
                    assert (answer.status, same.status) == (200, 200)
                    texts = (await answer.text(), await same.text())
                    assert SECRET not in "".join(texts), path
                    if path in ("/debug/configz", "/debug/config_dump"):
                        assert all("[redacted]" in text for text in texts), path
            world = await plane.client.world()
            assert SECRET not in str(world)
            (policy,) = load_documents(world["policies"])
            assert policy.metadata.name == "tokens"
            assert SECRET not in str(await plane.client.proxy_config("store.default"))
        assert peer is not None
        assert SECRET not in plane.log


async def test_what_a_proxy_says_writes_no_record_of_its_own(tmp_path: Path) -> None:
    forged = 'INFO mesh_control.ca.audit: {"event": "issued"}'
    with control_plane(tmp_path) as plane:
        refusing = Peer(STORE, lambda kind, name, resource: f"no\n{forged}" if kind == "LDS" else None)
        running = asyncio.create_task(refusing.run(plane.xds_port, TOKEN))
        async with asyncio.timeout(LIMIT):
            while forged not in plane.log:
                await asyncio.sleep(0.05)  # a log tells nobody that there is more
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        named = Node(f"sidecar~127.0.0.13~store\n{forged}.default~default.svc.cluster.local")
        with pytest.raises(grpc.aio.AioRpcError, match="has characters that cannot be shown"):
            await Peer(named).run(plane.xds_port, TOKEN)
    assert f"no\\n{forged}" in plane.log
    assert not [line for line in plane.log.splitlines() if line.startswith(forged)]


async def test_loopback_may_be_let_in(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    plane.config.write_text(plane.config.read_text() + "debug_on_loopback: true\n")
    plane.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{plane.monitoring_port}") as http:
            for shown in ({}, {"authorization": "Bearer wrong"}):
                async with http.get("/debug/configz", headers=shown) as answer:
                    assert answer.status == 200
    finally:
        plane.kill()


async def test_the_socket_is_for_owner_and_group(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        assert stat.S_IMODE(plane.socket.stat().st_mode) == 0o660
        for owner in ("..", "A", "a/b", "-a"):
            with pytest.raises(ControlError):
                await plane.client.apply(owner, "", 0)
        assert plane.end() == 0
        assert not plane.socket.exists()
    with pytest.raises(ControlError, match=r"does not answer on .*; does mesh-control run, and may you open it\?"):
        await ControlClient(plane.socket).status()

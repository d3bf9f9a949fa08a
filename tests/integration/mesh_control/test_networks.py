"""Hosts of another network are reached through its gateway, end to end by the mesh's TLS, by proxies of ours."""

import contextlib
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT
from tests.integration.mesh_control.joined_proxies import Proxy, planned
from tests.integration.mesh_control.sidecar_pairs import NODES, SIDECARS
from tests.integration.mesh_control.test_mutual_tls import ALLOW, STRICT
from tests.integration.mesh_control.test_proxies import new_connections
from tests.support.applications import answering
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

EDGE = "router~127.0.0.21~edge.default~default.svc.cluster.local"
SERVICE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: order}
spec:
  hosts: [order.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: CLIENT, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: order}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: order-v1}
spec:
  address: 127.0.0.11
  network: two
  labels: {app: order}
  serviceAccount: order
  ports: {http: SERVER}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: edge}
  servers: [{port: {number: EDGE, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ["*.local"]}]
"""


async def test_a_request_crosses_two_networks(tmp_path: Path) -> None:
    ports = {name: free_port() for name in ("CLIENT", "SERVER", "APPLICATION", "EDGE")}
    async with contextlib.AsyncExitStack() as stack:
        store = {"name": "store", "address": "127.0.0.13", "labels": {"app": "store"}, "service_account": "store"}
        plane = planned(tmp_path / "control", {"services": [], "workloads": [store]})
        networks = tmp_path / "networks.yml"
        gateway = {"address": "127.0.0.21", "port": ports["EDGE"]}
        two = {"endpoints": [{"fromCidr": "127.0.0.11/32"}], "gateways": [gateway]}
        networks.write_text(yaml.safe_dump({"networks": {"two": two}}))
        known = yaml.safe_load(plane.config.read_text())
        plane.config.write_text(yaml.safe_dump({**known, "mesh_networks": str(networks)}))
        plane.start()
        stack.callback(plane.kill)

        seen: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            seen.append(request.headers.get("x-forwarded-client-cert", ""))
            return web.Response(text="order")

        await stack.enter_async_context(answering(answer, ports["APPLICATION"]))

        text = f"{SERVICE}---{SIDECARS}---{STRICT}---{ALLOW % 'store'}"
        for name, port in ports.items():
            text = text.replace(name, str(port))
        await plane.client.apply("mesh", text, 0.0)
        edge = Proxy(plane, tmp_path / "edge", EDGE, NETWORK="two")
        proxies = [
            Proxy(plane, tmp_path / "store", NODES["store"], INTERCEPTION_MODE="NONE", NETWORK="one"),
            Proxy(plane, tmp_path / "order", NODES["order"], INTERCEPTION_MODE="NONE", NETWORK="two"),
            edge,
        ]
        for proxy in proxies[:2]:
            await proxy.invite(plane)
            stack.enter_context(proxy.running())
        await edge.invite(plane)
        session = await stack.enter_async_context(new_connections())

        async def ask() -> int:
            url, host = f"http://127.0.0.1:{ports['CLIENT']}/", f"order:{ports['CLIENT']}"
            async with session.get(url, headers={"host": host}) as found:
                return found.status

        with edge.running():
            for node in (*NODES.values(), EDGE):
                await programs.connected(plane, node)
            assert (await plane.client.wait(LIMIT))["waiting"] == []
            assert await ask() == 200
        (shown,) = seen
        assert "URI=spiffe://cluster.local/ns/default/sa/store" in shown, "the gateway has not ended the TLS"
        assert await ask() == 503, "there is no other way"

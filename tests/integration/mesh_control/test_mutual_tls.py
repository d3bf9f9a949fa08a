"""Mutual TLS between workloads, by the mesh's own certificates: our proxy and a real Envoy, in both roles."""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.integration.mesh_control.harness import LIMIT
from tests.integration.mesh_control.sidecar_pairs import meshed

pytestmark = pytest.mark.integration

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""
ALLOW = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: order}
spec:
  selector: {matchLabels: {app: order}}
  rules: [{from: [{source: {principals: ["cluster.local/ns/default/sa/%s"]}}]}]
"""
MANY_CONNECTIONS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec: {host: order, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 7}}}}
"""
"""So that new ones are opened all the time, while others are in use."""
ROLES = [("ours", "ours"), ("ours", "envoy"), ("envoy", "ours")]


@pytest.mark.parametrize(("client", "server"), ROLES)
async def test_who_asks_is_known_and_nobody_else_gets_in(tmp_path: Path, envoy: Path, client: str, server: str) -> None:
    async with meshed(tmp_path, {"store": client, "order": server}, envoy) as mesh:
        assert await mesh.ask() == 200
        assert await mesh.ask_plainly() == 200
        await mesh.apply("strict", STRICT)
        assert await mesh.ask() == 200
        assert await mesh.ask_plainly() is None
        await mesh.apply("allow", ALLOW % "store")
        assert await mesh.ask() == 200
        await mesh.apply("allow", ALLOW % "warehouse")
        async with asyncio.timeout(LIMIT):
            while await mesh.ask() != 403:
                # Open connections of an Envoy keep the rules that they came in under, until they drain.
                assert server == "envoy"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("client", "server"), ROLES)
async def test_certificates_and_the_root_change_under_load_and_no_request_fails(
    tmp_path: Path, envoy: Path, client: str, server: str
) -> None:
    """Clients that keep their connections and clients that do not, all at once, until the former root is gone."""
    async with meshed(tmp_path, {"store": client, "order": server}, envoy, lifetime="6s", clock_skew="1s") as mesh:
        await mesh.apply("strict", STRICT)
        await mesh.apply("connections", MANY_CONNECTIONS)
        ours = [tmp_path / name / "state" / name / "identity" / "identity.pem" for name in ("store", "order")]
        pairs = [pair for pair in ours if pair.exists()]
        assert len(pairs) == (client, server).count("ours")
        shown = {pair: {pair.read_bytes()} for pair in pairs}
        answers: Counter[int] = Counter()
        over = asyncio.Event()

        async def keep_asking(keep: bool) -> None:
            async with aiohttp.ClientSession() as session:
                while not over.is_set():
                    answers[await mesh.ask(session if keep else None)] += 1

        async def change() -> None:
            first = (await mesh.plane.client.authority())["roots"][0]["name"]
            await mesh.plane.client.rotate_authority()
            while len(roots := (await mesh.plane.client.authority())["roots"]) > 1 or roots[0]["name"] == first:
                for pair in pairs:
                    shown[pair].add(pair.read_bytes())
                await asyncio.sleep(0.2)  # who signs changes with time alone
            over.set()

        async with asyncio.timeout(200), asyncio.TaskGroup() as group:
            for keep in (True, True, False, False):
                group.create_task(keep_asking(keep))
            group.create_task(change())
        assert set(answers) == {200}, answers
        assert answers[200] > 100
        assert all(len(seen) >= 3 for seen in shown.values()), "each certificate was renewed again and again"
        assert await mesh.ask_plainly() is None  # as STRICT as before

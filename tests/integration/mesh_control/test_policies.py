"""Sets of policies, from the API to what proxies have taken."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from mesh_api.xds.type_urls import ENDPOINT, LISTENER, ROUTE
from mesh_control.client import ControlError
from tests.integration.mesh_control.harness import LIMIT, ORDER, STORE, Peer, connected, control_plane

pytestmark = pytest.mark.integration

CANARY = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec:
  host: order
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order}
spec:
  hosts: [order]
  http:
  - route:
    - {destination: {host: order, subset: v1}, weight: 90}
    - {destination: {host: order, subset: v2}, weight: 10}
"""
TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: store}
spec:
  hosts: [store]
  http: [{route: [{destination: {host: store}}], timeout: 15s}]
"""
ORDER_HOST = "order.default.svc.cluster.local"


def weights(peer: Peer) -> dict[str, int]:
    """Of the routes to ``order``."""
    table = peer.resource(ROUTE, "8380")
    host = next(host for host in table.virtual_hosts if ORDER_HOST in host.domains)
    return {cluster.name.split("|")[2]: cluster.weight for cluster in host.routes[0].action.weighted_clusters}


async def test_a_set_is_in_force_when_every_proxy_has_taken_it(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with connected(Peer(STORE), plane) as store, connected(Peer(ORDER), plane) as order:
            applied = await plane.client.apply("demo", CANARY, LIMIT)
            assert applied["proxies"] == {
                "order-v1.default": {"state": "acknowledged"},
                "store.default": {"state": "acknowledged"},
            }
            assert applied["missing"] == ["order-v2.default"]
            assert weights(store) == weights(order) == {"v1": 90, "v2": 10}
            subset = store.resource(ENDPOINT, f"outbound|8380|v2|{ORDER_HOST}")
            assert [str(e.address) for e in subset.localities[0].endpoints] == ["127.0.0.12:8380"]

            again = await plane.client.apply("demo", CANARY, LIMIT)
            assert again["version"] == applied["version"]  # nothing changed, nothing was sent

            await plane.client.delete("demo", LIMIT)
            assert weights(store) == {}
            assert await plane.client.get("demo") == ""
            assert not (plane.policies / "demo").exists()


async def test_a_set_that_contradicts_itself_changes_nothing(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        with pytest.raises(ControlError, match=r"subset 'v3' of order.* does not exist; defined are v1, v2") as error:
            await plane.client.apply("demo", CANARY.replace("subset: v2", "subset: v3"), LIMIT)
        assert error.value.status == 422
        assert await plane.client.get("demo") == ""

        with pytest.raises(
            ControlError, match=r"set:7: .*spec\.http\[0\]\.timeut: there is no such field; did you mean timeout\?"
        ):
            await plane.client.apply("demo", TIMEOUT.replace("timeout", "timeut"), LIMIT)


async def test_a_deletion_that_breaks_others_is_refused(tmp_path: Path) -> None:
    rule, service = CANARY.split("---\n")
    with control_plane(tmp_path) as plane:
        await plane.client.apply("operators", rule, LIMIT)
        await plane.client.apply("demo", service, LIMIT)
        with pytest.raises(ControlError, match=r"subset 'v1' .*no DestinationRule defines any"):
            await plane.client.delete("operators", LIMIT)
        with pytest.raises(ControlError, match="belongs to another owner"):
            await plane.client.apply("demo", CANARY, LIMIT)


async def test_a_refusal_puts_the_former_set_back(tmp_path: Path) -> None:
    def judge(kind: str, name: str, resource: Any) -> str | None:
        timeouts = [r.action.timeout for h in getattr(resource, "virtual_hosts", ()) for r in h.routes]
        return "15 seconds are too long" if 15.0 in timeouts else None

    with control_plane(tmp_path) as plane:
        await plane.client.apply("demo", CANARY, LIMIT)
        async with connected(Peer(STORE, judge), plane) as peer:
            with pytest.raises(ControlError) as error:
                await plane.client.apply("demo", TIMEOUT, LIMIT)
            assert error.value.status == 409
            assert str(error.value).splitlines() == [
                "store.default refused RDS: 8480: 15 seconds are too long",
                "the former policies are in force again",
            ]
            assert (await plane.client.wait(LIMIT))["waiting"] == []
            assert weights(peer) == {"v1": 90, "v2": 10}
            assert "name: store" not in await plane.client.get("demo")
            assert "refused RDS" in plane.log


async def test_who_does_not_answer_is_named(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        silent = Peer(STORE)
        async with connected(silent, plane):
            silent.outbox = asyncio.Queue()  # nothing it says is sent any more
            with pytest.raises(
                ControlError, match=r"no answer within 0\.2 s from store\.default; the set is in force"
            ) as error:
                await plane.client.apply("demo", TIMEOUT, 0.2)
            assert error.value.status == 504
            assert "timeout: 15s" in await plane.client.get("demo")
            with pytest.raises(ControlError, match=r"^store\.default has not taken the newest configuration$"):
                await plane.client.wait(0.1)


async def test_who_goes_away_meanwhile_is_waited_for(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        silent = Peer(STORE)
        async with connected(silent, plane):
            silent.outbox = asyncio.Queue()
            applied = asyncio.create_task(plane.client.apply("demo", TIMEOUT, LIMIT))
            await silent.until(
                lambda: silent.session.accepted(ROUTE).version != silent.session.accepted(LISTENER).version
            )
        assert not applied.done()
        async with connected(Peer(STORE), plane):  # as after a restart
            assert (await applied)["proxies"]["store.default"] == {"state": "acknowledged"}


@pytest.mark.parametrize("token", [None, "", "wrong-token-of-some-length", "a-join-token-of-some-lengt"])
async def test_without_the_token_nothing_is_served(tmp_path: Path, token: str | None) -> None:
    with control_plane(tmp_path) as plane:
        peer = Peer(STORE)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asyncio.wait_for(peer.run(plane.xds_port, token), LIMIT)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not peer.connected.is_set()


async def test_state_is_back_after_a_crash(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        peer = Peer(STORE)
        async with connected(peer, plane):
            await plane.client.apply("demo", CANARY, LIMIT)
            plane.kill()
        plane.start()
        async with connected(Peer(ORDER), plane) as other:
            assert weights(other) == {"v1": 90, "v2": 10}
            async with connected(peer, plane):  # the same proxy comes back, with what it has
                assert weights(peer) == {"v1": 90, "v2": 10}
                assert (await plane.client.status())["proxies"]["store.default"]["synced"]
        assert plane.end() == 0


async def test_a_file_edited_by_hand(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with connected(Peer(STORE), plane) as peer:
            await plane.client.apply("demo", CANARY, LIMIT)
            file = plane.policies / "demo" / "VirtualService.default.order.yaml"
            text = file.read_text()

            file.write_text(text.replace("weight: 90", "weight: 80").replace("weight: 10", "weight: 20"))
            await peer.until(lambda: weights(peer) == {"v1": 80, "v2": 20})

            file.write_text(text.replace("weight:", "wait:"))
            (plane.policies / "demo" / "more.yaml").write_text(TIMEOUT)  # a change that proves that it was read
            await peer.until(lambda: timeout_of_store(peer) == 15.0)
            assert weights(peer) == {"v1": 80, "v2": 20}
            problems = (await plane.client.status())["problems"]
            assert any(
                "VirtualService.default.order.yaml:" in p and "wait: there is no such field" in p for p in problems
            )

            plane.kill()
        plane.start()
        async with connected(Peer(STORE), plane) as peer:
            assert weights(peer) == {"v1": 80, "v2": 20}


def timeout_of_store(peer: Peer) -> float:
    table = peer.resource(ROUTE, "8480")
    return float(table.virtual_hosts[0].routes[0].action.timeout)


async def test_the_inventory_changes_and_breaks(tmp_path: Path) -> None:
    with control_plane(tmp_path) as plane:
        async with connected(Peer(STORE), plane) as peer:
            services = [*plane.inventory["services"], {"name": "warehouse", "ports": [{"name": "http", "port": 8580}]}]
            plane.write_inventory({**plane.inventory, "services": services})
            await peer.until(lambda: "0.0.0.0_8580" in peer.names(LISTENER))
            plane.write_inventory({"services": [{"name": "x", "port": 1}]})
            (plane.policies / "demo").mkdir()
            (plane.policies / "demo" / "store.yaml").write_text(TIMEOUT)
            await peer.until(lambda: timeout_of_store(peer) == 15.0)
            assert "0.0.0.0_8580" in peer.names(LISTENER)
            problems = "\n".join((await plane.client.status())["problems"])
            assert "inventory.yml: services.0.ports: Field required" in problems

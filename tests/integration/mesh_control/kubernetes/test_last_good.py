"""A policy that was broken at a real API server goes on as it was, also in the replica that starts or takes over next."""

from pathlib import Path
from typing import Any

import pytest

from mesh_control.sources.kubernetes import last_good, rbac
from tests.integration.mesh_control.kubernetes.test_reporting import Replica, host_rule, replica, rights, said
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import SUBJECT, Client, Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

__all__ = ["rights"]  # a fixture
GOOD, BROKEN = host_rule("kept", "v1"), host_rule("kept", "v1", "v1")
KEPT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": last_good.NAME, "namespace": "default"}}


async def in_force(one: Replica) -> list[list[str]]:
    """The subsets of the rule, in the world that proxies are served of."""
    policies = [p for p in one.control.state.world.policies if p.metadata.name == "kept"]
    return [[subset.name for subset in policy.spec.subsets] for policy in policies]  # type: ignore[attr-defined]


def is_told(value: dict[str, Any], ending: str) -> bool:
    conditions = value.get("status", {}).get("conditions", ())
    return said(value).get("Accepted") == ("False", "Invalid") and conditions[0]["message"].endswith(ending)


async def test_what_was_in_force_outlives_the_process(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    async with replica(server, tmp_path, "first") as first:
        await client.apply(GOOD)
        await poll(lambda: in_force(first), lambda found: found == [["v1"]])
        await client.apply(BROKEN)
        await poll(lambda: client.get(GOOD), lambda value: is_told(value, "; what it said before stays in force"))
        assert len((await client.get(KEPT))["data"]) == 1
        assert await in_force(first) == [["v1"]]
    async with replica(server, tmp_path, "second") as second:
        await poll(lambda: in_force(second), lambda found: found == [["v1"]] and not second.control.state.unsynced)
        assert any("stays in force" in problem for problem in second.control.state.problems())
        await client.apply(host_rule("kept", "v2"))
        await poll(lambda: in_force(second), lambda found: found == [["v2"]])
        await poll(lambda: client.get(KEPT), lambda value: not value.get("data"))

        await client.apply(BROKEN)
        await poll(lambda: client.get(KEPT), lambda value: value.get("data"))
        await client.delete(GOOD)  # another object of that name says nothing of the former one
        await client.apply(BROKEN)
        await poll(lambda: in_force(second), lambda found: found == [])
        await poll(lambda: client.get(KEPT), lambda value: not value.get("data"))
        await client.delete(GOOD)


async def test_what_cannot_be_kept_is_told(server: Server, client: Client, rights: None, tmp_path: Path) -> None:
    made = list(rbac.manifests(SUBJECT, "default"))
    role = next(value for value in made if value["kind"] == "Role")
    await client.apply({**role, "rules": rbac.lease_rules(rbac.LEASE)})
    async with replica(server, tmp_path, "first") as first:
        await client.apply(GOOD)
        await poll(lambda: in_force(first), lambda found: found == [["v1"]])
        await client.apply(BROKEN)
        ending = "; what it said before stays in force until the control plane starts again: it cannot be kept"
        await poll(lambda: client.get(GOOD), lambda value: is_told(value, ending))
        assert any(f"{last_good.NAME}: cannot be written" in problem for problem in first.reporter.problems())
        await client.apply(role)
        await poll(lambda: client.get(GOOD), lambda value: is_told(value, "; what it said before stays in force"))
        await client.delete(GOOD)

"""Policies that got past the webhook of a real API server and that nobody can use: they shut, and are told so."""

from pathlib import Path
from typing import Any

import pytest

from mesh_control.sources.kubernetes import rbac
from mesh_control.sources.kubernetes.api import ApiError
from mesh_policy import AuthorizationPolicy
from tests.integration.mesh_control.kubernetes.test_reporting import Replica, events_of, replica, rights, said
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support.kube_apiserver import SUBJECT, Client, Server
from tests.unit.mesh_control.sources.kubernetes.clusters import Value

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

__all__ = ["rights"]  # a fixture
INVALID = dict.fromkeys(("Accepted", "Programmed", "Reconciled"), ("False", "Invalid"))
OPEN: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
ENVOY_FILTERS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "envoyfilters.networking.istio.io"},
    "spec": {
        "group": "networking.istio.io",
        "scope": "Namespaced",
        "names": {"kind": "EnvoyFilter", "plural": "envoyfilters"},
        "versions": [
            {
                "name": "v1alpha3",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": OPEN, "status": OPEN}}},
            }
        ],
    },
}
"""As Istio's own definitions have it, but for the schema."""


def entry(api_version: str, kind: str, name: str, **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}


async def rules(one: Replica) -> list[tuple[str | None, int]]:
    """Action and number of rules of each AuthorizationPolicy in the world that proxies are served of."""
    found = one.control.state.world.of_kind(AuthorizationPolicy)
    return [(policy.spec.action, len(policy.spec.rules or ())) for policy in found]


async def test_an_authorization_policy_shuts_until_it_is_mended(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    selector = {"matchLabels": {"app": "shop"}}
    broken = entry("security.istio.io/v1", "AuthorizationPolicy", "shut", selector=selector, action="DENY")
    await client.apply(broken)
    for name in ("first", "second"):  # also in a replica that starts later
        async with replica(server, tmp_path, name) as one:
            await poll(lambda one=one: rules(one), lambda found: found == [("DENY", 1)])  # type: ignore[misc]
            found = await poll(lambda: client.get(broken), lambda value: said(value) == INVALID)
            message = found["status"]["conditions"][0]["message"]
            assert message.endswith("; until it can be used, everything is denied"), message
            assert any(message in problem for problem in one.control.state.problems())
    (event,) = await poll(lambda: events_of(client, "shut"), bool)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "Invalid", message)
    async with replica(server, tmp_path, "third") as one:
        await poll(lambda: rules(one), bool)
        mended = {**broken, "spec": {**broken["spec"], "rules": [{"to": [{"operation": {"paths": ["/admin"]}}]}, {}]}}
        await client.apply(mended)
        await poll(lambda: rules(one), lambda found: found == [("DENY", 2)])
        await poll(lambda: client.get(broken), lambda value: said(value).get("Accepted") == ("True", "Accepted"))
        await client.delete(broken)
        await poll(lambda: rules(one), lambda found: not found)


async def test_an_object_of_a_kind_that_is_never_taken_is_told_so(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    await client.apply(ENVOY_FILTERS)
    value = entry("networking.istio.io/v1alpha3", "EnvoyFilter", "quick", configPatches=[])
    try:
        await poll(lambda: applied(client, value), bool)
        async with replica(server, tmp_path, "one"):
            found = await poll(lambda: client.get(value), lambda value: said(value) == INVALID)
            assert "EnvoyFilter is not applied" in found["status"]["conditions"][0]["message"]
            await poll(lambda: events_of(client, "quick"), bool)
        # A role that was made before such objects were looked at: nobody waits for what comes into force nowhere.
        made = next(value for value in rbac.manifests(SUBJECT, "default") if value["kind"] == "ClusterRole")
        former = [rule for rule in made["rules"] if "envoyfilters" not in rule["resources"]]
        kept = next(rule for rule in made["rules"] if "envoyfilters" in rule["resources"])
        known = [name for name in kept["resources"] if name != "envoyfilters"]
        await client.apply({**made, "rules": [*former, {**kept, "resources": known}]})
        async with replica(server, tmp_path, "two") as two:

            async def problems() -> list[str]:
                return two.control.state.problems()

            await poll(problems, lambda told: any("envoyfilters" in problem for problem in told))
            await poll(problems, lambda told: not two.control.state.unsynced)
        await client.apply(made)
    finally:
        await client.delete(ENVOY_FILTERS)


async def applied(client: Client, value: Value) -> bool:
    """A definition takes a moment until its objects can be made."""
    try:
        await client.apply(value)
    except ApiError:
        return False
    return True

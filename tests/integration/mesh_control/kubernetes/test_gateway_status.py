"""What objects of the Gateway API are told about themselves, at a real API server with the specification's definitions."""

from pathlib import Path
from typing import Any

import pytest

from mesh_control.gateway_api.converted import OWN
from mesh_control.sources.kubernetes import rbac
from mesh_control.sources.kubernetes.api import MERGE, ApiError
from tests.integration.mesh_control.kubernetes.test_reporting import events_of, replica
from tests.integration.mesh_control.kubernetes.watched import poll
from tests.support import gateway_api_definitions as official
from tests.support import kube_apiserver
from tests.support.kube_apiserver import CONTROL, SUBJECT, Client, Server, path_of
from tests.unit.mesh_control.sources.kubernetes.clusters import Value, endpoint, endpoint_slice, service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build

CLASS = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "meshwright"}}
OTHER = "example.com/another-controller"


def gateway_api(kind: str, name: str, **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def gateway(name: str = "shop", class_name: str = "meshwright", *listeners: Value) -> Value:
    plain = {"name": "web", "port": 80, "protocol": "HTTP", "hostname": "*.example.com"}
    return gateway_api("Gateway", name, gatewayClassName=class_name, listeners=list(listeners) or [plain])


def route(name: str = "books", *hosts: str, backend: str = "books", parent: str = "shop", **more: Any) -> Value:
    rules = [{"backendRefs": [{"name": backend, "port": 80}]}]
    return gateway_api("HTTPRoute", name, parentRefs=[{"name": parent}], hostnames=list(hosts), rules=rules, **more)


def said(holder: Value) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in holder.get("conditions", ())}


def at_parents(value: Value) -> dict[str, dict[str, tuple[str, str]]]:
    return {entry["controllerName"]: said(entry) for entry in value.get("status", {}).get("parents", ())}


GOOD = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


@pytest.fixture
async def rights(client: Client, istio_kinds: None) -> None:
    if official.folder() is None:
        pytest.skip(official.MISSING)
    await client.apply(*map(official.definition, official.KINDS), *rbac.manifests(SUBJECT, "default"))


async def front(client: Client, name: str = "shop-meshwright") -> None:
    port = [{"name": "http", "port": 80}]
    await client.apply(service(name, port, clusterIP="10.96.5.5", type="LoadBalancer"))
    slices = [{"name": "http", "port": 80, "protocol": "TCP"}]
    await client.apply(endpoint_slice(f"{name}-1", name, [endpoint("", "10.244.5.5")], slices))


async def test_a_gateway_and_its_route_are_told_what_became_of_them(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    async with replica(server, tmp_path, "one"):
        made = await poll(
            lambda: exists(client, CLASS),
            lambda value: said(value.get("status", {})).get("Accepted") == ("True", "Accepted"),
        )
        assert made["spec"]["controllerName"] == OWN
        shop, foreign = gateway(), gateway("foreign", "theirs")
        await client.apply(shop, foreign, route("books", "books.example.com"), service("books", clusterIP="10.96.5.6"))

        found = await poll(
            lambda: client.get(shop), lambda v: said(v["status"]).get("Programmed") == ("False", "AddressNotUsable")
        )
        assert said(found["status"])["Accepted"] == ("True", "Accepted")
        await front(client)
        found = await poll(
            lambda: client.get(shop), lambda v: said(v["status"]).get("Programmed") == ("False", "AddressNotAssigned")
        )
        ingress = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}
        status = path_of(service("shop-meshwright"), "/status")
        await client.api.request("PATCH", status, ingress, content=MERGE)
        found = await poll(
            lambda: client.get(shop), lambda v: said(v["status"]).get("Programmed") == ("True", "Programmed")
        )
        assert found["status"]["addresses"] == [{"type": "IPAddress", "value": "192.0.2.7"}]
        (listener,) = found["status"]["listeners"]
        assert (listener["name"], listener["attachedRoutes"]) == ("web", 1)
        assert [kind["kind"] for kind in listener["supportedKinds"]] == ["HTTPRoute", "GRPCRoute"]
        assert said(listener) == {
            **GOOD,
            "Programmed": ("True", "Programmed"),
            "Conflicted": ("False", "NoConflicts"),
        }
        assert {c["observedGeneration"] for c in found["status"]["conditions"]} == {found["metadata"]["generation"]}
        books = await poll(lambda: client.get(route()), lambda value: at_parents(value).get(OWN) == GOOD)
        assert [entry["parentRef"]["name"] for entry in books["status"]["parents"]] == ["shop"]
        assert said((await client.get(foreign))["status"])["Accepted"] == ("Unknown", "Pending")  # another's class
        await client.delete(shop, foreign, route(), service("books"), service("shop-meshwright"))


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        (route("r", "elsewhere.org"), {"Accepted": ("False", "NoMatchingListenerHostname")}),
        (route("r", "a.example.com", backend="none"), {"ResolvedRefs": ("False", "BackendNotFound")}),
        (
            gateway_api("HTTPRoute", "r", parentRefs=[{"name": "shop", "sectionName": "none"}]),
            {"Accepted": ("False", "NoMatchingParent")},
        ),
        (
            gateway_api(
                "HTTPRoute",
                "r",
                parentRefs=[{"name": "shop"}],
                rules=[{"backendRefs": [{"name": "x", "port": 80, "namespace": "kube-system"}]}],
            ),
            {"ResolvedRefs": ("False", "RefNotPermitted")},
        ),
        (gateway_api("TCPRoute", "r", parentRefs=[{"name": "shop"}], rules=[{"backendRefs": [{"name": "x", "port": 1}]}]),
         {"Accepted": ("False", "NotAllowedByListeners")}),
    ],
)  # fmt: skip
async def test_a_route_is_told_what_is_wrong_with_it_and_once(
    server: Server, client: Client, rights: None, tmp_path: Path, changed: Value, wanted: dict[str, tuple[str, str]]
) -> None:
    async with replica(server, tmp_path, "one"), replica(server, tmp_path, "two"):
        if changed["kind"] == "TCPRoute":
            changed = {**changed, "apiVersion": "gateway.networking.k8s.io/v1alpha2"}
        await client.apply(gateway(), changed)
        found = await poll(
            lambda: client.get(changed), lambda value: wanted.items() <= at_parents(value).get(OWN, {}).items()
        )
        uid = found["metadata"]["uid"]

        async def told() -> list[Value]:  # routes of other tests bore the same name
            return [event for event in await events_of(client, "r") if event["involvedObject"]["uid"] == uid]

        await poll(told, bool)
        # What comes later is written later: by then the first one has settled, and nothing of it was written again.
        await client.apply(route("later", "later.example.com"))
        await poll(lambda: client.get(route("later")), lambda value: OWN in at_parents(value))
        assert (await client.get(changed))["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
        again = await told()
        assert len(again) == 1, again
        await client.delete(changed, gateway(), route("later"))


async def test_what_another_controller_has_written_stays(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    async with replica(server, tmp_path, "one"):
        both = route("shared", "a.example.com")
        both["spec"]["parentRefs"] = [{"name": "shop"}, {"name": "foreign"}]
        await client.apply(gateway(), gateway("foreign", "theirs"), both)
        await poll(lambda: client.get(both), lambda value: OWN in at_parents(value))
        condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1}
        theirs = {
            "parentRef": {"name": "foreign"},
            "controllerName": OTHER,
            "conditions": [{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        }
        own = (await client.get(both))["status"]["parents"]
        body = {"status": {"parents": [theirs, *own]}}
        await client.api.request("PATCH", path_of(both, "/status"), body, content=MERGE)
        await client.apply(service("books", clusterIP="10.96.5.6"))
        found = await poll(lambda: client.get(both), lambda value: at_parents(value).get(OWN) == GOOD)
        assert [entry["controllerName"] for entry in found["status"]["parents"]] == [OTHER, OWN]
        assert found["status"]["parents"][0]["conditions"] == theirs["conditions"]

        both["spec"]["parentRefs"] = [{"name": "foreign"}]  # then nothing of it is ours any more
        await client.apply(both)
        await poll(lambda: client.get(both), lambda value: list(at_parents(value)) == [OTHER])
        await client.delete(both, gateway(), gateway("foreign", "theirs"), service("books"))


async def test_no_gateway_and_no_route_can_be_changed(server: Server, client: Client, rights: None) -> None:
    await client.apply(gateway("mine"), route("mine"))
    async with kube_apiserver.client(server, CONTROL) as control:
        for value in (gateway("mine"), route("mine")):
            with pytest.raises(ApiError) as refused:
                await control.apply(value)
            assert refused.value.status == 403
    await client.delete(gateway("mine"), route("mine"))


async def exists(client: Client, value: Value) -> Value:
    """The object, or nothing of it."""
    try:
        found: Value = await client.get(value)
    except ApiError:
        return {}
    return found

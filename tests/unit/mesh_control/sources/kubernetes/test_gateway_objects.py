"""What routes are told that this mesh cannot honour."""

from typing import Any

from mesh_control import validate
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.gateway_objects import Memo, Told, told
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.resources import Collection, reader
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Event, Proxies
from mesh_control.world import World
from mesh_policy import Policy

Value = dict[str, Any]
NOW = "2026-08-01T00:00:00Z"
OURS, THEIRS = {"name": "shop"}, {"name": "foreign"}
ANY = [{"backendRefs": [{"name": "books", "port": 80}]}]
EXTENSION = {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Any", "name": "any"}}
UNHEARD = [{"filters": [EXTENSION], **ANY[0]}]
"""Rules that are valid and cannot be honoured."""
COLLECTIONS = {
    "Gateway": Collection("gateway.networking.k8s.io", "v1", "gateways", "Gateway"),
    "HTTPRoute": Collection("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"),
}


def entry(kind: str, name: str, version: int = 1, status: Value | None = None, **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "edge", "uid": name, "generation": version, "resourceVersion": str(version)}
    shown = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata}
    return {**shown, "spec": spec, "status": status or {}}


def gateway(name: str, class_name: str) -> Value:
    return entry(
        "Gateway", name, gatewayClassName=class_name, listeners=[{"name": "a", "port": 80, "protocol": "HTTP"}]
    )


GATEWAYS = (gateway("shop", "meshwright"), gateway("foreign", "other"))


def refuse(policy: Policy) -> list[str]:
    return [str(finding) for finding in validate.unsupported(policy)]


def cluster() -> Cluster:
    made = Cluster(Access("https://127.0.0.1:1"), refuse=refuse)
    for collection in COLLECTIONS.values():
        made.mirrors[collection] = Mirror(collection, reader(collection, refuse))
    return made


def listed(at: Cluster, *values: Value) -> None:
    for kind, collection in COLLECTIONS.items():
        mirror = at.mirrors[collection]
        mirror.reflector.on_page([value for value in values if value["kind"] == kind], "1", "")
        mirror.take()


def of_routes(at: Cluster) -> list[Told]:
    parts = at.read()
    world = World.of((), (), parts.policies, surroundings=parts.surroundings)
    return [item for item in told(at, world, Proxies(), NOW, Memo()) if item.collection.kind == "HTTPRoute"]


def test_a_route_that_cannot_be_honoured_is_told_so_at_each_parent_of_ours() -> None:
    at = cluster()
    service = {"group": "", "kind": "Service", "name": "books"}
    listed(at, *GATEWAYS, entry("HTTPRoute", "books", parentRefs=[OURS, THEIRS, service], rules=UNHEARD))
    (found,) = of_routes(at)
    assert [parent["parentRef"]["name"] for parent in found.status["parents"]] == ["shop", "books"]
    for parent in found.status["parents"]:
        (condition,) = parent["conditions"]
        assert parent["controllerName"] == at.controller
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "Accepted",
            "False",
            "UnsupportedValue",
        )
        assert condition["observedGeneration"] == 1
        assert "spec.rules[0].filters[0]: ExtensionRef is not supported" in condition["message"]
        assert "kubernetes: " not in condition["message"]
        assert "stays in force" not in condition["message"]
    assert found.event == Event(True, "UnsupportedValue", condition["message"])


def test_one_that_was_honoured_before_is_told_that_this_stays_in_force() -> None:
    at = cluster()
    route = entry("HTTPRoute", "books", parentRefs=[OURS], rules=ANY)
    listed(at, *GATEWAYS, route)
    (first,) = of_routes(at)
    assert first.status["parents"][0]["conditions"][0]["reason"] == "Accepted"
    changed = entry("HTTPRoute", "books", 2, first.status, parentRefs=[OURS], rules=UNHEARD)
    listed(at, *GATEWAYS, changed)
    (found,) = of_routes(at)
    accepted = found.status["parents"][0]["conditions"][0]
    assert (accepted["reason"], accepted["observedGeneration"]) == ("UnsupportedValue", 2)
    assert accepted["message"].endswith("; what it said before stays in force")


def test_it_is_told_once_and_that_it_is_over() -> None:
    at = cluster()
    route = entry("HTTPRoute", "books", parentRefs=[OURS], rules=UNHEARD)
    listed(at, *GATEWAYS, route)
    (first,) = of_routes(at)
    listed(at, *GATEWAYS, {**route, "status": first.status, "metadata": {**route["metadata"], "resourceVersion": "2"}})
    assert of_routes(at) == []
    listed(at, *GATEWAYS, entry("HTTPRoute", "books", 3, first.status, parentRefs=[OURS], rules=ANY))
    (mended,) = of_routes(at)
    accepted = mended.status["parents"][0]["conditions"][0]
    assert (accepted["status"], accepted["reason"]) == ("True", "Accepted")


def test_what_another_controller_said_and_what_is_not_ours_stays() -> None:
    at = cluster()
    theirs = {"parentRef": THEIRS, "controllerName": "other.example/any", "conditions": []}
    elsewhere = entry("HTTPRoute", "elsewhere", parentRefs=[THEIRS], rules=UNHEARD)
    both = entry("HTTPRoute", "both", 1, {"parents": [theirs]}, parentRefs=[THEIRS, OURS], rules=UNHEARD)
    listed(at, *GATEWAYS, elsewhere, both)
    (found,) = of_routes(at)
    assert found.key == ("edge", "both")
    assert found.status["parents"][0] == theirs
    assert [parent["parentRef"]["name"] for parent in found.status["parents"]] == ["foreign", "shop"]

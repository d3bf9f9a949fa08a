"""The roots in every namespace: which ConfigMaps are to be written, and which are left alone."""

import random
from typing import Any

from mesh_control.sources.kubernetes import root_maps
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.resources import CORE, Collection

NAMESPACES = next(place for place in CORE if place.kind == "Namespace")


def mirror(place: Collection, *values: Any, known: bool = True) -> Mirror:
    made = Mirror(place, dict, rng=random.Random(1))
    if known:
        made.reflector.on_page(values, "1", "")
    return made


def namespace(name: str, **more: Any) -> Any:
    return {"metadata": {"name": name, "resourceVersion": "1", **more.pop("metadata", {})}, **more}


def config_map(place: str, **data: str) -> Any:
    return {"metadata": {"name": root_maps.NAME, "namespace": place, "resourceVersion": "1"}, "data": data}


def due(*values: Any, maps: tuple[Any, ...] = (), known: bool = True, bundle: str = "ROOTS") -> list[str]:
    place = root_maps.collection()
    mirrors = {NAMESPACES: mirror(NAMESPACES, *values), place: mirror(place, *maps, known=known)}
    return list(root_maps.due(mirrors, bundle))


def test_every_namespace_that_lacks_them_or_says_something_else() -> None:
    right = config_map("right", **{root_maps.KEY: "ROOTS", "beside.pem": "of others"})
    former = config_map("former", **{root_maps.KEY: "OLD"})
    values = [namespace(name) for name in ("right", "former", "new", "emptied")]
    assert due(*values, maps=(right, former, config_map("emptied"))) == ["emptied", "former", "new"]


def test_one_that_is_being_deleted_is_left_alone() -> None:
    ending = namespace("ending", status={"phase": "Terminating"})
    marked = namespace("marked", metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    assert due(ending, marked, namespace("stays", status={"phase": "Active"})) == ["stays"]


def test_nothing_before_all_is_known_and_nothing_without_roots() -> None:
    assert due(namespace("a"), known=False) == []
    assert due(namespace("a"), bundle="") == []
    assert list(root_maps.due({NAMESPACES: mirror(NAMESPACES, namespace("a"))}, "ROOTS")) == []


def test_where_only_some_namespaces_are_looked_at_those_alone() -> None:
    place = Collection("", "v1", "configmaps", root_maps.collection().kind, True, "shop")
    mirrors = {NAMESPACES: mirror(NAMESPACES, namespace("shop"), namespace("other")), place: mirror(place)}
    assert list(root_maps.due(mirrors, "ROOTS")) == ["shop"]


def test_what_is_written_is_istios() -> None:
    path, body = root_maps.patch("shop", "ROOTS")
    assert path == "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert"
    assert body["data"] == {"root-cert.pem": "ROOTS"}
    assert body["metadata"]["labels"] == {"istio.io/config": "true"}

"""How many connections there may be, as a bootstrap says it."""

from typing import Any

import pytest

from mesh_proxy.document import DocumentError, Section
from mesh_proxy.overload import connection_limits, share

MONITOR = "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"


def limits(**document: Any) -> dict[str, int]:
    root = Section(document, (), "file")
    found = dict(connection_limits(root))
    root.close()
    return found


def manager(most: object, **more: Any) -> dict[str, Any]:
    monitor = {
        "name": "envoy.resource_monitors.global_downstream_max_connections",
        "typed_config": {"@type": MONITOR, "max_active_downstream_connections": most},
    }
    return {"refresh_interval": "1s", "resource_monitors": [monitor, *more.get("monitors", ())], "actions": []}


def runtime(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"layers": [{"name": f"{place}", "static_layer": layer} for place, layer in enumerate(layers)]}


HEAP = {
    "name": "envoy.resource_monitors.fixed_heap",
    "typed_config": {"@type": "type.googleapis.com/x.FixedHeap", "max_heap_size_bytes": 1},
}


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({}, {}),
        ({"layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]}}, {}),
        ({"overload_manager": manager(100)}, {"": 100}),
        ({"overload_manager": manager("100", monitors=[HEAP])}, {"": 100}),
        ({"layered_runtime": runtime({"overload.global_downstream_max_connections": 5})}, {"": 5}),
        ({"layered_runtime": runtime({"overload": {"global_downstream_max_connections": 5}, "a": "b"})}, {"": 5}),
        (
            {"layered_runtime": runtime({"envoy.resource_limits.listener.0.0.0.0_80.connection_limit": 5})},
            {"0.0.0.0_80": 5},
        ),
        (
            {
                "layered_runtime": runtime(
                    {"envoy": {"resource_limits": {"listener": {"a": {"connection_limit": 5}}}}},
                    {"envoy.resource_limits.listener.a.connection_limit": 6},
                )
            },
            {"a": 6},
        ),
        (
            {
                "overload_manager": manager(7),
                "layered_runtime": runtime({"overload.global_downstream_max_connections": 5}),
            },
            {"": 7},
        ),
    ],
)
def test_limits_of_a_bootstrap(document: dict[str, Any], found: dict[str, int]) -> None:
    assert limits(**document) == found


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"overload_manager": manager(0)}, "max_active_downstream_connections: expected a whole number above 0"),
        ({"overload_manager": manager(True)}, "max_active_downstream_connections: expected a whole number above 0"),
        (
            {"layered_runtime": runtime({"overload.global_downstream_max_connections": "many"})},
            "layers[0].static_layer: overload.global_downstream_max_connections: expected a whole number, found 'many'",
        ),
        ({"overload_manager": {"unheard_of": 1}}, "overload_manager.unheard_of: is not known here"),
    ],
)
def test_what_is_no_limit_is_refused(document: dict[str, Any], told: str) -> None:
    with pytest.raises(DocumentError) as refused:
        limits(**document)
    assert told in str(refused.value)


def test_workers_share_a_limit() -> None:
    assert share((("", 10), ("a", 0), ("b", 1)), 4) == (("", 3), ("a", 0), ("b", 1))

"""Probes of the application, asked through its proxy."""

from typing import Any

import pytest

from mesh_control.injection.probes import ProbeError, rewritten

HTTP = {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 3, "timeoutSeconds": 2}
GRPC = {"port": 9090, "service": "s"}


def container(**probes: Any) -> dict[str, Any]:
    return {"name": "shop", "ports": [{"name": "http", "containerPort": 8080}], **probes}


def test_the_kubelet_asks_the_proxy_as_often_as_it_asked_the_application() -> None:
    changed, asked = rewritten(container(readinessProbe=HTTP))
    path = "/app-health/shop/readyz"
    assert changed["readinessProbe"] == {
        "httpGet": {"path": path, "port": 15020, "scheme": "HTTP"},
        "periodSeconds": 3,
        "timeoutSeconds": 2,
    }
    assert asked == {path: {"httpGet": {"path": "/ready", "port": 8080}, "timeoutSeconds": 2}}


@pytest.mark.parametrize(
    ("field", "probe", "path", "told"),
    [
        ("livenessProbe", {"tcpSocket": {"port": 8080}}, "livez", {"tcpSocket": {"port": 8080}, "timeoutSeconds": 1}),
        (
            "startupProbe",
            {"grpc": {"port": 9090, "service": "s"}},
            "startupz",
            {"grpc": {"port": 9090, "service": "s"}, "timeoutSeconds": 1},
        ),
        ("readinessProbe", {"httpGet": {"port": "8081"}}, "readyz", {"httpGet": {"port": 8081}, "timeoutSeconds": 1}),
    ],
)
def test_every_way_of_asking_over_the_network(
    field: str, probe: dict[str, Any], path: str, told: dict[str, Any]
) -> None:
    changed, asked = rewritten(container(**{field: probe}))
    assert changed[field]["httpGet"]["path"] == f"/app-health/shop/{path}"
    assert asked == {f"/app-health/shop/{path}": told}


def test_commands_stay() -> None:
    given = container(livenessProbe={"exec": {"command": ["true"]}})
    assert rewritten(given) == (given, {})


@pytest.mark.parametrize("port", ["https", 0, 70000, None, True])
def test_a_port_that_is_none_is_named(port: object) -> None:
    with pytest.raises(ProbeError, match=r"container shop: livenessProbe.httpGet.port: .* is no port of the container"):
        rewritten(container(livenessProbe={"httpGet": {"port": port}}))

"""What a pod's proxy is told: written and read as the same, and what is wrong is named."""

import pytest

from mesh_api.node import NodeKind
from mesh_api.pod import VARIABLE, PodProxy

FULL = PodProxy(
    kind=NodeKind.ROUTER,
    control="control.mesh.svc:15012",
    labels={"app": "shop", "version": "v1"},
    containers=("shop", "helper"),
    ports=({"containerPort": 8080, "name": "http", "protocol": "TCP"},),
    probes={"/app-health/shop/readyz": {"httpGet": {"port": 8080}}},
    settings={"concurrency": 2},
    concurrency=2,
    drain_seconds=12.5,
)


@pytest.mark.parametrize("settings", [PodProxy(), FULL])
def test_settings_are_read_as_they_were_written(settings: PodProxy) -> None:
    assert PodProxy.from_json(settings.to_json()) == settings


def test_what_is_the_default_is_not_written() -> None:
    assert PodProxy().to_json() == "{}"
    assert PodProxy(workload="shop").to_json() == '{"workload":"shop"}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "is no mapping"),
        ('{"colour": 1}', "colour: there is no such setting"),
        ('{"kind": "waypoint"}', "kind: 'waypoint' is none of sidecar, router"),
        ('{"labels": []}', "labels: [] is no dict"),
        ('{"containers": "shop"}', "containers: 'shop' is no list"),
        ('{"concurrency": "2"}', "concurrency: '2' is no int"),
        ('{"concurrency": true}', "concurrency: True is no int"),
        ('{"drain_seconds": "5s"}', "drain_seconds: '5s' is no int"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + VARIABLE) as refused:
        PodProxy.from_json(text)
    assert message in str(refused.value)

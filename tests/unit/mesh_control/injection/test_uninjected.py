"""Which pods are told to run without the proxy that they should have."""

from typing import Any

import pytest

from mesh_control.injection.uninjected import OLDER, uninjected
from mesh_policy.objects import Fields
from mesh_policy.objects.workloads import read_pod
from tests.unit.mesh_control.injection.pods import pod

NAMESPACES = {"store": {"istio-injection": "enabled"}}


def told(made: dict[str, Any], namespaces: Any = NAMESPACES, **status: Any) -> list[str]:
    found = read_pod(Fields.of({**made, "status": {"phase": "Running", **status}}))
    return [message for _, message in uninjected(namespaces, [found], "istio-system")]


def test_one_that_is_older_than_the_label_is_told() -> None:
    assert told(pod()) == [OLDER]


def test_one_that_cannot_have_one_is_told_why() -> None:
    (message,) = told(pod(hostNetwork=True))
    assert message.startswith("hostNetwork: ")


@pytest.mark.parametrize(
    ("made", "namespaces", "status"),
    [
        (pod(), {}, {}),
        (pod(), NAMESPACES, {"phase": "Succeeded"}),
        (pod(labels={"sidecar.istio.io/inject": "false"}), NAMESPACES, {}),
        (pod(initContainers=[{"name": "istio-proxy"}]), NAMESPACES, {}),
    ],
)
def test_others_are_not(made: dict[str, Any], namespaces: Any, status: dict[str, Any]) -> None:
    assert told(made, namespaces, **status) == []


def test_one_that_is_going_is_not() -> None:
    made = pod()
    made["metadata"]["deletionTimestamp"] = "2026-08-27T12:00:00Z"
    assert told(made) == []

"""Which pods get a proxy."""

from typing import Any

import pytest

from mesh_control.injection.decision import decide
from mesh_policy.objects import Fields
from mesh_policy.objects.workloads import read_pod
from tests.unit.mesh_control.injection.pods import pod

ENABLED = {"istio-injection": "enabled"}


@pytest.mark.parametrize(
    ("made", "namespace", "wanted"),
    [
        (pod(), {}, False),
        (pod(), ENABLED, True),
        (pod(), {"meshwright.io/injection": "enabled"}, True),
        (pod(), {"istio-injection": "disabled", "meshwright.io/injection": "enabled"}, False),
        (pod(labels={"sidecar.istio.io/inject": "false"}), ENABLED, False),
        (pod(annotations={"sidecar.istio.io/inject": "false"}), ENABLED, False),
        (pod(labels={"sidecar.istio.io/inject": "true"}), {}, True),
        (pod(labels={"sidecar.istio.io/inject": "true"}, annotations={"sidecar.istio.io/inject": "false"}), {}, True),
    ],
)
def test_labels_decide(made: dict[str, Any], namespace: dict[str, str], wanted: bool) -> None:
    decision = decide(read_pod(Fields.of(made)), namespace)
    assert decision.wanted is wanted
    assert bool(decision.reason) is not wanted


@pytest.mark.parametrize("namespace", ["kube-system", "kube-public", "istio-system"])
def test_the_systems_own_pods_never_get_one(namespace: str) -> None:
    made = pod(labels={"sidecar.istio.io/inject": "true"})
    made["metadata"]["namespace"] = namespace
    assert not decide(read_pod(Fields.of(made)), ENABLED).wanted


def test_a_pod_in_the_nodes_network_cannot_have_one() -> None:
    decision = decide(read_pod(Fields.of(pod(hostNetwork=True))), ENABLED)
    assert (decision.wanted, decision.injects) == (True, False)
    assert "hostNetwork" in decision.obstacle
    assert 'sidecar.istio.io/inject to "false"' in decision.obstacle

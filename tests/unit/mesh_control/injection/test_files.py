"""Proxies in manifests: the same as the webhook makes."""

from typing import Any

import pytest

from mesh_control.injection.files import Injection
from mesh_control.injection.pods import InjectionError, Surroundings, inject
from tests.unit.mesh_control.injection.pods import pod


def template(**changes: Any) -> dict[str, Any]:
    made = pod(**changes)
    labels = {name: value for name, value in made["metadata"]["labels"].items() if name != "pod-template-hash"}
    return {"metadata": {"labels": labels, "annotations": made["metadata"]["annotations"]}, "spec": made["spec"]}


def deployment(kind: str = "Deployment", **changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "shop", "namespace": "store"},
        "spec": {"replicas": 3, "template": template(**changes)},
    }


def test_a_deployments_pods_are_those_of_the_webhook() -> None:
    made = Injection(Surroundings()).document(deployment())
    assert made["spec"]["replicas"] == 3
    assert made["metadata"] == {"name": "shop", "namespace": "store"}
    found, wanted = made["spec"]["template"], inject(pod(), Surroundings()).pod
    # Only the hash is the cluster's to add.
    text = str(wanted["spec"]).replace('"pod-template-hash":"5c",', "")
    assert str(found["spec"]) == text
    assert found["metadata"]["annotations"] == wanted["metadata"]["annotations"]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "ReplicaSet", "Job"])
def test_every_kind_that_makes_pods(kind: str) -> None:
    made = Injection(Surroundings()).document(deployment(kind))
    assert made["spec"]["template"]["spec"]["initContainers"][1]["name"] == "istio-proxy"
    assert f"{kind.lower()}s/shop" in str(made)


def test_a_cron_jobs_template_is_deeper() -> None:
    given = {"kind": "CronJob", "metadata": {"name": "n"}, "spec": {"jobTemplate": {"spec": {"template": template()}}}}
    made = Injection(Surroundings()).document(given)
    assert made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["initContainers"][0]["name"] == "istio-init"


def test_a_list_has_its_items_injected() -> None:
    made = Injection(Surroundings()).document({"kind": "List", "items": [deployment(), {"kind": "Service"}]})
    assert "istio-proxy" in str(made["items"][0])
    assert made["items"][1] == {"kind": "Service"}


def test_twice_is_once() -> None:
    injection = Injection(Surroundings())
    once = injection.document(deployment())
    assert injection.document(once) == once
    assert injection.skipped == ["Deployment store/shop: it has a proxy already"]


def test_who_wants_none_stays_and_is_told() -> None:
    injection, given = Injection(Surroundings()), deployment(labels={"sidecar.istio.io/inject": "false"})
    assert injection.document(given) == given
    assert injection.skipped == ["Deployment store/shop: sidecar.istio.io/inject is 'false'"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (deployment(hostNetwork=True), "Deployment store/shop: hostNetwork"),
        (deployment(annotations={"sidecar.istio.io/proxyCPU": "x"}), "Deployment store/shop: annotation sidecar"),
        (
            {"kind": "Deployment", "metadata": {"name": "n"}, "spec": {}},
            "spec.template.spec: is missing",
        ),
    ],
)
def test_who_cannot_have_one_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InjectionError, match=message):
        Injection(Surroundings()).document(given)

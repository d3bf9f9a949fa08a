"""Questions of API servers about pods, and their answers."""

import base64
import json
from typing import Any

import pytest

from mesh_control.injection.pods import Surroundings
from mesh_control.injection.review import answer, outcome
from mesh_control.webhook.review import API_VERSION, parse
from tests.unit.mesh_control.injection.pods import pod

PODS = {"group": "", "version": "v1", "resource": "pods"}


def answered(value: Any, **changes: Any) -> dict[str, Any]:
    request = {"uid": "u-1", "operation": "CREATE", "resource": PODS, "object": value, "namespace": "store", **changes}
    body = json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}).encode()
    review = parse(body)
    response: dict[str, Any] = answer(review, outcome(review, Surroundings(), "istio-system"))["response"]
    return response


def patch_of(response: dict[str, Any]) -> dict[str, Any]:
    assert response["patchType"] == "JSONPatch"
    return {item["path"]: item for item in json.loads(base64.b64decode(response["patch"]))}


def test_a_pod_gets_its_proxy_as_a_patch() -> None:
    response = answered(pod())
    assert response["allowed"] is True
    patch = patch_of(response)
    assert set(patch) == {"/metadata/labels", "/metadata/annotations", "/spec"}
    assert patch["/spec"]["op"] == "replace"
    assert [c["name"] for c in patch["/spec"]["value"]["initContainers"]] == ["istio-init", "istio-proxy"]


def test_the_namespace_of_the_request_counts_where_the_pod_names_none() -> None:
    given = pod()
    del given["metadata"]["namespace"]
    text = json.dumps(patch_of(answered(given))["/spec"])
    assert "namespaces/store/deployments/shop" in text


@pytest.mark.parametrize(
    "value",
    [
        pod(labels={"sidecar.istio.io/inject": "false"}),
        pod(containers=[{"name": "istio-proxy"}]),
        pod(initContainers=[{"name": "istio-proxy"}]),
    ],
)
def test_others_stay_as_they_are(value: dict[str, Any]) -> None:
    response = answered(value)
    assert response["allowed"] is True
    assert "patch" not in response


@pytest.mark.parametrize("changes", [{"operation": "UPDATE"}, {"resource": {**PODS, "resource": "services"}}])
def test_other_questions_change_nothing(changes: dict[str, Any]) -> None:
    response = answered(pod(), **changes)
    assert (response["allowed"], "patch" in response) == (True, False)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pod(hostNetwork=True), "hostNetwork"),
        (pod(annotations={"sidecar.istio.io/userVolume": "{}"}), "sidecar.istio.io/userVolume is not honoured"),
        (pod(containers=[{"name": 1}]), "spec.containers.0.name"),
    ],
)
def test_a_pod_that_cannot_have_one_is_refused(value: dict[str, Any], message: str) -> None:
    response = answered(value)
    assert response["allowed"] is False
    assert response["status"]["message"].startswith("no proxy can be put into the pod: ")
    assert message in response["status"]["message"]


def test_annotations_that_nobody_knows_are_warnings() -> None:
    response = answered(pod(annotations={"sidecar.istio.io/colour": "red"}))
    assert response["warnings"] == [
        "annotation sidecar.istio.io/colour: there is none of that name; it changes nothing"
    ]

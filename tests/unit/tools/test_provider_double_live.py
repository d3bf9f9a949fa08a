"""What the double reads of live objects: whether they are ready, and whether they are still as we have said."""

import json
from typing import Any

import pytest
from kubernetes_provider_double import ownership, readiness

APPS = "apps/v1"
SEEN = {"observedGeneration": 2}


def live(kind: str, version: str = "v1", spec: Any = None, **status: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"generation": 2}, "spec": spec or {}, "status": status}


def condition(kind: str, status: str = "True", reason: str = "R", message: str = "M") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (live("ConfigMap"), ""),
        (live("Namespace", phase="Active"), ""),
        (live("Namespace", phase="Terminating"), "its phase is Terminating"),
        (live("CustomResourceDefinition", "apiextensions.k8s.io/v1", conditions=None), "it is not established yet"),
        (live("CustomResourceDefinition", "apiextensions.k8s.io/v1", conditions=[condition("Established")]), ""),
        (live("Deployment", APPS, observedGeneration=1), "its controller has not looked at it yet"),
        (live("Deployment", APPS, **SEEN), "0 of 1 replicas are of the new version"),
        (live("Deployment", APPS, {"replicas": 0}, **SEEN), ""),
        (live("Deployment", APPS, {"paused": True}), ""),
        (
            live("Deployment", APPS, {"replicas": 2}, **SEEN, replicas=3, updatedReplicas=2),
            "1 replicas of the former version are there still",
        ),
        (
            live("Deployment", APPS, {"replicas": 2}, **SEEN, replicas=2, updatedReplicas=2, availableReplicas=1),
            "1 of 2 replicas are available",
        ),
        (live("Deployment", APPS, {"replicas": 1}, **SEEN, replicas=1, updatedReplicas=1, availableReplicas=1), ""),
        (live("Deployment", "example.com/v1"), ""),
        (live("StatefulSet", APPS, **SEEN), "0 of 1 replicas are ready"),
        (
            live("StatefulSet", APPS, **SEEN, readyReplicas=1, currentRevision="a", updateRevision="b"),
            "replicas of the former version are there still",
        ),
        (live("StatefulSet", APPS, **SEEN, readyReplicas=1, currentRevision="a", updateRevision="a"), ""),
        (live("DaemonSet", APPS, **SEEN, desiredNumberScheduled=2), "0 of 2 pods are of the new version"),
        (live("DaemonSet", APPS, **SEEN, desiredNumberScheduled=1, updatedNumberScheduled=1, numberAvailable=1), ""),
        (live("Job", "batch/v1"), "it is not complete yet"),
        (live("Job", "batch/v1", conditions=[condition("Complete")]), ""),
        (live("Service"), ""),
        (live("Service", spec={"type": "LoadBalancer"}), "it has no address of a load balancer yet"),
        (live("Service", spec={"type": "LoadBalancer"}, loadBalancer={"ingress": [{"ip": "10.0.0.1"}]}), ""),
        (live("Pod", phase="Pending"), "it is not ready, its phase is Pending"),
        (live("Pod", phase="Running", conditions=[condition("Ready")]), ""),
    ],
)
def test_what_is_missing_is_said(value: dict[str, Any], reason: str) -> None:
    assert readiness.missing(value) == reason


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (live("Job", "batch/v1", conditions=[condition("Failed")]), "it failed: R: M"),
        (
            live(
                "Deployment", APPS, **SEEN, conditions=[condition("Progressing", "False", "ProgressDeadlineExceeded")]
            ),
            "ProgressDeadlineExceeded: M",
        ),
        (
            live(
                "CustomResourceDefinition",
                "apiextensions.k8s.io/v1",
                conditions=[condition("NamesAccepted", "False", "Conflict")],
            ),
            "its names are not accepted: Conflict: M",
        ),
        (live("Pod", phase="Failed"), "it failed"),
    ],
)
def test_what_will_never_be_ready_is_a_failure(value: dict[str, Any], said: str) -> None:
    with pytest.raises(readiness.FailedError, match=said):
        readiness.missing(value)


INPUTS = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "namespace": "b", "labels": {"app": "a"}},
    "spec": {
        "replicas": 1,
        "template": {
            "containers": [
                {"name": "c", "image": "i:1", "cpu": "1000m", "ports": [{"containerPort": 80}], "args": ["x"]}
            ],
            "finalizers": ["f"],
        },
    },
}
LEAF: dict[str, Any] = {}
PORT = 'k:{"containerPort":80,"protocol":"TCP"}'
CONTAINER = {
    ".": LEAF,
    "f:name": LEAF,
    "f:image": LEAF,
    "f:cpu": LEAF,
    "f:args": LEAF,
    "f:ports": {PORT: {".": LEAF, "f:containerPort": LEAF}},
}
OWNED = {
    "f:metadata": {"f:labels": {"f:app": LEAF}},
    "f:spec": {
        "f:replicas": LEAF,
        "f:template": {"f:containers": {'k:{"name":"c"}': CONTAINER}, "f:finalizers": {'v:"f"': LEAF}},
    },
}


def seen(change: Any = None, without: str = "") -> dict[str, Any]:
    """The live object with others' fields, after a change to it and to what we own of it."""
    value = json.loads(json.dumps(INPUTS))
    fields = json.loads(json.dumps(OWNED))
    value["metadata"]["labels"]["other"] = "x"
    value["metadata"]["uid"] = "1"
    template = value["spec"]["template"]
    template["containers"][0] |= {"cpu": "1", "imagePullPolicy": "Always"}
    template["containers"][0]["ports"][0]["protocol"] = "TCP"
    template["containers"].insert(0, {"name": "injected", "image": "i:2"})
    template["finalizers"].append("g")
    if change is not None:
        change(value, fields)
    entries = [
        {"manager": "others", "operation": "Update", "fieldsV1": {"f:metadata": {"f:labels": {"f:other": {}}}}},
        {"manager": "us", "operation": "Apply", "fieldsV1": {"f:status": {}}, "subresource": "status"},
        {"manager": "us", "operation": "Apply", "fieldsV1": fields},
    ]
    value["metadata"]["managedFields"] = entries
    return dict(value)


def test_other_forms_and_others_fields_are_no_drift() -> None:
    assert ownership.drifted(INPUTS, seen(), "us") == INPUTS


def test_a_field_that_others_took_is_drift() -> None:
    def scaled(value: Any, fields: Any) -> None:
        value["spec"]["replicas"] = 5
        del fields["f:spec"]["f:replicas"]

    found = ownership.drifted(INPUTS, seen(scaled), "us")
    assert found["spec"]["replicas"] == 5
    assert found["metadata"] == INPUTS["metadata"]


def test_a_field_of_an_item_is_found_by_its_key() -> None:
    def other_image(value: Any, fields: Any) -> None:
        value["spec"]["template"]["containers"][1]["image"] = "evil"
        del fields["f:spec"]["f:template"]["f:containers"]['k:{"name":"c"}']["f:image"]

    found = ownership.drifted(INPUTS, seen(other_image), "us")["spec"]["template"]["containers"]
    assert found == [{**INPUTS["spec"]["template"]["containers"][0], "image": "evil"}]  # type: ignore[index]


def test_what_others_took_away_is_missing() -> None:
    def bare(value: Any, fields: Any) -> None:
        del value["metadata"]["labels"]["app"]
        fields["f:metadata"]["f:labels"] = {"f:more": {}}
        value["spec"]["template"]["containers"].pop(1)
        fields["f:spec"]["f:template"]["f:containers"] = {'k:{"name":"d"}': {}}
        value["spec"]["template"]["finalizers"] = ["g"]
        fields["f:spec"]["f:template"]["f:finalizers"] = {'v:"h"': {}}

    found = ownership.drifted(INPUTS, seen(bare), "us")
    assert found["metadata"]["labels"] == {}
    assert found["spec"]["template"] == {"containers": [], "finalizers": []}


def test_a_list_that_is_one_value_is_what_others_made_of_it() -> None:
    inputs = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "a"}, "spec": {"hosts": ["a"], "rules": [{"x": 1}]}}
    value = {**inputs, "spec": {"hosts": ["a", "b"], "rules": [{"x": 1}, {"x": 2}]}}
    fields = {"f:spec": {"f:more": {}}}
    entry = {"manager": "us", "operation": "Apply", "fieldsV1": fields}
    found = ownership.drifted(inputs, value | {"metadata": {"name": "a", "managedFields": [entry]}}, "us")
    assert found["spec"] == value["spec"]


def test_without_an_entry_of_ours_values_are_compared() -> None:
    """As of an object that was imported."""
    found = ownership.drifted(INPUTS, seen(), "nobody")
    assert found["spec"]["replicas"] == 1
    assert found["metadata"]["labels"] == {"app": "a"}

"""The object that makes an API server ask: about every kind there is, and refusing where nobody answers."""

import base64

import pytest

from mesh_control.webhook.manifest import ServiceReference, client_of, configuration, known_resource
from mesh_policy.kinds import GROUPS, KINDS


def test_every_kind_is_asked_about() -> None:
    (webhook,) = configuration("roots", ServiceReference().to_client())["webhooks"]
    asked = {group: set(rule["resources"]) for rule in webhook["rules"] for group in rule["apiGroups"]}
    assert asked.keys() == set(GROUPS)
    for group, kind in KINDS:
        wanted = asked[group]
        assert "*" in wanted or any(plural.startswith(kind.lower()[:-1]) for plural in wanted), (group, kind)


OTHER = ("other", "other", "other")
RESOURCES = {
    ("networking.istio.io", "v1", "serviceentries"): ("networking.istio.io", "v1", "serviceentries"),
    ("networking.istio.io", "v1alpha3", "gateways"): ("networking.istio.io", "v1alpha3", "gateways"),
    ("gateway.networking.k8s.io", "v1", "gateways"): ("gateway.networking.k8s.io", "v1", "gateways"),
    ("networking.istio.io", "v9", "serviceentries"): OTHER,
    ("networking.istio.io", "v1", "anything"): OTHER,
    ("", "v1", "pods"): OTHER,
}


@pytest.mark.parametrize("asked", RESOURCES, ids="/".join)
def test_metrics_know_our_resources_alone(asked: tuple[str, str, str]) -> None:
    assert known_resource(*asked) == RESOURCES[asked]


def test_it_fails_closed_and_finds_the_control_plane() -> None:
    (webhook,) = configuration("roots", ServiceReference("control", "mesh").to_client())["webhooks"]
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Fail", "None")
    assert webhook["admissionReviewVersions"] == ["v1"]
    assert webhook["clientConfig"] == {
        "service": {"name": "control", "namespace": "mesh", "port": 443, "path": "/validate"},
        "caBundle": base64.b64encode(b"roots").decode(),
    }
    (webhook,) = configuration("roots", client_of("https://10.0.0.1:15017/"))["webhooks"]
    assert webhook["clientConfig"]["url"] == "https://10.0.0.1:15017/validate"

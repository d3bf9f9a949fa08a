"""Objects of Kubernetes, as typed values."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy.objects import (
    READERS,
    ObjectError,
    Service,
    ServicePort,
    Workload,
    protocol_of,
    read,
)
from mesh_policy.objects.services import PROTOCOLS

TEMPLATE = {
    "metadata": {"labels": {"app": "a"}, "annotations": {"x": "y"}},
    "spec": {
        "serviceAccountName": "robot",
        "securityContext": {"runAsUser": 5},
        "containers": [{"name": "a", "image": "i", "ports": [{"name": "web", "containerPort": 8080}]}],
    },
}


def test_a_service() -> None:
    service = read(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "a", "namespace": "shop"},
            "spec": {
                "clusterIP": "None",
                "selector": {"app": "a"},
                "ports": [{"name": "http", "port": 80, "targetPort": "web"}, {"port": 53, "protocol": "UDP"}],
            },
        }
    )
    assert isinstance(service, Service)
    assert (service.host, service.headless) == ("a.shop.svc.cluster.local", True)
    assert service.ports == (ServicePort("http", 80, target="web"), ServicePort("", 53, "UDP"))
    assert [port.protocol for port in service.ports] == ["http", "udp"]


@pytest.mark.parametrize(
    ("group", "kind", "spec", "replicas"),
    [
        ("apps", "Deployment", {"replicas": 3, "template": TEMPLATE}, 3),
        ("apps", "StatefulSet", {"template": TEMPLATE}, 1),
        ("apps", "ReplicaSet", {"replicas": 0, "template": TEMPLATE}, 0),
        ("apps", "DaemonSet", {"template": TEMPLATE}, None),
        ("batch", "Job", {"template": TEMPLATE}, 1),
        ("batch", "CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}, 1),
    ],
)
def test_workloads(group: str, kind: str, spec: dict[str, Any], replicas: int | None) -> None:
    found = read({"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
    assert isinstance(found, Workload)
    assert (found.kind, found.replicas, found.meta.namespace) == (kind, replicas, "default")
    assert (found.pod.labels, found.pod.service_account, found.pod.run_as_user) == ({"app": "a"}, "robot", 5)
    assert found.pod.port_named("web") == 8080


def test_other_kinds_are_passed_over() -> None:
    assert read({"apiVersion": "v1", "kind": "Event"}) is None
    assert read({"apiVersion": "extensions/v1", "kind": "Deployment"}) is None


@pytest.mark.parametrize("kind", READERS)
def test_every_kind_wants_a_name(kind: tuple[str, str]) -> None:
    group, name = kind
    with pytest.raises(ObjectError) as caught:
        read({"apiVersion": f"{group}/v1".removeprefix("/"), "kind": name, "metadata": {}})
    assert caught.value.path == ("metadata", "name")


_NAMES = ["name", "labels", "ports", "port", "selector", "template", "spec", "metadata", "containers", "data"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.sampled_from(list(READERS)), _VALUES, _VALUES)
def test_anything_is_an_object_or_an_error_of_a_field(kind: tuple[str, str], metadata: Any, spec: Any) -> None:
    value = {
        "apiVersion": f"{kind[0]}/v1".removeprefix("/"),
        "kind": kind[1],
        "metadata": metadata,
        "spec": spec,
        "data": spec,
    }
    with suppress(ObjectError):
        assert read(value) is not None


@given(st.text(max_size=12), st.none() | st.text(max_size=12))
def test_a_protocol_is_one_that_istio_knows_or_has_to_be_found_out(name: str, declared: str | None) -> None:
    assert protocol_of(name, 80, "TCP", declared) in {*PROTOCOLS, ""}

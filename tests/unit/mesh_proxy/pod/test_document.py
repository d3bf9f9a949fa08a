"""The bootstrap of a pod's proxy: of the pod's variables, and read as every other bootstrap."""

from typing import Any

import pytest

from mesh_api import pod
from mesh_api.node import NodeKind
from mesh_api.pod import PodProxy
from mesh_proxy.bootstrap import Bootstrap, bootstrap_of
from mesh_proxy.document import Section
from mesh_proxy.pod.document import PodError, document

RUNNING = {
    "POD_NAME": "shop-5c-x",
    "POD_NAMESPACE": "store",
    "POD_IPS": "10.244.1.5,fd00::5",
    "NODE_NAME": "node2",
    "SERVICE_ACCOUNT": "shop",
}


def environment(settings: PodProxy | None = None, **changes: str) -> dict[str, str]:
    return {pod.VARIABLE: (settings or PodProxy()).to_json(), **RUNNING, **changes}


def read(settings: PodProxy) -> Bootstrap:
    return bootstrap_of(Section(document(environment(settings)), (), pod.VARIABLE), cores=8)


def test_a_sidecar_says_who_it_is() -> None:
    labels = {"app": "shop", "version": "v2"}
    found = read(PodProxy(workload="shop", labels=labels, containers=("shop",)))
    assert found.node.id == "sidecar~10.244.1.5~shop-5c-x.store~store.svc.cluster.local"
    assert found.node.cluster == "shop.store"
    told = found.node.metadata
    expected: dict[str, Any] = {
        "NAME": "shop-5c-x",
        "NAMESPACE": "store",
        "INSTANCE_IPS": "10.244.1.5,fd00::5",
        "SERVICE_ACCOUNT": "shop",
        "NODE_NAME": "node2",
        "LABELS": labels,
        "WORKLOAD_NAME": "shop",
        "APP_CONTAINERS": "shop",
        "INTERCEPTION_MODE": "REDIRECT",
        "CLUSTER_ID": "Kubernetes",
    }
    assert {name: told[name] for name in expected} == expected
    assert "MESHWRIGHT" not in told


def test_its_own_settings_are_those_of_a_pod() -> None:
    found = read(PodProxy(concurrency=2, drain_seconds=7.0, log_level="debug", control="istiod.mesh.svc:15012"))
    settings = found.settings
    assert (settings.concurrency, settings.drain_seconds, settings.log_level) == (2, 7.0, "debug")
    assert (settings.ready_port, settings.stats_port, settings.merged_port) == (15021, 15090, 15020)
    assert settings.identity is not None
    assert settings.identity.token_is_replaced
    assert found.control_plane is not None
    assert found.control_plane.target == "dns:///istiod.mesh.svc:15012"


def test_a_gateway_is_a_router_and_redirects_nothing() -> None:
    found = read(PodProxy(kind=NodeKind.ROUTER, labels={"istio": "ingressgateway"}))
    assert found.node.id.startswith("router~")
    assert "INTERCEPTION_MODE" not in found.node.metadata


def test_probes_reach_the_supervisor() -> None:
    asked = {"/app-health/shop/readyz": {"httpGet": {"path": "/ready", "port": 8080}, "timeoutSeconds": 2}}
    assert read(PodProxy(probes=asked)).settings.probes == asked


@pytest.mark.parametrize("name", [pod.VARIABLE, *pod.FIELDS])
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    given = environment()
    del given[name]
    with pytest.raises(PodError, match=name):
        document(given)


def test_a_control_plane_without_a_port_is_refused() -> None:
    with pytest.raises(PodError, match="'istiod' is not HOST:PORT"):
        document(environment(PodProxy(control="istiod")))

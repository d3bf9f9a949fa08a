"""Pods with their proxies."""

import json
from typing import Any

import pytest

from mesh_api.pod import VARIABLE, PodProxy
from mesh_control.injection.pods import InjectionError, Surroundings, inject
from mesh_control.injection.template import Template
from mesh_policy.mesh_config import read_mesh_config
from tests.unit.mesh_control.injection.pods import pod

TEMPLATE = Template(image="registry.example/proxy:1", pull_secrets=("login",))
AROUND = Surroundings(TEMPLATE, read_mesh_config("trustDomain: shop.example\ndefaultConfig: {concurrency: 2}"), (1, 34))


def injected(around: Surroundings = AROUND, **changes: Any) -> dict[str, Any]:
    return inject(pod(**changes), around).pod


def proxy_of(made: dict[str, Any]) -> dict[str, Any]:
    everything = [*made["spec"]["initContainers"], *made["spec"]["containers"]]
    return next(container for container in everything if container["name"] == "istio-proxy")


def settings_of(made: dict[str, Any]) -> PodProxy:
    return PodProxy.from_json(next(v["value"] for v in proxy_of(made)["env"] if v["name"] == VARIABLE))


def test_the_proxy_is_there_before_the_application_and_what_comes_before_it() -> None:
    made = injected(initContainers=[{"name": "migrate", "image": "m"}])
    names = [container["name"] for container in made["spec"]["initContainers"]]
    assert names == ["istio-init", "istio-proxy", "migrate"]
    proxy = proxy_of(made)
    assert proxy["restartPolicy"] == "Always"
    assert proxy["startupProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021, "scheme": "HTTP"}
    assert [container["name"] for container in made["spec"]["containers"]] == ["shop"]


@pytest.mark.parametrize(
    ("template", "version", "annotations", "native"),
    [
        ("auto", (1, 34), {}, True),
        ("auto", (1, 29), {}, True),
        ("auto", (1, 28), {}, False),
        ("auto", None, {}, True),
        ("always", (1, 28), {}, True),
        ("never", (1, 34), {}, False),
        ("auto", (1, 34), {"sidecar.istio.io/nativeSidecar": "false"}, False),
    ],
)
def test_sidecar_containers_where_the_cluster_has_them(
    template: Any, version: tuple[int, int] | None, annotations: dict[str, str], native: bool
) -> None:
    made = injected(Surroundings(Template(native=template), version=version), annotations=annotations)
    first = made["spec"]["containers"][0]["name"]
    assert first == ("shop" if native else "istio-proxy")
    assert ("restartPolicy" in proxy_of(made)) is native


def test_without_sidecar_containers_the_application_waits_as_well() -> None:
    made = injected(Surroundings(Template(native="never")), initContainers=[{"name": "migrate", "image": "m"}])
    assert [container["name"] for container in made["spec"]["initContainers"]] == ["migrate", "istio-init"]
    command = proxy_of(made)["lifecycle"]["postStart"]["exec"]["command"]
    assert command[-3:] == ["-m", "mesh_proxy", "wait"]


def test_labels_say_what_it_is_and_that_it_takes_mutual_tls() -> None:
    labels = injected()["metadata"]["labels"]
    assert labels["service.istio.io/canonical-name"] == "shop"
    assert labels["service.istio.io/canonical-revision"] == "v2"
    assert labels["security.istio.io/tlsMode"] == "istio"
    assert settings_of(injected()).labels == labels


def test_the_proxy_is_told_whose_it_is() -> None:
    found = settings_of(injected())
    assert found.workload == "shop"
    assert found.owner == "kubernetes://apis/apps/v1/namespaces/store/deployments/shop"
    assert found.containers == ("shop",)
    assert found.ports == ({"containerPort": 8080, "name": "http", "protocol": "TCP"},)
    assert (found.mesh, found.concurrency) == ("shop.example", 2)


def test_a_pods_own_settings_go_over_the_meshs() -> None:
    made = injected(annotations={"proxy.istio.io/config": "concurrency: 3\nproxyMetadata: {ISTIO_META_TEAM: web}"})
    found = settings_of(made)
    assert found.concurrency == 3
    assert found.metadata == {"TEAM": "web"}
    assert found.settings == {"concurrency": 3, "proxyMetadata": {"ISTIO_META_TEAM": "web"}}


def test_the_redirect_is_as_annotations_say() -> None:
    made = injected(annotations={"traffic.sidecar.istio.io/excludeOutboundPorts": "5432"})
    init = made["spec"]["initContainers"][0]
    assert init["args"] == ["redirect", "--exclude-outbound-ports=5432", "--user=1337"]
    assert init["securityContext"]["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["ALL"]}


def test_without_redirect_there_is_none() -> None:
    probe = {"tcpSocket": {"port": 8080}}
    given = pod(annotations={"sidecar.istio.io/interceptionMode": "NONE"})
    given["spec"]["containers"][0]["readinessProbe"] = probe
    made = inject(given, AROUND).pod
    assert [container["name"] for container in made["spec"]["initContainers"]] == ["istio-proxy"]
    assert made["spec"]["containers"][0]["readinessProbe"] == probe
    assert "security.istio.io/tlsMode" not in made["metadata"]["labels"]
    assert settings_of(made).metadata == {"INTERCEPTION_MODE": "NONE"}


def test_metrics_are_scraped_together() -> None:
    made = injected(annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9000"})
    annotations = made["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == ("15020", "/stats/prometheus")
    told = next(v["value"] for v in proxy_of(made)["env"] if v["name"] == "ISTIO_PROMETHEUS_ANNOTATIONS")
    assert json.loads(told) == {"scrape": "true", "port": "9000"}


@pytest.mark.parametrize(
    "annotations", [{"prometheus.io/scrape": "false"}, {"prometheus.istio.io/merge-metrics": "false"}]
)
def test_metrics_that_are_not_wanted_stay_as_they_are(annotations: dict[str, str]) -> None:
    made = injected(annotations=annotations)["metadata"]["annotations"]
    assert "prometheus.io/port" not in made


def test_what_nobody_here_knows_stays() -> None:
    made = injected(volumes=[{"name": "data", "csi": {"driver": "x"}}], someday={"a": 1})
    assert made["spec"]["someday"] == {"a": 1}
    assert made["spec"]["volumes"][0] == {"name": "data", "csi": {"driver": "x"}}
    assert made["spec"]["containers"][0]["tty"] is True
    assert made["spec"]["imagePullSecrets"] == [{"name": "login"}]


def test_the_pod_that_was_given_is_not_changed() -> None:
    given = pod()
    before = json.dumps(given, sort_keys=True)
    inject(given, AROUND)
    assert json.dumps(given, sort_keys=True) == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": {"traffic.sidecar.istio.io/excludeInboundPorts": "x"}}, "'x' is no port"),
        ({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"port": "b"}}}]}, "is no port of the container"),
        ({"containers": [{"name": "a", "ports": "b"}]}, "spec.containers.0.ports"),
    ],
)
def test_a_pod_that_cannot_have_one_says_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InjectionError, match=message):
        injected(**changes)

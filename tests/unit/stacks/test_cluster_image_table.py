"""What a cluster is made of stands in one place, and what pins it agrees."""

import re

import pytest

from stacks.images import CLUSTER, MESH, PREVIOUS, WORKLOADS, trees, versions
from stacks.images.programs import (
    BY_NAME,
    CNI_PLUGINS,
    COREDNS,
    FLANNEL,
    LOCAL_PATH_PROVISIONER,
    METALLB,
    METRICS_SERVER,
    PREVIOUS_SERIES,
    PROGRAMS,
    GoModule,
)
from stacks.images.programs import KUBERNETES as KUBERNETES_MODULE
from stacks.images.programs import PREVIOUS as PREVIOUS_MODULE

STAGING = re.compile(r"^\t(k8s\.io/\S+) => (\S+) (v\S+)$", re.MULTILINE)


def required(module: GoModule) -> dict[str, str]:
    text = (module.source / "go.mod").read_text()
    return dict(re.findall(r"^(?:require)?\s+(\S+) (v\S+?)(?: // indirect)?$", text, re.MULTILINE))


def tools(module: GoModule) -> set[str]:
    """The packages that the module names as its programs."""
    text = (module.source / "go.mod").read_text()
    if single := re.search(r"^tool (\S+/\S+)$", text, re.MULTILINE):
        return {single[1]}
    listed = re.search(r"^tool \(\n(.*?)^\)", text, re.MULTILINE | re.DOTALL)
    return set(listed[1].split()) if listed else {"."}


def test_versions_are_those_that_the_go_modules_pin() -> None:
    of_kubernetes = required(KUBERNETES_MODULE)
    assert of_kubernetes["k8s.io/kubernetes"] == versions.KUBERNETES == KUBERNETES_MODULE.version
    assert required(PREVIOUS_MODULE)["k8s.io/kubernetes"] == versions.PREVIOUS == PREVIOUS_MODULE.version
    for part in ("server", "etcdctl", "etcdutl", "api", "client", "pkg"):
        assert of_kubernetes[f"go.etcd.io/etcd/{part}/v3"] == versions.ETCD
    assert (
        required(CNI_PLUGINS)["github.com/containernetworking/plugins"] == versions.CNI_PLUGINS == CNI_PLUGINS.version
    )
    assert required(COREDNS)["github.com/coredns/coredns"] == versions.COREDNS == COREDNS.version
    assert required(FLANNEL)["github.com/flannel-io/flannel"] == versions.FLANNEL == FLANNEL.version
    addons = required(METALLB)
    assert addons["go.universe.tf/metallb"] == versions.METALLB == METALLB.version
    provisioner, metrics = "github.com/rancher/local-path-provisioner", "sigs.k8s.io/metrics-server"
    assert addons[provisioner] == versions.LOCAL_PATH_PROVISIONER == LOCAL_PATH_PROVISIONER.version
    assert addons[metrics] == versions.METRICS_SERVER == METRICS_SERVER.version
    assert versions.ETCD_TAG.startswith(f"{versions.ETCD.removeprefix('v')}-")


@pytest.mark.parametrize("module", [KUBERNETES_MODULE, PREVIOUS_MODULE], ids=lambda module: module.version)
def test_parts_of_kubernetes_are_of_its_version(module: GoModule) -> None:
    found = STAGING.findall((module.source / "go.mod").read_text())
    assert len(found) > 25
    assert {version for _name, _other, version in found} == {module.version.replace("v1.", "v0.")}
    assert all(name == other for name, other, _version in found)


@pytest.mark.parametrize(
    "module",
    [KUBERNETES_MODULE, PREVIOUS_MODULE, CNI_PLUGINS, COREDNS, FLANNEL, METALLB],
    ids=lambda module: f"{module.name}-{module.version}",
)
def test_every_program_that_a_module_pins_is_in_the_table(module: GoModule) -> None:
    assert {program.package for program in PROGRAMS if program.module.source == module.source} == tools(module)


def test_every_program_of_an_image_is_built_and_goes_into_one_image() -> None:
    named = [name for plan in (*CLUSTER, *PREVIOUS) for name in plan.programs]
    assert len(named) == len(set(named))
    assert set(named) == {"pause", *(program.key for program in PROGRAMS if program.place == "image")}
    assert len(BY_NAME) == len(PROGRAMS)
    assert {plan.packages for plan in (*CLUSTER, *MESH, *WORKLOADS)} - {""} == set(trees.TREES)


def test_images_have_names_of_their_own() -> None:
    names = [plan.name for plan in (*MESH, *CLUSTER, *PREVIOUS)]
    assert len(names) == len(set(names))
    for plan in (*CLUSTER, *PREVIOUS):
        assert re.fullmatch(
            r"(registry\.k8s\.io|ghcr\.io|quay\.io|docker\.io)/[a-z/-]+:v?\d+\.\d+\.\d+(-0)?", plan.reference
        )
        assert re.fullmatch(r"\d+:\d+", plan.user)
        assert plan.low_ports == (plan.user != "0:0" and any(port < 1024 for port in plan.ports))


def test_the_minor_version_before_is_the_one_before() -> None:
    major, minor, _patch = versions.KUBERNETES.split(".")
    assert f"v{PREVIOUS_SERIES}" == f"{major}.{int(minor) - 1}"
    assert all(plan.name.endswith(f"-{PREVIOUS_SERIES}") for plan in PREVIOUS)


@pytest.mark.parametrize(("module", "minor"), [(KUBERNETES_MODULE, "34"), (PREVIOUS_MODULE, "33")])
def test_kubernetes_is_stamped_with_its_version(module: GoModule, minor: str) -> None:
    stamps = dict(module.stamps)
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        told = [stamps[f"{package}.{name}"] for name in ("gitVersion", "gitMajor", "gitMinor")]
        assert told == [module.version, "1", minor]

"""What a cluster has beside Kubernetes' own programs: its objects are whole, its images are the table's."""

import hashlib
import json
from typing import Any

import jinja2
import pytest
import yaml

from stacks.images import ADDONS
from stacks.images.programs import SOURCES

ROOT = SOURCES.parents[1]
DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "roles/kubernetes/defaults/main.yml").read_text())
SETTINGS = DEFAULTS | {"kubernetes_address_pool": ["10.0.0.9-10.0.0.12"]}
TEMPLATES = ("flannel", "metallb-kinds", "metallb", "local-path", "metrics-server")
Objects = list[dict[str, Any]]


def objects(name: str, **settings: Any) -> Objects:
    """The objects of a template, as Ansible makes them."""
    environment = jinja2.Environment(trim_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters |= {
        "to_json": json.dumps,
        "hash": lambda text, kind: hashlib.new(kind, text.encode()).hexdigest(),
    }
    text = (ROOT / f"templates/{name}.yml.j2").read_text()
    return list(yaml.safe_load_all(environment.from_string(text).render(SETTINGS | settings)))


def of_kind(found: Objects, *kinds: str) -> Objects:
    return [one for one in found if one["kind"] in kinds]


def pods(found: Objects) -> Objects:
    return [one["spec"]["template"]["spec"] for one in of_kind(found, "Deployment", "DaemonSet")]


def test_images_are_those_of_the_table() -> None:
    named = {container["image"] for name in TEMPLATES for pod in pods(objects(name)) for container in pod["containers"]}
    assert named == {plan.reference for plan in ADDONS}
    # Else an image that was imported would be asked for at a registry that nobody reaches.
    every = [container for name in TEMPLATES for pod in pods(objects(name)) for container in pod["containers"]]
    assert {container["imagePullPolicy"] for container in every} == {"IfNotPresent"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_objects_stand_once_and_after_what_they_need(name: str) -> None:
    found = objects(name)
    keys = [(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in found]
    assert len(keys) == len(set(keys))
    namespaces = {"kube-system"}
    accounts: set[tuple[str, str]] = set()
    for kind, namespace, called in keys:
        assert not namespace or namespace in namespaces
        namespaces |= {called} if kind == "Namespace" else set()
        accounts |= {(namespace, called)} if kind == "ServiceAccount" else set()
    for one in of_kind(found, "Deployment", "DaemonSet"):
        account = (one["metadata"]["namespace"], one["spec"]["template"]["spec"]["serviceAccountName"])
        assert account in accounts
        assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
    for one in of_kind(found, "RoleBinding", "ClusterRoleBinding"):
        assert all((subject["namespace"], subject["name"]) in accounts for subject in one["subjects"])


@pytest.mark.parametrize("name", ["metallb", "local-path", "metrics-server"])
def test_containers_may_do_no_more_than_they_need(name: str) -> None:
    found = objects(name)
    config = of_kind(found, "ConfigMap")
    helpers = [
        yaml.safe_load(one["data"]["helperPod.yaml"])["spec"] for one in config if "helperPod.yaml" in one["data"]
    ]
    for pod in (*pods(found), *helpers):
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["capabilities"]["drop"] == ["ALL"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
    capabilities = {
        container["name"]: container["securityContext"]["capabilities"].get("add", [])
        for pod in (*pods(found), *helpers)
        for container in pod["containers"]
    }
    expected = {"speaker": ["NET_RAW"], "helper-pod": ["DAC_OVERRIDE", "FOWNER"]}
    assert capabilities == {container: expected.get(container, []) for container in capabilities}


def test_metallb_has_every_kind_that_its_programs_may_read() -> None:
    kinds = {one["spec"]["names"]["plural"] for one in of_kind(objects("metallb-kinds"), "CustomResourceDefinition")}
    rules = [rule for one in of_kind(objects("metallb"), "Role", "ClusterRole") for rule in one["rules"]]
    read = {
        name.partition("/")[0] for rule in rules if rule["apiGroups"] == ["metallb.io"] for name in rule["resources"]
    }
    assert read == kinds
    (pool,) = of_kind(objects("metallb"), "IPAddressPool")
    assert pool["spec"]["addresses"] == ["10.0.0.9-10.0.0.12"]


def test_kubelets_are_believed_by_certificates_of_the_cluster_alone() -> None:
    (pod,) = pods(objects("metrics-server"))
    assert not [argument for argument in pod["containers"][0]["args"] if "insecure" in argument]


def test_flannel_begins_anew_with_other_settings() -> None:
    made = {
        json.dumps(of_kind(objects("flannel", kubernetes_pod_traffic=traffic), "DaemonSet"))
        for traffic in ("vxlan", "host-gw")
    }
    assert len(made) == 2

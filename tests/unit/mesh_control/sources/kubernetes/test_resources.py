"""Which collections are mirrored, how their objects are read, and the rights that it takes."""

import json
from typing import Any

import pytest

from mesh_control.sources.kubernetes import rbac, root_maps
from mesh_control.sources.kubernetes.resources import (
    CORE,
    DEFINITIONS,
    Collection,
    Unusable,
    custom,
    plural_of,
    reader,
    trimmed,
    unchanged,
)
from mesh_policy import KINDS, Policy
from mesh_policy.schema.crds import definitions
from mesh_policy.unsupported import NEVER

RULES = Collection("networking.istio.io", "v1", "destinationrules", "DestinationRule")
PODS = next(collection for collection in CORE if collection.kind == "Pod")


def established(name: str, *versions: str, served: bool = True) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"versions": [{"name": version, "served": served} for version in versions]},
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


def test_custom_resources_are_mirrored_in_our_version_of_those_that_are_served() -> None:
    name = "virtualservices.networking.istio.io"
    assert [c.version for c in custom({name: established(name, "v1alpha3", "v1beta1", "v1")})] == ["v1"]
    assert [c.version for c in custom({name: established(name, "v1alpha3")})] == ["v1alpha3"]
    assert list(custom({name: established(name, "v9")})) == []
    assert list(custom({name: established(name, "v1", served=False)})) == []
    assert list(custom({name: {**established(name, "v1"), "status": {}}})) == []


def test_every_kind_of_policy_is_mirrored_under_the_name_of_its_definition() -> None:
    ours = {found["metadata"]["name"] for found in definitions()}
    names = {f"{plural_of(kind)}.{kind.GROUP}" for kind in KINDS.values()}
    assert ours <= names
    known = {name: established(name, *versions) for name, versions in _versions().items()}
    assert {(c.group, c.kind) for c in custom(known)} == set(KINDS)
    never = {f"{plural}.{group}": established("", *versions) for (group, _), (plural, versions) in NEVER.items()}
    assert {(c.group, c.kind) for c in custom(never)} == set(NEVER)
    gateway_api = {
        "gatewayclasses",
        "gateways",
        "grpcroutes",
        "httproutes",
        "referencegrants",
        "tcproutes",
        "tlsroutes",
    }
    assert {plural_of(kind) for kind in KINDS.values() if not kind.GROUP.endswith(".istio.io")} == gateway_api


def _versions() -> dict[str, tuple[str, ...]]:
    return {f"{plural_of(kind)}.{kind.GROUP}": tuple(kind.VERSIONS) for kind in KINDS.values()}


def test_an_object_that_cannot_be_used_names_itself_and_the_field() -> None:
    rule = {"metadata": {"name": "a", "namespace": "ns"}, "spec": {"hots": "x"}}
    with pytest.raises(Unusable) as error:
        reader(RULES, lambda policy: [])(rule)
    assert "DestinationRule ns/a: spec.hots: there is no such field; did you mean host?" in str(error.value)
    with pytest.raises(Unusable, match=r"^Pod ns/a: spec\.nodeName: must be text, not 5"):
        reader(PODS, lambda policy: [])({"metadata": {"name": "a", "namespace": "ns"}, "spec": {"nodeName": 5}})


AUTHENTICATIONS = Collection("security.istio.io", "v1", "requestauthentications", "RequestAuthentication")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"issuer": "a", "jwks": '{"keys":' + "[" * 200_000}, r"spec.jwtRules\[0\].jwks: .*nested deeper"),
        ({"issuer": json.loads("[" * 400 + "]" * 400)}, "spec.jwtRules: values are nested deeper"),
    ],
    ids=["in a text", "by itself"],
)
def test_what_is_nested_too_deep_cannot_be_used(rule: dict[str, Any], told: str) -> None:
    value = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"jwtRules": [rule]}}
    with pytest.raises(Unusable, match=f"RequestAuthentication a/b: {told}"):
        reader(AUTHENTICATIONS, lambda policy: [])(value)


def test_a_defect_in_reading_an_object_is_told_of_that_object(caplog: pytest.LogCaptureFixture) -> None:
    def fails(_policy: Policy) -> list[str]:
        raise RuntimeError

    value = {"metadata": {"namespace": "a", "name": "b"}, "spec": {"host": "c"}}
    with pytest.raises(Unusable, match="DestinationRule a/b: cannot be read: RuntimeError"):
        reader(RULES, fails)(value)
    assert "Traceback" in caplog.text


def test_a_policy_that_is_refused_cannot_be_used_either() -> None:
    rule = {"metadata": {"name": "a", "namespace": "ns"}, "spec": {"host": "x"}}
    assert reader(RULES, lambda policy: [])(rule).spec.host == "x"
    with pytest.raises(Unusable, match="no"):
        reader(RULES, lambda policy: ["no"])(rule)


def test_a_status_changes_no_policy_and_whatever_else_does() -> None:
    def value(**metadata: Any) -> dict[str, Any]:
        return {"metadata": {"uid": "u", "generation": 1, "labels": {"a": "b"}, **metadata}}

    assert unchanged(RULES, value(resourceVersion="1"), {**value(resourceVersion="2"), "status": {}})
    for other in (value(generation=2), value(labels={}), value(annotations={"x": "y"}), value(uid="v")):
        assert not unchanged(RULES, value(), other)
    assert not unchanged(PODS, value(), value())


def test_nobody_keeps_who_wrote_what_or_the_schema_of_a_definition() -> None:
    (found,) = [found for found in definitions() if found["spec"]["names"]["kind"] == "Sidecar"]
    kept = trimmed({**found, "metadata": {**found["metadata"], "managedFields": [1]}})
    assert kept["metadata"] == found["metadata"]
    assert kept["spec"] == {"versions": [{"name": v["name"], "served": True} for v in found["spec"]["versions"]]}


def test_the_rights_cover_what_is_mirrored_and_no_secrets() -> None:
    rules = rbac.cluster_rules()
    readable = {
        (g, r) for rule in rules if "watch" in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]
    }
    wanted = {(c.group, c.plural) for c in (*CORE, DEFINITIONS)} | {(k.GROUP, plural_of(k)) for k in KINDS.values()}
    never = {(group, plural) for (group, _), (plural, _) in NEVER.items()}
    assert readable == wanted | never | {("", "configmaps")}, "of ConfigMaps those with the roots alone"
    assert all(
        rule.get("resourceNames") for rule in rules if "configmaps" in rule["resources"] and rule["verbs"] != ["create"]
    )
    verbs = {verb for rule in rules for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch", "patch", "create"}
    for rule in rules:
        if "patch" in rule["verbs"]:
            named = ([rbac.CONFIGURATION], [rbac.INJECTION], [root_maps.NAME])
            assert rule.get("resourceNames") in named or all(
                resource.endswith("/status") for resource in rule["resources"]
            )
    subject = rbac.service_account("meshwright", "mesh")
    made = list(rbac.manifests(subject, "mesh"))
    assert [found["kind"] for found in made] == ["ClusterRole", "ClusterRoleBinding", *("Role", "RoleBinding") * 2]
    assert [found["subjects"] for found in made if "subjects" in found] == [[subject]] * 3
    assert {"secrets"} == {resource for rule in made[4]["rules"] for resource in rule["resources"]}
    without = list(rbac.manifests(subject, "mesh", ca_secret=None))
    assert not [rule for found in without for rule in found.get("rules", ()) if "secrets" in rule["resources"]]
    assert {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]} in rules


def test_the_settings_of_the_mesh_have_a_role_in_their_own_namespace() -> None:
    made = list(rbac.manifests(rbac.service_account("meshwright", "mesh"), "mesh", mesh_config="istio-system/istio"))
    role, binding = made[-2:]
    assert role["metadata"] == binding["metadata"] == {"name": f"{rbac.LEASE}-mesh-config", "namespace": "istio-system"}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert role["rules"] == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["get", "list", "watch"],
            "resourceNames": ["istio"],
        }
    ]

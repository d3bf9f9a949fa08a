"""What the double of pulumi-kubernetes' provider decides without a cluster: names, differences, options, logins."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_provider_double import difference, discovery, documents, kubeconfig, objects, settings
from kubernetes_provider_double.errors import ProviderError, UnreachableError
from kubernetes_provider_double.unknown import UNKNOWN

SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}


def test_values_keep_what_is_known_and_what_is_secret() -> None:
    """In a process of its own: Pulumi's messages for providers and those of xDS cannot be in one, for both bring
    ``google.rpc.Status``."""
    script = Path(__file__).with_name("provider_double_values.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, script], check=True, env=environment)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2, "b": {"c": 1}}, [("a", "UPDATE"), ("b", "ADD")]),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, [("a.c", "DELETE")]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, [("a[1]", "UPDATE"), ("a[2]", "ADD")]),
        ({"a": [{"b": 1}, 2]}, {"a": [{"b": 2}]}, [("a[0].b", "UPDATE"), ("a[1]", "DELETE")]),
        ({"a": {"x.y/z": 1}}, {"a": {"x.y/z": 2}}, [('a["x.y/z"]', "UPDATE")]),
        ({"a": 1}, {"a": True}, [("a", "UPDATE")]),
        ({"a": 1}, {"a": UNKNOWN}, [("a", "UPDATE")]),
        ({"a": {"b": 1}}, {"a": "b"}, [("a", "UPDATE")]),
    ],
)
def test_each_difference_has_its_path(old: Any, new: Any, expected: list[tuple[str, str]]) -> None:
    assert list(difference.changes(old, new)) == expected


@pytest.mark.parametrize(
    ("value", "mutable", "path", "new"),
    [
        (SETTINGS, (), "metadata.name", True),
        (SETTINGS, (), "metadata.labels", False),
        (SETTINGS, (), 'data["a.yaml"]', True),
        (SETTINGS, ("ConfigMap",), 'data["a.yaml"]', False),
        (SETTINGS | {"immutable": True}, ("ConfigMap",), "data.a", True),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, (), "spec.selector.matchLabels.app", True),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, (), "spec.replicas", False),
        ({"apiVersion": "example.com/v1", "kind": "Deployment"}, (), "spec.selector", False),
    ],
)
def test_what_only_a_new_object_can_have(value: dict[str, Any], mutable: Any, path: str, new: bool) -> None:
    assert any(difference.within(path, outer) for outer in difference.needs_new(value, mutable)) is new


def test_a_name_is_made_once() -> None:
    value = {"kind": "ConfigMap", "metadata": {"labels": {}}}
    made = objects.named(value, {}, "settings", bytes.fromhex("0123456789"))
    assert made["metadata"]["name"] == "settings-01234567"
    assert objects.annotation(made, objects.AUTONAMED) == "true"
    assert objects.named(value, made, "settings", b"other seed") == made
    given = {"kind": "ConfigMap", "metadata": {"name": "mine"}}
    assert objects.named(given, made, "settings", b"") == given
    assert objects.named(value, given, "settings", b"\x01")["metadata"]["name"] == "settings-01"
    with pytest.raises(ProviderError, match="generateName"):
        objects.named({"kind": "Pod", "metadata": {"generateName": "a-"}}, {}, "a", b"")


def test_texts_of_a_secret_are_kept_as_a_server_answers_them() -> None:
    value = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "y", "c": UNKNOWN}}
    assert objects.normal(value)["data"] == {"a": "eA==", "b": "eQ==", "c": UNKNOWN}
    assert "stringData" not in objects.normal(value)
    other = {"apiVersion": "example.com/v1", "kind": "Secret", "stringData": {"a": "b"}}
    assert objects.normal(other) == other


def test_an_id_finds_its_object() -> None:
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}
    assert objects.identifier(value) == "b/a"
    assert objects.of_identifier("kubernetes:core/v1:ConfigMap", "b/a") == value
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}}
    assert objects.of_identifier("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "a") == role


@pytest.mark.parametrize(
    ("token", "kind", "refused"),
    [
        ("kubernetes:core/v1:ConfigMap", "ConfigMap", False),
        ("kubernetes:core/v1:ConfigMapPatch", "ConfigMap", True),
        ("kubernetes:core/v1:List", "List", True),
        ("kubernetes:helm.sh/v3:Release", "Release", True),
        ("kubernetes:kustomize/v2:Directory", "Directory", True),
        ("kubernetes:example.com/v1:Patch", "Patch", False),
    ],
)
def test_what_the_double_does_not_make_is_said(token: str, kind: str, refused: bool) -> None:
    assert bool(objects.refused(token, kind)) is refused


def test_options_come_as_texts() -> None:
    found = settings.parse(
        {"enablePatchForce": "true", "enableConfigMapMutable": True, "namespace": "a", "version": "1"}
    )
    assert (found.patch_force, found.mutable, found.namespace) == (True, ("ConfigMap",), "a")
    assert settings.parse({"kubeconfig": UNKNOWN}).unknown
    assert settings.parse({}, {"PULUMI_K8S_DELETE_UNREACHABLE": "true"}).delete_unreachable


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"renderYamlToDirectory": "x"}, "renderYamlToDirectory: this option is not known"),
        ({"enableServerSideApply": "false"}, "enableServerSideApply: .* nothing but"),
        ({"enablePatchForce": "perhaps"}, r"enablePatchForce: 'perhaps' \(allowed: true, false\)"),
    ],
)
def test_options_that_the_double_cannot_do_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ProviderError, match=said):
        settings.parse(given)


def login(**user: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1/", "proxy-url": "http://127.0.0.1:2"}}],
        "users": [{"name": "u", "user": user}],
    }


def test_a_login_is_read_from_its_text_or_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    text = yaml.safe_dump(login(tokenFile="token"))
    (tmp_path / "config").write_text(text)
    found = kubeconfig.read(str(tmp_path / "config"))
    assert (found.server, found.namespace, found.proxy) == ("http://127.0.0.1:1", "shop", "http://127.0.0.1:2")
    assert found.headers == {"Authorization": "Bearer secret"}
    assert "secret" not in repr(found)
    assert kubeconfig.read(yaml.safe_dump(login(token="t"))).headers == {"Authorization": "Bearer t"}


@pytest.mark.parametrize(
    ("config", "context", "said"),
    [
        (login(exec={}), None, "users.exec: not known to the test double"),
        (login(), "other", "contexts: there is none of the name 'other'"),
        ({}, None, "lacks 'current-context'"),
        ("text", None, "is no kubeconfig"),
    ],
)
def test_a_login_that_cannot_be_used_is_named(tmp_path: Path, config: Any, context: str | None, said: str) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(UnreachableError, match=f"{path}: .*{said}"):
        kubeconfig.read(str(path), context)


def test_a_login_that_is_not_there_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match=f"kubeconfig {tmp_path}/none: No such file"):
        kubeconfig.read(f"{tmp_path}/none")


def test_certificates_that_are_no_base64_are_named() -> None:
    config = login()
    config["clusters"][0]["cluster"] |= {"server": "https://x", "certificate-authority-data": "%"}
    with pytest.raises(UnreachableError, match="certificate-authority-data is not base64"):
        kubeconfig.read(yaml.safe_dump(config))
    config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(b"no PEM").decode()
    with pytest.raises(UnreachableError, match=r"^kubeconfig: "):
        kubeconfig.read(yaml.safe_dump(config))


def test_kinds_are_found_at_their_paths() -> None:
    found = discovery.served(
        {
            "resources": [
                {"name": "pods", "kind": "Pod", "namespaced": True},
                {"name": "pods/log", "kind": "Pod", "namespaced": True},
                {"name": "namespaces", "kind": "Namespace", "namespaced": False},
            ]
        }
    )
    assert discovery.path("v1", found["Pod"], "shop", "a") == "/api/v1/namespaces/shop/pods/a"
    assert discovery.path("v1", found["Namespace"], "shop", "a") == "/api/v1/namespaces/a"
    assert discovery.path("apps/v1", discovery.Resource("deployments", True), "b", "a").startswith("/apis/apps/v1/")


def test_yaml_is_read_with_its_lists(tmp_path: Path) -> None:
    text = yaml.safe_dump_all([SETTINGS, {"kind": "List", "items": [SETTINGS | {"kind": "Secret"}]}, None])
    assert [value["kind"] for value in documents.documents(text, "x")] == ["ConfigMap", "Secret"]
    (tmp_path / "a.yaml").write_text(text)
    given = documents.given({"objs": [SETTINGS], "yaml": "kind: Pod", "files": [str(tmp_path / "a.yaml")]})
    assert [value["kind"] for value in given] == ["ConfigMap", "Pod", "ConfigMap", "Secret"]
    with pytest.raises(ProviderError, match="x: a document is no object"):
        documents.documents("a: 1", "x")
    with pytest.raises(ProviderError, match="/none: No such file"):
        documents.given({"file": f"{tmp_path}/none"})

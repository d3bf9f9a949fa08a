"""Settings of a mesh from YAML: where they stand, and what is said of those that are wrong."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy import PolicyError
from mesh_policy.mesh_config import MeshConfig, read_mesh_config, read_mesh_networks, read_proxy_config
from tests.support import mesh_settings

READERS = {"MeshConfig": read_mesh_config, "ProxyConfig": read_proxy_config, "MeshNetworks": read_mesh_networks}
CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    # the settings
    trustDomain: example.com
    defaultConfig:
      concurrency: 2
  meshNetworks: |-
    networks:
      west: {}
"""
ROWS = [
    (kind, group, row)
    for kind in READERS
    for group in ("accept", "refuse", "stricter")
    for row in mesh_settings.rows(kind, group)
]


@pytest.mark.parametrize(
    ("kind", "group", "row"), ROWS, ids=[f"{kind}-{group}-{str(row)[:60]}" for kind, group, row in ROWS]
)
def test_rows(kind: str, group: str, row: dict[str, Any]) -> None:
    """The same rows that istiod is asked about (``tests/integration/mesh_policy/test_mesh_settings.py``)."""
    text = yaml.safe_dump(row)
    if group != "accept":
        with pytest.raises(PolicyError, match=kind):
            READERS[kind](text)
        return
    made = READERS[kind](text)
    assert READERS[kind](yaml.safe_dump(made.to_yaml_value())) == made


def test_nothing_gives_the_defaults() -> None:
    assert read_mesh_config("") == read_mesh_config("# nothing\n") == MeshConfig()
    assert read_mesh_networks("").networks == {}


def test_a_config_map() -> None:
    mesh = read_mesh_config(CONFIG_MAP)
    assert (mesh.trust_domain, mesh.default_config.concurrency) == ("example.com", 2)
    assert list(read_mesh_networks(CONFIG_MAP).networks) == ["west"]
    other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\n"
    assert read_mesh_config(other + CONFIG_MAP) == mesh
    assert read_mesh_config('kind: ConfigMap\ndata: {mesh: "trustDomain: a"}').trust_domain == "a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("trust_domain: a", "f.yaml:1: MeshConfig: trust_domain: there is no such field; did you mean trustDomain?"),
        ("\nmeshMtls: {}", "f.yaml:2: MeshConfig: meshMtls: there is no such field; did you mean meshMTLS?"),
        ("defaultConfig: 1", "f.yaml:1: MeshConfig: defaultConfig: must be a map of fields, not 1"),
        ("- a", "f.yaml:1: MeshConfig: must be a map of fields"),
        ("a: [b\n", "f.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: 1\n---\nb: 1", "f.yaml:3: MeshConfig: there are several documents; write one MeshConfig"),
        (
            "kind: IstioOperator\nspec: {}",
            "f.yaml:1: MeshConfig: kind: is an IstioOperator; write what stands in its spec.meshConfig, "
            "which is a MeshConfig",
        ),
        (
            "meshConfig: {}",
            "f.yaml:1: MeshConfig: meshConfig: are values of a chart; write what stands in meshConfig",
        ),
        (
            "kind: Service\napiVersion: v1",
            "f.yaml:1: MeshConfig: kind: is an object of Kubernetes; a MeshConfig has neither kind nor apiVersion, or stands "
            "in a ConfigMap",
        ),
        ("kind: ConfigMap\ndata: {}", "f.yaml:2: ConfigMap: data.mesh: is required"),
        (
            "kind: ConfigMap\ndata:\n  mesh: {}",
            "f.yaml:3: ConfigMap: data.mesh: must be text; write `mesh: |` and the settings below it",
        ),
        (
            CONFIG_MAP.replace("concurrency: 2", "concurrency: two"),
            "f.yaml:9: MeshConfig: defaultConfig.concurrency: must be a whole number, not 'two'",
        ),
        (
            "kind: ConfigMap\ndata:\n  mesh: 'trustDomain: 1'",
            "f.yaml:3: MeshConfig: trustDomain: must be text, not 1; put it in quotes",
        ),
        ("kind: ConfigMap\ndata:\n  mesh: |\n    a: 1\n    b: [\n", "f.yaml:6: not YAML: "),
        (
            "extensionProviders:\n- name: a\n  zipkin: {service: z, port: 1}\n  datadog: {service: d, port: 1}",
            "f.yaml:2: MeshConfig: extensionProviders[0]: zipkin and datadog exclude each other; keep one",
        ),
        (
            "defaultConfig:\n  tracing:\n    zipkin:\n      address: z",
            "f.yaml:4: MeshConfig: defaultConfig.tracing.zipkin.address: 'z' has no port; write HOST:PORT",
        ),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_mesh_config(text, "f.yaml")
    assert str(caught.value).startswith(told)


@given(
    st.text(max_size=60)
    | st.sampled_from(["kind: ConfigMap\ndata: {mesh: 1}", "kind: ConfigMap\ndata: 1", "? [a]\n: b"])
)
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in READERS.values():
        try:
            read(text)
        except PolicyError as error:
            assert error.problems  # noqa: PT017  # what it says does not matter here

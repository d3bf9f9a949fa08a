"""YAML in and out, and what is refused with which words."""

from pathlib import Path

import pytest

from mesh_policy import KINDS, PolicyError, dump, load_documents, load_everything, positions
from mesh_policy.files import read_files
from mesh_policy.yaml_text import written

SHARED = Path(__file__).resolve().parents[4] / "shared"

HEAD = "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n"


def document(kind: str, spec: str) -> str:
    return HEAD.format(kind=kind) + "\n".join(f"  {line}" for line in spec.splitlines()) + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "f.yaml:1: not YAML"),
        ("a: 1\na: 2\napiVersion: x\n", "f.yaml:2: not YAML: a: the key stands twice"),
        ("- 1", "apiVersion and kind are required"),
        ("apiVersion: networking.istio.io/v9\nkind: Gateway\nmetadata: {name: a}\n", "version 'v9' is unknown"),
        ("a: &a [*a]", "f.yaml:1: not YAML: values are nested deeper than 64 levels, or hold themselves"),
        ("a: &a {b: *a}", "or hold themselves"),
        ("a: " + "[" * 5000, "nested deeper than 64 levels"),
        ("a: " + "[" * 100 + "]" * 100, "f.yaml:1: not YAML: values are nested deeper"),
        ("a:\n? [b]\n: c", "f.yaml:2: not YAML: a key must be text"),
        ("a: 1\n\tb: 2", "f.yaml:2: not YAML: found character '\\t' that cannot start any token; YAML takes blanks"),
        ("a: !!int x", "f.yaml:1: not YAML: 'x' is no int"),
        ("apiVersion: 1\nkind: Gateway\n", "apiVersion and kind are required, as text"),
        (
            "apiVersion: v1\nkind: Gateway\nmetadata: {name: a}\n",
            "f.yaml:1: Gateway a: apiVersion: 'v1' has no Gateway",
        ),
        ("apiVersion: network.istio.io/v1\nkind: Gateway\nmetadata: {name: a}\n", "or networking.istio.io/v1"),
        ("apiVersion: networking.istio.io/v1\nkind: gateway\nmetadata: {name: a}\n", "did you mean Gateway?"),
        (
            "apiVersion: gateway.networking.k8s.io/v1\nkind: UDPRoute\nmetadata: {name: a}\n",
            "UDPRoute of gateway.net",
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.istio.io/v1\n  kind: Sidekar\n",
            "f.yaml:5: Sidekar ?",
        ),
        (
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\n",
            "EnvoyFilter is not app",
        ),
    ],
)
def test_what_is_no_policy_is_told(text: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_documents(text, "f.yaml")
    assert expected in str(caught.value)


def test_every_problem_of_every_document_is_told_at_once() -> None:
    text = document("WorkloadEntry", "labels: {}") + "---\n" + document("Gateway", "servers: []\nselektor: {}")
    with pytest.raises(PolicyError) as caught:
        load_documents(text, "f.yaml")
    assert len(caught.value.problems) == 3


def test_old_versions_are_read_and_the_new_one_is_written() -> None:
    text = document("WorkloadEntry", "address: 1.2.3.4").replace("istio.io/v1", "istio.io/v1beta1")
    policies = load_documents(text)
    assert "networking.istio.io/v1\n" in dump(policies)
    assert load_documents(dump(policies)) == policies


def test_other_objects_stand_beside_policies() -> None:
    text = document("WorkloadEntry", "address: 1.2.3.4") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
    everything = load_everything([("f", text)])
    assert (len(everything.policies), [other["kind"] for other in everything.others]) == (1, ["Service"])


def samples() -> list[Path]:
    return sorted([*SHARED.glob("istio-samples/**/*.yaml"), *SHARED.glob("istiod-dumps/*/input/*.yaml")])


@pytest.mark.skipif(not samples(), reason="the samples of ordinary user YAML are not beside the project")
@pytest.mark.parametrize("file", samples(), ids=lambda file: f"{file.parent.parent.name}-{file.name}")
def test_ordinary_documents_of_these_kinds_round_trip(file: Path) -> None:
    for _, text in read_files(file):
        for value in (document.value for document in positions.documents(text, str(file))):
            if (value["apiVersion"].rpartition("/")[0], value["kind"]) in KINDS:
                policies = load_documents(written(value), str(file))
                assert load_documents(dump(policies)) == policies


KUBECTL = """\ufeff# as kubectl prints it\r
apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
- apiVersion: networking.istio.io/v1beta1
  kind: VirtualService
  metadata:
    annotations: {note: "2026-01-01"}
    creationTimestamp: "2026-03-01T12:00:00+02:00"
    generation: 3
    managedFields: [{manager: kubectl, fieldsV1: {"f:spec": {".": {}}}}]
    name: a
    namespace: ""
    resourceVersion: "1"
    uid: 1-2
  spec:
    hosts: [a]
    http:
    - &rule
      match: [{uri: {prefix: /a}}]
      route: [{destination: {host: a}, weight: 50.0}]
    - <<: *rule
      timeout: .5s
  status: {}
---
# nothing
---
...
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_kubectl_prints_and_editors_save(ends: str) -> None:
    (policy,) = load_documents(KUBECTL.replace("\r", "").replace("\n", ends))
    document = policy.to_document()
    assert document["metadata"] == {
        "name": "a",
        "namespace": "default",
        "annotations": {"note": "2026-01-01"},
        "creationTimestamp": "2026-03-01T10:00:00Z",
    }
    assert document["spec"]["http"][1] == {**document["spec"]["http"][0], "timeout": "500ms"}
    assert load_documents(dump([policy])) == [policy]


def test_an_address_in_a_flow_list_is_no_map() -> None:
    (entry,) = load_documents(document("ServiceEntry", "hosts: [a.b]\naddresses: [1.2.3.4, 2001:db8::]"))
    assert entry.spec.addresses == ("1.2.3.4", "2001:db8::")


def test_aliases_of_aliases_are_no_way_to_fill_the_memory() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))]
    with pytest.raises(PolicyError, match="values with every alias written out"):
        load_documents("\n".join(lines))

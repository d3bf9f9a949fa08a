"""Files to objects, and what is told of objects that are not valid."""

import pytest

from mesh_policy import PolicyError
from mesh_policy.analysis.checks import Suppression, analyze
from mesh_policy.analysis.inputs import read_inputs
from tests.unit.mesh_policy.analysis.cases import document, findings, service, told, virtual

PLAIN = "{route: [{destination: {host: gone}}]}"


def located(text: str, source: str = "a.yaml") -> list[str]:
    return [
        finding.located().partition(": ")[0] + f" {finding.code}" for finding in analyze(read_inputs([(source, text)]))
    ]


def test_one_broken_object_does_not_end_the_rest() -> None:
    head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    broken = f"{head}metadata:\n  name: x\nspec:\n  hostz: [a]\n---\n"
    assert located(service() + broken + virtual(PLAIN)) == ["a.yaml:11 IST0106", "a.yaml:16 IST0101"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - port: '80'\n", "spec.ports[0].port"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports: {}\n  x: 1\n", "spec.ports"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels:\n    version: 1\n", "metadata.labels.version"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n\ndata:\n  tls.crt: '*'\n", 'data["tls.crt"]'),
        ("apiVersion: v1\nkind: Namespace\n\n\n\nmetadata: {}\n", "metadata.name"),
    ],
)
def test_objects_that_are_not_valid(text: str, field: str) -> None:
    (finding,) = findings(text)
    assert (finding.code, finding.field, finding.line) == ("IST0106", field, 6 if field != "spec.ports" else 5)


def test_settings_of_the_mesh_that_are_not_valid() -> None:
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
    found = findings(f"{head}    trustDomain: a\n    rootNamespce: b\n    accessLogEncoding: XML\n")
    assert [(finding.code, finding.field, finding.line) for finding in found] == [("IST0106", "data.mesh", 5)] * 2
    assert {finding.message for finding in found} == {
        "the mesh configuration is not valid, in its line 2: rootNamespce: there is no such field; "
        "did you mean rootNamespace?",
        "the mesh configuration is not valid, in its line 3: accessLogEncoding: Input should be 'TEXT' or 'JSON'",
    }


def test_what_is_no_object() -> None:
    assert [f.message for f in findings("- a\n")] == ["is no object: apiVersion and kind are required, as text"]
    assert findings("apiVersion: example.com/v1\nkind: Other\nmetadata: {name: a}\nspec: {}\n") == []


def test_what_is_not_yaml_ends_it() -> None:
    with pytest.raises(PolicyError, match=r"b\.yaml:1.*\n?"):
        read_inputs([("a.yaml", service()), ("b.yaml", "a: [")])


def test_lists_are_opened() -> None:
    item = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1}]}}"
    text = f"apiVersion: v1\nkind: List\nitems:\n- {item}\n"
    assert told(text) == ["IST0118 Service default/a spec.ports[0]"]
    assert findings(text)[0].line == 4


def test_the_last_of_several_counts() -> None:
    first = service(ports="{name: a, port: 1}")
    inputs = read_inputs([("a.yaml", first), ("b.yaml", service())])
    assert [(f.code, f.source, f.message) for f in analyze(inputs)] == [
        ("MESH0010", "a.yaml", "stands again in b.yaml:1, which counts; remove one")
    ]
    assert [f.code for f in findings(service() + service())] == ["MESH0010"]


def test_a_default_namespace() -> None:
    inputs = read_inputs(
        [("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n")], "shop"
    )
    assert [f.subject for f in analyze(inputs)] == ["Service shop/a"]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [("IST0118", []), ("'*'", []), ("'IST0001,IST0118'", []), ("IST0101", ["IST0118"])],
)
def test_an_annotation_asks_for_silence(annotation: str, expected: list[str]) -> None:
    text = service(ports="{port: 1}", more=f", annotations: {{galley.istio.io/analyze-suppress: {annotation}}}")
    assert [f.code for f in findings(text)] == expected


def test_silence_for_an_object_that_is_not_valid() -> None:
    text = document("VirtualService", "a", "{}", more=", annotations: {galley.istio.io/analyze-suppress: IST0106}")
    assert findings(text) == []


@pytest.mark.parametrize(
    ("suppress", "expected"),
    [
        ("IST0118", []),
        ("IST0118=Service default/a", []),
        ("IST0118=Service a.default", []),
        ("IST0118=Service *.default", []),
        ("IST0118=* default/*", []),
        ("IST0118=Service other/*", ["IST0118"]),
        ("IST0101", ["IST0118"]),
    ],
)
def test_silence_by_option(suppress: str, expected: list[str]) -> None:
    assert [f.code for f in findings(service("a", ports="{port: 1}"), suppress=(suppress,))] == expected


@pytest.mark.parametrize("text", ["", "0101", "IST01", "ist0101"])
def test_what_is_no_suppression(text: str) -> None:
    with pytest.raises(ValueError, match="write CODE"):
        Suppression.parse(text)


def test_findings_are_sorted_and_told_once() -> None:
    text = service() + virtual(PLAIN) + service("b", ports="{port: 1}")
    lines = [finding.line for finding in findings(text)]
    assert lines == sorted(lines)
    assert len(set(map(str, findings(text)))) == len(findings(text))

"""YAML in and out, and what is refused with which words."""

from pathlib import Path

import pytest
import yaml

from mesh_policy import KINDS, PolicyError, dump, load_documents, load_everything, positions
from mesh_policy.load import read_files

SHARED = Path(__file__).resolve().parents[4] / "shared"

HEAD = "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n"


def document(kind: str, spec: str) -> str:
    return HEAD.format(kind=kind) + "\n".join(f"  {line}" for line in spec.splitlines()) + "\n"


ROUTE = "hosts: [a]\nhttp:\n- {route}"


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("VirtualService", "hosts: [a]", "at least one of http, tls and tcp is required"),
        ("VirtualService", "hosts: ['*']\nhttp: [{redirect: {uri: /}}]", "`*` is not allowed for the mesh"),
        ("VirtualService", ROUTE.format(route="{timeout: 1s}"), "one of route, redirect, directResponse or delegate"),
        (
            "VirtualService",
            ROUTE.format(route="{tmeout: 1s}"),
            "spec.http[0].tmeout: there is no such field; did you mean timeout?",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{redirect: {uri: /, redirectCode: 200}}"),
            "allowed are 301, 302, 303, 307",
        ),
        ("VirtualService", ROUTE.format(route="{timeout: 1, redirect: {uri: /}}"), "a duration is text such as 15s"),
        ("VirtualService", ROUTE.format(route="{timeout: 10us, redirect: {uri: /}}"), "at least 1ms"),
        (
            "VirtualService",
            ROUTE.format(route="{match: [{uri: {regex: '(a'}}], redirect: {uri: /}}"),
            "is not a regular expression of RE2",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{match: [{uri: {exact: a, prefix: b}}], redirect: {uri: /}}"),
            "exact and prefix exclude each other",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{route: [{destination: {host: a}}, {destination: {host: b}}]}"),
            "weights of several destinations must not all be 0",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{route: [{destination: {host: a}, weight: -1}]}"),
            "greater than or equal to 0",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{route: [{destination: {host: a}}], redirect: {uri: /}}"),
            "exclude each other",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{route: [{destination: {host: a}}], retries: {retryOn: sometimes}}"),
            "'sometimes' is no retry condition",
        ),
        (
            "VirtualService",
            ROUTE.format(route="{route: [{destination: {host: a}}], fault: {abort: {}}}"),
            "exactly one of httpStatus",
        ),
        ("DestinationRule", "trafficPolicy: {}", "spec.host: is required"),
        ("DestinationRule", "host: a\nsubsets: [{name: v1}, {name: v1}]", "'v1' stands twice"),
        (
            "DestinationRule",
            "host: a\ntrafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}",
            "less than or equal to 100",
        ),
        ("DestinationRule", "host: a\ntrafficPolicy: {tls: {mode: MUTUAL}}", "MUTUAL needs clientCertificate"),
        ("DestinationRule", "host: a\ntrafficPolicy: {loadBalancer: {simple: FASTEST}}", "Input should be"),
        ("Gateway", "servers: []", "at least 1 item"),
        (
            "Gateway",
            "servers: [{port: {number: 0, protocol: HTTP, name: a}, hosts: [a]}]",
            "greater than or equal to 1",
        ),
        (
            "Gateway",
            "servers: [{port: {number: 1, protocol: HTPP, name: a}, hosts: [a]}]",
            "protocol 'HTPP': allowed are",
        ),
        ("Gateway", "servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a]}]", "needs tls.mode"),
        ("ServiceEntry", "hosts: ['*']", "`*` is not allowed"),
        (
            "ServiceEntry",
            "hosts: [a.b]\nresolution: STATIC\nendpoints: [{address: c.d}]",
            "is a name; resolution STATIC takes addresses",
        ),
        (
            "ServiceEntry",
            "hosts: [a.b]\nports: [{number: 1, name: x}, {number: 2, name: x}]",
            "the name 'x' stands twice",
        ),
        ("WorkloadEntry", "labels: {a: b}", "address is required"),
        ("WorkloadEntry", "address: 1.2.3.4\nports: {http: 70000}", "less than or equal to 65535"),
    ],
)
def test_a_wrong_document_says_what_and_where(kind: str, spec: str, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_documents(document(kind, spec), "f.yaml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("f.yaml:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "f.yaml:1: not YAML"),
        ("a: 1\na: 2\napiVersion: x\n", "f.yaml:2: not YAML: a: the key stands twice"),
        ("- 1", "apiVersion and kind are required"),
        ("apiVersion: networking.istio.io/v9\nkind: Gateway\nmetadata: {name: a}\n", "version 'v9' is unknown"),
        ("apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: a}\n", "not supported yet"),
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
    # serviceentry-valid.yaml holds `001:db8::` in a flow list, which the YAML library reads as a mapping.
    return sorted(file for file in _samples() if file.name != "serviceentry-valid.yaml")


def _samples() -> list[Path]:
    return [*SHARED.glob("istio-samples/**/*.yaml"), *SHARED.glob("istiod-dumps/*/input/*.yaml")]


@pytest.mark.skipif(not samples(), reason="the samples of ordinary user YAML are not beside the project")
@pytest.mark.parametrize("file", samples(), ids=lambda file: f"{file.parent.parent.name}-{file.name}")
def test_ordinary_documents_of_these_kinds_round_trip(file: Path) -> None:
    for _, text in read_files(file):
        for value in (document.value for document in positions.documents(text, str(file))):
            if value["kind"] in KINDS and value["apiVersion"].startswith("networking.istio.io/"):
                policies = load_documents(yaml.safe_dump(value), str(file))
                assert load_documents(dump(policies)) == policies


@pytest.mark.skipif(not (SHARED / "istio-api").exists(), reason="the official schemas are not beside the project")
def test_every_field_of_the_official_schemas_exists() -> None:
    missing: list[str] = []
    for crd in yaml.safe_load_all((SHARED / "istio-api/customresourcedefinitions.gen.yaml").read_text()):
        kind = crd["spec"]["names"]["kind"] if crd else None
        if kind in KINDS:
            schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
            missing += walk(schema, KINDS[kind].model_fields["spec"].annotation, kind)
    assert sorted(set(missing)) == []


def walk(schema: dict[str, object], model: object, path: str) -> list[str]:
    """Fields of the schema that the model lacks."""
    from mesh_policy.load import _model_of

    found = _model_of(model)
    properties = schema.get("properties")
    if not isinstance(properties, dict) or found is None:
        return []
    # Istio writes one old field in snake case beside its camel case form; reading one of them is enough.
    names = {info.serialization_alias or info.alias: info.annotation for info in found.model_fields.values()}
    missing = []
    for name, inner in properties.items():
        if name == "mirror_percent":
            continue
        if name not in names:
            missing.append(f"{path}.{name}")
        else:
            below = inner.get("items") or inner.get("additionalProperties") or inner
            missing += walk(below if isinstance(below, dict) else {}, names[name], f"{path}.{name}")
    return missing

"""Our CustomResourceDefinitions before kube-apiserver's own code: what Istio takes they take, and nothing that is unknown."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_policy import positions
from mesh_policy.schema.crds import definitions
from tests.support import istio_cases as cases
from tests.support import verdicts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build

SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "istio-samples"


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory, verdicts_program: Path) -> Iterator[verdicts.Verdicts]:
    """Kubernetes with our definitions, below a group of another name: Istio's own stand there as well."""
    file = tmp_path_factory.mktemp("definitions") / "crds.yaml"
    file.write_text("---\n".join(yaml.safe_dump(ours(made)) for made in definitions()))
    with verdicts.running(verdicts_program, [file]) as found:
        yield found


def ours(content: dict[str, Any]) -> dict[str, Any]:
    """A definition, or an object, in the group ``GROUP.meshwright.example`` rather than in Istio's."""
    made = copy.deepcopy(content)
    if "apiVersion" in made and made["apiVersion"].partition("/")[0].endswith(".istio.io"):
        made["apiVersion"] = made["apiVersion"].replace(".istio.io/", ".meshwright.example/")
    else:
        made["spec"]["group"] = made["spec"]["group"].replace(".istio.io", ".meshwright.example")
        made["metadata"]["name"] = made["metadata"]["name"].replace(".istio.io", ".meshwright.example")
    return made


def refusal(kubernetes: verdicts.Verdicts, document: dict[str, Any]) -> str | None:
    return kubernetes.of(ours(document)).schema


@pytest.mark.parametrize("kind", cases.KINDS)
def test_cases_are_taken(kubernetes: verdicts.Verdicts, kind: str) -> None:
    found = [(spec, refusal(kubernetes, cases.document(kind, spec))) for spec in cases.cases(kind)[0]]
    assert [(spec, said) for spec, said in found if said] == []


@pytest.mark.parametrize("kind", cases.KINDS)
def test_unknown_fields_and_wrong_types_are_refused(kubernetes: verdicts.Verdicts, kind: str) -> None:
    spec = max(cases.cases(kind)[0], key=lambda spec: len(str(spec)))
    for place, holder in cases._walk(spec):
        if place and place[-1] == "labels":
            continue
        for key in holder:
            odd = copy.deepcopy(spec)
            (target,) = [
                inner for (_, inner), (_, old) in zip(cases._walk(odd), cases._walk(spec), strict=True) if old is holder
            ]
            target[key] = [[7]]
            assert refusal(kubernetes, cases.document(kind, odd)), (place, key)
    for wrong in ({**spec, "nonsense": 1}, "text", ["list"]):
        assert refusal(kubernetes, cases.document(kind, wrong)), wrong


@pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="Istio's samples are not beside the project, at ../shared/istio-samples"
)
def test_samples_are_taken(kubernetes: verdicts.Verdicts) -> None:
    count = 0
    for file in sorted(SAMPLES.rglob("*.yaml")):
        for document in (found.value for found in positions.documents(file.read_text(), file.name)):
            if document["apiVersion"].partition("/")[0].endswith(".istio.io"):
                count += 1
                assert refusal(kubernetes, document) is None, (file.name, document)
    assert count > 20

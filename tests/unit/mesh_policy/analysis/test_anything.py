"""Objects at random, several at once: the analysis always ends, with findings of its table at lines of the file."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_policy.analysis.checks import analyze
from mesh_policy.analysis.codes import CODES
from mesh_policy.analysis.context import Knowledge
from mesh_policy.analysis.inputs import read_inputs
from mesh_policy.yaml_text import written
from tests.support.schema_documents import documents
from tests.unit.mesh_policy.analysis.cases import NOW, document, findings, pod, service, virtual
from tests.unit.mesh_policy.analysis.rows import ROWS

SCHEMAS = Path(__file__).resolve().parents[5].joinpath("shared", "istio-api", "customresourcedefinitions.gen.yaml")
BASE = document("Namespace", "default", namespace="") + service("a") + pod("a")


def definitions() -> list[dict[str, Any]]:
    found = [d for d in yaml.safe_load_all(SCHEMAS.read_text()) if d] if SCHEMAS.is_file() else []
    return [d for d in found if d["spec"]["names"]["kind"] not in ("EnvoyFilter", "WasmPlugin", "TrafficExtension")]


DEFINITIONS = definitions()


@st.composite
def files(draw: st.DrawFn) -> str:
    chosen = draw(st.lists(st.sampled_from(DEFINITIONS), min_size=1, max_size=4))
    made = []
    for number, definition in enumerate(chosen):
        versions = [v["name"] for v in definition["spec"]["versions"] if v["served"]]
        value = draw(documents(definition, draw(st.sampled_from(versions))))
        value["metadata"] |= {
            "name": f"x{number}",
            "namespace": draw(st.sampled_from(["default", "istio-system", "shop"])),
        }
        made.append(written(value))
    return BASE + "---\n".join(made)


@pytest.mark.skipif(not DEFINITIONS, reason="the official definitions are not here")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_anything_can_be_analysed(data: st.DataObject) -> None:
    text = data.draw(files())
    for whole in (True, False):
        for finding in analyze(read_inputs([("a.yaml", text)]), Knowledge(whole=whole, now=NOW)):
            assert CODES[finding.code].level is finding.level
            assert 1 <= finding.line <= text.count("\n") + 1
            assert finding.message
            assert finding.kind
            assert finding.name


@given(st.permutations(range(len(ROWS))), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_the_order_of_objects_is_of_no_matter(order: list[int], parts: int) -> None:
    """What is found does not depend on where an object stands, as long as each stands once."""
    text = ROWS[order[0]]
    objects = text.split("---\n")[:-1]
    turned = "".join(f"{item}---\n" for item in objects[parts:] + objects[:parts])

    def found(content: str) -> set[tuple[str, str, str]]:
        return {(f.code, f.subject, f.field) for f in findings(content)}

    assert found(turned) == found(text)


def test_many_rules_take_no_square_of_their_number() -> None:
    """Two thousand matches in one VirtualService, of which each is looked at beside few others."""
    rules = ", ".join(
        "{match: [{uri: {prefix: /a%d}, headers: {x: {exact: '%d'}}}], route: [{destination: {host: a}}]}" % (n, n)  # noqa: UP031
        for n in range(2000)
    )
    assert findings(BASE + virtual(rules, hosts="[a]")) != []

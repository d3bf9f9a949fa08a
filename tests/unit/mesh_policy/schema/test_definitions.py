"""The definitions, the editors' schema and the page made of the models, against the official definitions where they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mesh_cli.commands import app
from mesh_policy import KINDS
from mesh_policy.schema import reference
from mesh_policy.schema.crds import definitions
from mesh_policy.schema.json_schema import json_schema
from mesh_policy.schema.structure import descriptions, models_of

ROOT = Path(__file__).resolve().parents[4]
OFFICIAL = ROOT.parent / "shared" / "istio-api" / "customresourcedefinitions.gen.yaml"
OURS = {made["spec"]["names"]["kind"]: made for made in definitions()}


def official() -> dict[str, dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found = [d for d in yaml.load_all(OFFICIAL.read_text(encoding="utf-8"), Loader=loader) if d]
    return {d["spec"]["names"]["kind"]: d for d in found if (d["spec"]["group"], d["spec"]["names"]["kind"]) in KINDS}


def fields(schema: dict[str, Any], path: str = "") -> set[tuple[str, str]]:
    """Paths and types of all fields."""
    found = {(path, str(schema.get("type")))}
    for name, inner in schema.get("properties", {}).items():
        found |= fields(inner, f"{path}.{name}")
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            found |= fields(schema[key], path + sign)
    return found


@pytest.mark.skipif(
    not OFFICIAL.exists(), reason="the official schemas are not beside the project, at ../shared/istio-api"
)
def test_names_versions_columns_and_fields_are_the_official_ones() -> None:
    theirs = official()
    assert theirs.keys() == OURS.keys()
    for kind, made in OURS.items():
        spec, other = made["spec"], theirs[kind]["spec"]
        assert made["metadata"]["name"] == theirs[kind]["metadata"]["name"]
        assert (spec["names"], spec["scope"]) == (other["names"], other["scope"]), kind
        assert {v["name"] for v in spec["versions"]} == {v["name"] for v in other["versions"]}
        (their_version,) = [v for v in other["versions"] if v["name"] == spec["versions"][0]["name"]]
        columns = [
            [(c["name"], c["jsonPath"], c["type"]) for c in v.get("additionalPrinterColumns", [])]
            for v in (spec["versions"][0], their_version)
        ]
        assert columns[0] == columns[1], kind
        schemas = [v["schema"]["openAPIV3Schema"]["properties"]["spec"] for v in (spec["versions"][0], their_version)]
        assert fields(schemas[0]) == fields(schemas[1]), kind


@pytest.mark.parametrize("kind", OURS)
def test_one_version_is_stored_and_all_have_a_status(kind: str) -> None:
    versions = OURS[kind]["spec"]["versions"]
    assert [v["storage"] for v in versions].count(True) == 1
    assert all(v["served"] and v["subresources"] == {"status": {}} for v in versions)


@pytest.mark.parametrize("name", reference.PAGES)
def test_the_page_is_that_of_the_models(name: str) -> None:
    assert (reference.FOLDER / name).read_text(encoding="utf-8") == reference.PAGES[name]()


def test_every_kind_is_in_the_editors_schema() -> None:
    kinds = {rule["if"]["properties"]["kind"]["const"] for rule in json_schema()["allOf"]}
    assert kinds == {kind.KIND for kind in KINDS.values()}


@pytest.mark.parametrize("group", sorted({kind.GROUP for kind in KINDS.values()}))
def test_every_field_is_described(group: str) -> None:
    kinds = [kind for kind in KINDS.values() if group == kind.GROUP]
    models = {model for kind in kinds for model in models_of(kind.model_fields["spec"].annotation)}
    while new := {m for model in models for i in model.model_fields.values() for m in models_of(i.annotation)} - models:
        models |= new
    assert [f"{m.__name__}.{n}" for m in models for n in m.model_fields if not descriptions(m).get(n)] == []


def test_the_verbs() -> None:
    done = CliRunner().invoke(app, ["crds", "--kind", "Sidecar"])
    assert (done.exit_code, yaml.safe_load(done.output)) == (0, OURS["Sidecar"])
    assert CliRunner().invoke(app, ["crds", "--kind", "EnvoyFilter"]).exit_code == 2
    assert json.loads(CliRunner().invoke(app, ["schema"]).output) == json_schema()

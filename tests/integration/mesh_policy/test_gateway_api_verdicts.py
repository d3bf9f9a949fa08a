"""Kinds of the Gateway API against Kubernetes' own code with the official definitions: what it takes we take, and no more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mesh_policy import PolicyError, dump, load_documents
from mesh_policy.yaml_text import written
from tests.support import gateway_api_definitions as official
from tests.support import verdicts
from tests.support.gateway_api_rows import GROUP, METADATA, NOTHING, ROWS
from tests.support.schema_documents import changed, documents

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(1500),  # the program's first build
    pytest.mark.skipif(official.folder() is None, reason=official.MISSING),
]
NEVER_BROKEN = {
    "GatewayClass": {"Value is immutable"},  # a rule of changes
    "Gateway": {
        "Listener name must be unique within the Gateway",
        "Port for TLS configuration must be unique within the Gateway",
    },
    "HTTPRoute": {"type must be one of ['Exact', 'PathPrefix', 'RegularExpression']"},
    "TLSRoute": {
        "Hostnames must be valid based on RFC-1123",
        "Wildcards on hostnames must be the first label, and the rest of hostname must be valid based on RFC-1123",
    },
}
"""Rules that say again what the structure says before them: names in a list, patterns, values."""
VERSIONS = [
    (kind, version) for kind in official.KINDS for version in (official.versions(kind) if official.folder() else ())
]


@pytest.fixture(scope="module")
def kubernetes(verdicts_program: Path) -> Iterator[verdicts.Verdicts]:
    with verdicts.running(verdicts_program, official.files()) as found:
        yield found


def ours(document: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What we have against an object, or what we write of it."""
    try:
        return None, yaml.safe_load(dump(load_documents(written(document))))
    except PolicyError as error:
        return str(error), {}


def disagreement(kubernetes: verdicts.Verdicts, document: dict[str, Any]) -> str:
    """Where the two differ, and what we write if Kubernetes does not take it; empty when all is well."""
    theirs = kubernetes.of(document).schema
    refused, written = ours(document)
    if (theirs is None) != (refused is None):
        return f"{document}\n  Kubernetes: {theirs}\n  we: {refused}"
    again = kubernetes.of(written).schema if written else None
    return f"{document}\n  we write {written}\n  Kubernetes: {again}" if again else ""


@pytest.mark.parametrize("kind", official.KINDS)
def test_rows(kubernetes: verdicts.Verdicts, kind: str) -> None:
    found = [disagreement(kubernetes, row.document()) for row in (*ROWS, *NOTHING) if row.kind == kind]
    assert "\n".join(filter(None, found)) == ""


def test_metadata(kubernetes: verdicts.Verdicts) -> None:
    head = {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "spec": {}}
    found = [disagreement(kubernetes, head | {"metadata": metadata}) for metadata, _ in METADATA]
    assert "\n".join(filter(None, found)) == ""


@pytest.mark.parametrize("kind", official.KINDS)
def test_the_rows_break_every_rule(kubernetes: verdicts.Verdicts, kind: str) -> None:
    said = [kubernetes.of(row.document()).schema or "" for row in ROWS if row.kind == kind and row.said]
    broken = {rule for rule in official.rules(kind) if any(rule in text for text in said)}
    assert official.rules(kind) - broken == NEVER_BROKEN.get(kind, set())


@pytest.mark.parametrize(("kind", "version"), VERSIONS)
def test_objects_at_random(kubernetes: verdicts.Verdicts, kind: str, version: str) -> None:
    @settings(
        max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink]
    )
    @given(documents(official.definition(kind), version))
    def check(document: dict[str, Any]) -> None:
        assert disagreement(kubernetes, document) == ""

    check()


@pytest.mark.parametrize("kind", official.KINDS)
def test_rows_with_one_change(kubernetes: verdicts.Verdicts, kind: str) -> None:
    rows = [row.document() for row in ROWS if row.kind == kind and len(row.spec) < 400]

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(rows).flatmap(changed))
    def check(document: dict[str, Any]) -> None:
        assert disagreement(kubernetes, document) == ""

    check()

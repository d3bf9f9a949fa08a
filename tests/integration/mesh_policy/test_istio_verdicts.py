"""Istio's kinds against the code of Istio's webhook and kube-apiserver's schemas: one verdict."""

import random
from typing import Any

import pytest
import yaml

from mesh_policy import PolicyError, dump, load_documents
from mesh_policy.yaml_text import written
from tests.support import istio_cases as cases
from tests.support import verdicts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build

CHANGES = 1000
"""Changed objects of each kind; a verdict takes a millisecond."""
STRICTER = {
    "not nothing": "a value that is not there is a mistake in a map or list; kube-apiserver drops such an entry silently",
    "is not a regular expression of RE2": "Envoy compiles with RE2 itself, which Istio's Go package differs from in corners",
}
"""What we refuse and Istio takes, by our words, with the reason."""


def ours(document: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What we have against an object, or what we write of it."""
    try:
        return None, yaml.safe_load(dump(load_documents(written(document))))
    except PolicyError as error:
        return str(error), {}


def disagreement(istio: verdicts.Verdicts, document: dict[str, Any]) -> str:
    """Where the two differ, and what we write if Istio does not take it; empty when all is well."""
    theirs = istio.of(document)
    refusal = theirs.webhook or theirs.schema
    refused, written = ours(document)
    if (refusal is None) != (refused is None) and not (refused and any(words in refused for words in STRICTER)):
        return f"{document['kind']} {document['metadata']} {document['spec']}\n  Istio: {refusal}\n  we: {refused}"
    again = istio.of(written) if written else None
    if again is not None and (again.webhook or again.schema):
        return f"{document}\n  we write {written}\n  Istio: {again.webhook or again.schema}"
    return ""


@pytest.mark.parametrize("kind", cases.KINDS)
def test_cases(istio_verdicts: verdicts.Verdicts, kind: str) -> None:
    accepted, refused = cases.cases(kind)
    wrong = []
    for expected, specs in ((True, accepted), (False, refused)):
        for spec in specs:
            theirs = istio_verdicts.of(cases.document(kind, spec))
            if ((theirs.webhook or theirs.schema) is None) != expected:
                wrong.append(f"{spec}: expected {expected}, Istio says {theirs.webhook or theirs.schema}")
            wrong.append(disagreement(istio_verdicts, cases.document(kind, spec)))
    assert "\n".join(filter(None, wrong)) == ""


@pytest.mark.parametrize("kind", cases.KINDS)
def test_cases_with_changes(istio_verdicts: verdicts.Verdicts, kind: str) -> None:
    rng = random.Random(f"{kind} 1")
    specs = [*cases.cases(kind)[0], *cases.cases(kind)[1]]
    documents = (cases.document(kind, cases.change(kind, rng.choice(specs), rng)) for _ in range(CHANGES))
    found = (disagreement(istio_verdicts, document) for document in documents)
    assert next(filter(None, found), "") == ""


METADATA: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Gateway", {"name": "a.b"}),
    ("Gateway", {"name": "a" * 64}),
    ("VirtualService", {"name": "a.b"}),
    ("VirtualService", {"name": "a..b"}),
    ("VirtualService", {"name": "A"}),
    ("VirtualService", {"name": "a" * 253}),
    ("VirtualService", {"name": "a" * 254}),
    ("VirtualService", {"labels": {"a/b/c": "d"}}),
    ("VirtualService", {"labels": {"a": "b c"}}),
    ("VirtualService", {"labels": {"a": "b" * 64}}),
    ("VirtualService", {"annotations": {"a b": "c"}}),
    ("VirtualService", {"annotations": {"istio.io/dry-run": "true"}}),
    ("VirtualService", {"annotations": {"internal.istio.io/webhook-always-reject": ""}}),
    ("VirtualService", {"annotations": {"internal.istio.io/parents": "a"}}),
    ("VirtualService", {"annotations": {"internal.istio.io/parent-namespace": "a"}}),
    ("ServiceEntry", {"labels": {"istio.io/use-waypoint": "w"}}),
)


@pytest.mark.parametrize(("kind", "metadata"), METADATA, ids=[f"{kind}-{str(m)[:60]}" for kind, m in METADATA])
def test_metadata(istio_verdicts: verdicts.Verdicts, kind: str, metadata: dict[str, Any]) -> None:
    assert disagreement(istio_verdicts, cases.document(kind, cases.cases(kind)[0][0], **metadata)) == ""


def test_a_waypoint_takes_no_internal_service_that_is_looked_up_by_request(istio_verdicts: verdicts.Verdicts) -> None:
    spec = {"hosts": ["*.b"], "resolution": "DYNAMIC_DNS", "location": "MESH_INTERNAL"}
    for waypoint in ("w", "none", ""):
        labels = {"istio.io/use-waypoint": waypoint}
        assert disagreement(istio_verdicts, cases.document("ServiceEntry", spec, labels=labels)) == ""

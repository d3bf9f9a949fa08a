"""The cases of ``tests/data/networking`` against our models alone; the integration tests ask Istio about the same ones."""

from typing import Any

import pytest

from mesh_policy import PolicyError, dump, load_documents
from mesh_policy.yaml_text import written
from tests.support import istio_cases as cases

ACCEPTED = [(kind, spec) for kind in cases.KINDS for spec in cases.cases(kind)[0]]
REFUSED = [(kind, spec) for kind in cases.KINDS for spec in cases.cases(kind)[1]]


def names(rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [f"{kind}-{str(spec)[:70]}" for kind, spec in rows]


@pytest.mark.parametrize(("kind", "spec"), ACCEPTED, ids=names(ACCEPTED))
def test_taken_and_written_as_it_was(kind: str, spec: dict[str, Any]) -> None:
    policies = load_documents(written(cases.document(kind, spec)))
    assert load_documents(dump(policies)) == policies


@pytest.mark.parametrize(("kind", "spec"), REFUSED, ids=names(REFUSED))
def test_refused_with_its_place(kind: str, spec: dict[str, Any]) -> None:
    with pytest.raises(PolicyError) as caught:
        load_documents(written(cases.document(kind, spec)), "f.yaml")
    assert str(caught.value).startswith("f.yaml:")

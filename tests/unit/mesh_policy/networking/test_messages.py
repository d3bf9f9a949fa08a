"""What is said of a wrong document: the field, and what to write. Rows: ``tests/data/messages.yaml``."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_policy import PolicyError, load_documents
from mesh_policy.yaml_text import written
from tests.support.istio_cases import document

ROWS = [
    (kind, row["spec"], row["says"])
    for kind, rows in yaml.safe_load((Path(__file__).parents[3] / "data" / "messages.yaml").read_text()).items()
    for row in rows
]
TOO_LONG = {"hosts": ["a"], "http": [{"directResponse": {"status": 200, "body": {"string": "x" * (2**20 + 1)}}}]}


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [*ROWS, ("VirtualService", TOO_LONG, "at most 1048576 are allowed")],
    ids=lambda value: str(value)[:40],
)
def test_it_says_what_is_wrong_and_where(kind: str, spec: dict[str, Any], expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        load_documents(written(document(kind, spec)), "f.yaml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("f.yaml:")


@pytest.mark.parametrize(
    ("kind", "metadata", "expected"),
    [
        ("Gateway", {"name": "a.b"}, "a gateway's name has no dots"),
        (
            "WorkloadEntry",
            {"annotations": {"istio.io/dry-run": "true"}},
            "istio.io/dry-run is not allowed here; remove it",
        ),
        (
            "WorkloadEntry",
            {"annotations": {"internal.istio.io/parents": "a"}},
            "internal.istio.io/parents is not allowed",
        ),
    ],
)
def test_metadata(kind: str, metadata: dict[str, object], expected: str) -> None:
    specs = {
        "Gateway": "servers: [{port: {number: 1, name: a, protocol: TCP}, hosts: ['*']}]",
        "WorkloadEntry": "address: a",
    }
    with pytest.raises(PolicyError, match=expected):
        load_documents(written(document(kind, yaml.safe_load(specs[kind]), **metadata)))

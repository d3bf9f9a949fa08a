"""Kinds that are read and not compiled are refused by their names when they are to come into force."""

import pytest

from mesh_control import validate
from mesh_policy import KINDS, load_documents
from mesh_policy.base import Policy
from mesh_policy.yaml_text import written
from tests.support import istio_cases
from tests.support.gateway_api_rows import GROUP, ROWS

GATEWAY_API = [kind for key, kind in KINDS.items() if key[0] == GROUP and kind not in validate.COMPILED]


@pytest.mark.parametrize("kind", GATEWAY_API, ids=lambda kind: kind.KIND)
def test_a_kind_without_compiler_is_refused(kind: type[Policy]) -> None:
    row = next(row for row in ROWS if row.kind == kind.KIND and not row.said)
    (policy,) = load_documents(written(row.document()))
    (finding,) = validate.unsupported(policy)
    assert str(finding).startswith("error MESH0006 ")
    assert f"{kind.title()} is not supported by the control plane yet" in str(finding)


@pytest.mark.parametrize("kind", ["ProxyConfig", "Sidecar"])
def test_a_kind_of_istio_without_compiler_is_refused(kind: str) -> None:
    spec = istio_cases.cases(kind)[0][0]
    (policy,) = load_documents(written(istio_cases.document(kind, spec)))
    (finding,) = validate.unsupported(policy)
    assert f"kind: {kind} is not supported by the control plane yet" in str(finding)

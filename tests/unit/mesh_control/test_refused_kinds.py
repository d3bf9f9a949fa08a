"""Kinds that are read and not compiled are refused by their names when they are to come into force."""

import pytest

from mesh_control import validate
from mesh_policy import KINDS, load_documents
from mesh_policy.yaml_text import written
from tests.support import istio_cases
from tests.support.gateway_api_rows import GROUP


def test_every_kind_of_the_gateway_api_comes_into_force() -> None:
    assert [key for key, kind in KINDS.items() if key[0] == GROUP and kind not in validate.COMPILED] == []


@pytest.mark.parametrize("kind", ["ProxyConfig"])
def test_a_kind_of_istio_without_compiler_is_refused(kind: str) -> None:
    spec = istio_cases.cases(kind)[0][0]
    (policy,) = load_documents(written(istio_cases.document(kind, spec)))
    (finding,) = validate.unsupported(policy)
    assert f"kind: {kind} is not supported by the control plane yet" in str(finding)

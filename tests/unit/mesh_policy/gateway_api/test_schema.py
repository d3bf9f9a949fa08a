"""The models against the official definitions of the Gateway API, experimental channel, every served version."""

import pytest

from mesh_policy import KINDS
from tests.support import gateway_api_definitions as official
from tests.support.gateway_api_rows import GROUP
from tests.support.schema_walk import Walk

pytestmark = pytest.mark.skipif(official.folder() is None, reason=official.MISSING)
WALK = Walk()
ONLY_IN_V1 = {"TLSRoute.hostnames: may be left out, and must not in the schema"}
"""Required in v1 and not in v1alpha2: the kind asks for them, not the model of the specification."""


@pytest.mark.parametrize("name", official.KINDS)
def test_the_model_is_the_schema(name: str) -> None:
    kind = KINDS[GROUP, name]
    for schema in official.versions(name).values():
        assert set(WALK.differences(schema, kind.model_fields["spec"].annotation, name)) <= ONLY_IN_V1


@pytest.mark.parametrize("name", official.KINDS)
def test_the_versions_are_those_served_and_v1_is_written(name: str) -> None:
    assert set(KINDS[GROUP, name].VERSIONS) == set(official.versions(name))
    assert KINDS[GROUP, name].VERSIONS[0] == "v1"

"""Every proxy that the control plane drives."""

import pytest

from tests.integration.mesh_control.programs import OURS, Program


@pytest.fixture(params=["envoy", "envoy-delta", "ours"])
def program(request: pytest.FixtureRequest) -> Program:
    if request.param == "ours":
        return OURS
    found = request.getfixturevalue("envoy")
    options = ("--use-dynamic-base-id", "--concurrency", "1", "-l", "warning")
    return Program("envoy", (str(found), "-c"), options, "DELTA_GRPC" if request.param == "envoy-delta" else "GRPC")

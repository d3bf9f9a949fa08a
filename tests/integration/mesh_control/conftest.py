"""Every proxy that the control plane drives; a real istiod, and a real API server, where they can be built."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.integration.mesh_control.programs import OURS, Program
from tests.support import go_programs, istio_compiler, kube_apiserver
from tests.support.istio_compiler import Istiod
from tests.support.kube_apiserver import Server


@pytest.fixture(params=["envoy", "envoy-delta", "ours", "ours-delta"])
def program(request: pytest.FixtureRequest) -> Program:
    if request.param.startswith("ours"):
        return replace(OURS, api_type="DELTA_GRPC" if request.param == "ours-delta" else "GRPC")
    found = request.getfixturevalue("envoy")
    options = ("--use-dynamic-base-id", "--concurrency", "1", "-l", "warning")
    return Program("envoy", (str(found), "-c"), options, "DELTA_GRPC" if request.param == "envoy-delta" else "GRPC")


@pytest.fixture(scope="module")
def istiod() -> Iterator[Istiod]:
    """An istiod to ask."""
    try:
        program = istio_compiler.build()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))
    with Istiod(program) as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[Server]:
    """An API server that is starting."""
    try:
        kube_apiserver.build()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))
    with kube_apiserver.running() as server:
        yield server

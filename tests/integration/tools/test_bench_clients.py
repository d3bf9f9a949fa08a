"""The clients of `make bench-control`: our control plane takes them for proxies, and they note what comes."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from meshwright_tools.bench import cluster, control
from meshwright_tools.bench.meshes import FileMesh
from meshwright_tools.bench.planes import OurPlane
from meshwright_tools.checkout import Checkout

from mesh_api.xds.type_urls import ENDPOINT
from tests.support import go_programs, kube_apiserver, simulated_nodes

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]


@pytest.fixture
def mesh(tmp_path: Path) -> FileMesh:
    return FileMesh(tmp_path / "ours" / "state" / "policies" / "bench", 3)


@pytest.fixture
def plane(mesh: FileMesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OurPlane:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tools"))  # the clients are processes of their own
    return OurPlane(Checkout(ROOT, tmp_path / "cache"), tmp_path / "ours")


def test_clients_see_every_change_and_none_is_lost(plane: OurPlane, mesh: FileMesh) -> None:
    with plane.started():
        found = control.measured(plane, mesh, 8)
        assert found.pop("lost, 8") == 0
        assert sorted(found) == ["connect, 8", "endpoint CPU, 8", "endpoint, 8", "policy CPU, 8", "policy, 8"]
        assert all(seconds > 0 for seconds in found.values())


def test_clients_that_are_cut_off_are_counted_and_come_back(plane: OurPlane, mesh: FileMesh) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(plane.started())
        crowd, _ = stack.enter_context(control.crowd_of(plane, mesh, 8))
        assert crowd.lost == 0
        first.close()
        stack.enter_context(plane.started())
        assert crowd.until(ENDPOINT, mesh.change_endpoint()) > 0
        assert crowd.lost >= 8


@pytest.mark.timeout(2400)  # the programs' first build
def test_clients_see_every_change_of_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tools"))
    try:
        kube_apiserver.build()
        simulated_nodes.build()
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))
    with cluster.running(20) as mesh:
        section = {"kubeconfig": str(mesh.kubeconfig), "identity": "bench", "lease_namespace": "istio-system"}
        plane = OurPlane(Checkout(ROOT, tmp_path / "cache"), tmp_path / "ours", {"kubernetes": section})
        with plane.started():
            found = control.measured(plane, mesh, 8)
    assert found["lost, 8"] == 0
    assert found["policy, 8"] > 0
    assert found["endpoint, 8"] > 0

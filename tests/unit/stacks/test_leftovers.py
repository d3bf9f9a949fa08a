"""The role ``host``'s module that removes what moved away: what it takes for ours, and what for wanted."""

from pathlib import Path
from types import ModuleType

import pytest

from stacks import ansible_inventory
from stacks.environments import local
from tests.support.modules import ansible_module


@pytest.fixture(scope="module")
def leftovers() -> ModuleType:
    return ansible_module("host", "leftovers")


def file(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_clean_host_holds_nothing(leftovers: ModuleType, tmp_path: Path) -> None:
    assert leftovers.present(tmp_path) == {}


def test_units_are_found_with_what_is_theirs_and_go_by_their_last_file(leftovers: ModuleType, tmp_path: Path) -> None:
    unit = file(
        tmp_path, "etc/systemd/system/workload-store.service", "# Written by Meshwright\n[Service]\nUser=demo-store\n"
    )
    bootstrap = file(tmp_path, "etc/meshwright/proxy/store.yml")
    control = file(tmp_path, "etc/systemd/system/mesh-control.service")
    found = leftovers.present(tmp_path)
    assert {name: files[-1] for name, files in found.items()} == {
        "workload-store.service": unit,
        "mesh-proxy@store.service": bootstrap,
        "mesh-control.service": control,
    }
    assert tmp_path / "etc/meshwright/workload/store.database" in found["workload-store.service"]
    assert tmp_path / "var/lib/meshwright/proxy/store" in found["mesh-proxy@store.service"]
    assert tmp_path / "etc/meshwright/proxy/store.token" in found["mesh-proxy@store.service"]


def test_only_a_workload_has_a_user_of_its_own(leftovers: ModuleType, tmp_path: Path) -> None:
    unit = file(tmp_path, "workload-store.service", "[Service]\nUser=demo-store\n")
    assert leftovers.user_of("workload-store.service", [unit]) == "demo-store"
    assert leftovers.user_of("mesh-control.service", [file(tmp_path, "c.service", "User=mesh-control\n")]) == ""


def test_a_unit_that_somebody_else_wrote_stays(leftovers: ModuleType, tmp_path: Path) -> None:
    file(tmp_path, "etc/systemd/system/workload-theirs.service", "[Service]\nUser=bob\n")
    assert leftovers.present(tmp_path) == {}


def test_every_unit_of_a_machine_is_one_that_it_keeps() -> None:
    hosts = ansible_inventory.inventory(local.ENVIRONMENT)["all"]["hosts"]
    assert hosts["node1"]["host_units"] == ["mesh-control.service", "mesh-proxy@ingressgateway.service"]
    assert hosts["node3"]["host_units"] == [
        "mesh-proxy@warehouse.service",
        "mesh-proxy@warranty.service",
        "mesh-proxy@book-store-v2.service",
        "workload-warehouse.service",
        "workload-warranty.service",
        "workload-book-store-v2.service",
    ]

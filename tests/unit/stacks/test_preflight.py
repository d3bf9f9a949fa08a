"""The role ``host``'s module that looks before anything is changed: ports that others hold, and hosts that are too small."""

from types import ModuleType
from typing import Any

import pytest

from tests.support.modules import ansible_module


@pytest.fixture(scope="module")
def preflight() -> ModuleType:
    return ansible_module("host", "preflight")


def need(port: int, **more: str) -> dict[str, Any]:
    return {"port": port, "setting": "the.setting", "unit": "", "program": "", **more}


def test_a_port_may_be_held_by_the_unit_or_the_program_that_is_to_hold_it(preflight: ModuleType) -> None:
    listening = {10250: {"1"}, 15012: {"2"}, 10257: {"3"}}
    owners = {
        "1": (11, "kubelet", "kubelet.service"),
        "2": (12, "python3", "mesh-control.service"),
        "3": (13, "kube-controller", "0123abcd"),
    }
    wanted = [
        need(10250, program="kubelet"),
        need(15012, unit="mesh-control.service"),
        need(10257, program="kube-controller*"),
    ]
    assert preflight.port_problems(wanted, listening, owners) == []


def test_a_port_that_another_holds_is_told_with_the_mend(preflight: ModuleType) -> None:
    found = preflight.port_problems(
        [need(6443, program="kube-apiserver")], {6443: {"1"}}, {"1": (7, "nginx", "nginx.service")}
    )
    assert found == [
        {
            "what": "port 6443 is held by nginx (process 7, nginx.service)",
            "mend": "stop it, or set the.setting; kube-apiserver needs the port",
        }
    ]
    (unknown,) = preflight.port_problems([need(6443, program="kube-apiserver")], {6443: {"1"}}, {})
    assert unknown["what"] == "port 6443 is held by an unknown process (process 0)"


def test_a_host_that_is_too_small_is_told(preflight: ModuleType) -> None:
    assert preflight.size_problems(2048 * 1024, 2, 1700, 2) == []
    found = preflight.size_problems(1024 * 1024, 1, 1700, 2)
    assert [problem["what"] for problem in found] == ["has 1024 MiB of memory", "has 1 processor core"]
    assert found[0]["mend"] == "give it 1700 MiB or more, or another part of the environment"


def test_a_descriptor_that_is_closed_meanwhile_hides_no_other(
    preflight: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def readlink(path: str) -> str:
        if path.endswith("/3"):
            raise FileNotFoundError
        return f"socket:[{path.rpartition('/')[2]}]"

    monkeypatch.setattr(preflight.os, "listdir", lambda path: ["3", "4"])
    monkeypatch.setattr(preflight.os, "readlink", readlink)
    assert list(preflight.links("1")) == ["socket:[4]"]

"""What systemd thinks of our units: `systemd-analyze security` below 3.0 for each of ours, the privileged one included."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parents[2] / "templates"
VARIABLES = {
    "mesh_control_prefix": "/opt/meshwright",
    "mesh_proxy_prefix": "/opt/meshwright",
    "mesh_proxy_drain_seconds": 5,
    "mesh_machine_route_protocol": 109,
    "workload_prefix": "/opt/meshwright",
    "item": {"name": "store", "program": "store", "user": "store"},
}
OF_OTHERS = {"kubelet.service"}
"""A kubelet is root's: it begins containers with whatever rights their pods have, mounts, and sets the kernel."""
UNITS = sorted({file.name.removesuffix(".j2") for file in TEMPLATES.glob("*.service.j2")} - OF_OTHERS)
WORST = 3.0
CAPABILITIES = {
    "kubernetes-address.service": {"CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SETGID"},
    "mesh-proxy@.service": {"CAP_NET_BIND_SERVICE"},
    "mesh-redirect.service": {"CAP_NET_ADMIN"},
    "mesh-routes.service": {"CAP_NET_ADMIN"},
}
"""What a unit may do beyond a user's rights; every other may nothing."""

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze"),
]


def rendered(unit: str) -> str:
    """As Ansible's ``template`` does."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined
    )
    return environment.get_template(f"{unit}.j2").render(VARIABLES)


def settings(unit: str) -> dict[str, str]:
    """The settings of the section ``Service``; of one that stands several times, all of its values."""
    section = rendered(unit).partition("[Service]\n")[2].partition("\n[")[0]
    found: dict[str, str] = {}
    for name, value in re.findall(r"^([A-Za-z]+)=(.*)$", section, re.MULTILINE):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_exposes_little(unit: str, tmp_path: Path) -> None:
    file = tmp_path / unit
    file.write_text(rendered(unit))
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={WORST * 10:.0f}",
        str(file),
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Overall exposure level" in told.stdout, told.stderr
    assert told.returncode == 0, told.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_no_setting_that_systemd_does_not_know(unit: str, tmp_path: Path) -> None:
    file = tmp_path / unit.replace("@", "@store")
    file.write_text(re.sub(r"^Exec(Start|Reload|Stop)=.*$", "ExecStart=/bin/true", rendered(unit), flags=re.MULTILINE))
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    of_ours = [
        line for line in told.stderr.splitlines() if line.startswith(str(file)) and "Failed to resolve" not in line
    ]
    assert of_ours == [], json.dumps(of_ours)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_may_do_what_it_needs_alone(unit: str) -> None:
    found = settings(unit)
    assert set(found["CapabilityBoundingSet"].split()) == CAPABILITIES.get(unit, set())
    assert found["NoNewPrivileges"] == "yes"
    privileged = "CAP_NET_ADMIN" in CAPABILITIES.get(unit, set())
    assert ("User" in found) != privileged, "root runs nothing but the rules of the network"
    assert found.get("User") != "root"

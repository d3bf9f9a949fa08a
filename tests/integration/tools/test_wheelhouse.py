"""Hosts can install from the archive of wheels alone."""

import subprocess
import tarfile
from pathlib import Path

import pytest
from meshwright_tools import pythons, wheelhouse
from meshwright_tools.checkout import here
from meshwright_tools.progress import Progress, StepError

pytestmark = pytest.mark.integration

TARGET = "3.11"
INFRASTRUCTURE = ("pulumi", "ansible_core", "jinja2")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked archive, one of these tests alone."""
    directory = tmp_path_factory.mktemp("wheels")
    archive = wheelhouse.ensure(here(), Progress(), TARGET, archive=directory / wheelhouse.ARCHIVE)
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory


@pytest.mark.parametrize(
    ("requirement", "imports", "absent"),
    [
        ("meshwright", "mesh_proxy, mesh_api", ("pydantic", *INFRASTRUCTURE)),
        ("meshwright[control,cli]", "mesh_control, mesh_cli, mesh_policy", INFRASTRUCTURE),
        ("meshwright-demo", "meshwright_demo", ("meshwright", *INFRASTRUCTURE)),
    ],
)
def test_a_host_installs_without_an_index(
    requirement: str, imports: str, absent: tuple[str, ...], wheels: Path, tmp_path: Path
) -> None:
    if requirement == "meshwright-demo" and not list(wheels.glob("meshwright_demo-*.whl")):
        pytest.skip("examples/demo is not in this checkout")
    try:
        python = pythons.find(exactly=TARGET)
    except StepError:
        pytest.skip(f"no Python {TARGET} here, which is what hosts run")
    subprocess.run([python.path, "-m", "venv", tmp_path / "venv"], check=True)
    pip = [tmp_path / "venv" / "bin" / "python", "-m", "pip", "--isolated", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--find-links", wheels, requirement], check=True)
    subprocess.run([*pip, "check"], check=True)
    subprocess.run([tmp_path / "venv" / "bin" / "python", "-c", f"import {imports}"], check=True, cwd=tmp_path)
    site = next((tmp_path / "venv").glob("lib/python*/site-packages"))
    assert [name for name in absent if list(site.glob(f"{name}-*.dist-info"))] == []

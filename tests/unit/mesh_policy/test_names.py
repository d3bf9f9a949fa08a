"""What the package shows, and that whoever takes one name does not import them all."""

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import mesh_policy
import mesh_policy.gateway_api
from mesh_policy.kinds import KINDS

PACKAGES = [mesh_policy, mesh_policy.gateway_api]
NAMES = [(package, name) for package in PACKAGES for name in package.__all__]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_the_type_checker_sees_the_same_names(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        (statement.module, alias.name, alias.asname)
        for statement in checked.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen == {(module, name, name) for module, names in package._HOMES.items() for name in names}


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[f"{package.__name__}.{name}" for package, name in NAMES])
def test_every_name_is_there(package: ModuleType, name: str) -> None:
    assert getattr(package, name) is not None
    assert name in dir(package)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_other_names_are_not(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'Nonsense'"):
        package.Nonsense  # noqa: B018


@pytest.mark.parametrize("key", KINDS, ids=".".join)
def test_a_kind_stands_below_its_own_group_and_name(key: tuple[str, str]) -> None:
    assert key == (KINDS[key].GROUP, KINDS[key].KIND)


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        ("import mesh_policy", {"pydantic", "yaml", "re2"}),
        ("from mesh_policy import PolicyError, KINDS; len(KINDS)", {"pydantic", "yaml", "re2"}),
        ("from mesh_policy import WorkloadEntry", {"mesh_policy.networking.virtual_service"}),
        ("from mesh_policy.load import load_everything", {"mesh_policy.networking.virtual_service"}),
    ],
)
def test_import_brings_nothing_unwanted(program: str, unwanted: set[str]) -> None:
    command = [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(shown) & unwanted == set()

"""Ansible modules of the roles, as Python sees them."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def ansible_module(role: str, name: str) -> ModuleType:
    """The module of that name in a role's library."""
    for shared in sorted((ROOT / "roles").glob("*/module_utils/*.py")):
        # Ansible puts what the modules of the roles share there.
        sys.modules[f"ansible.module_utils.{shared.stem}"] = _loaded(shared)
    return _loaded(ROOT / "roles" / role / "library" / f"{name}.py")


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

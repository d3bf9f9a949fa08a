"""The Makefile and the executables."""

import os
import re
import subprocess
import sys

import pytest
from meshwright_tools.checkout import ROOT

TARGETS = {
    "bench",
    "bench-control",
    "bench-growth",
    "bench-policy",
    "parity",
    "istioctl",
    "istiod",
    "images",
    "up",
    "down",
    "test",
    "test-compiled",
    "demo",
    "doctor",
    "lint",
    "secrets",
    "setup",
    "lock",
    "wheel",
    "clean",
    "help",
    "sbom",
    "audit",
}


def test_make_alone_prints_every_target_with_its_meaning() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)) == TARGETS


def test_every_tool_that_make_calls_is_an_executable() -> None:
    called = set(re.findall(r"tools/[\w.]+", (ROOT / "Makefile").read_text()))
    assert called
    for tool in called:
        assert os.access(ROOT / tool, os.X_OK), tool


@pytest.mark.parametrize("tool", ["setup", "env", "stack", "wheelhouse", "lock", "doctor.py", "bench", "compiled"])
def test_every_tool_explains_itself(tool: str) -> None:
    interpreters = {"PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(ROOT / "tools" / tool), "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **interpreters},
    )
    assert f"usage: tools/{tool}" in done.stdout


def test_the_tools_parse_under_the_oldest_python_that_may_run_them() -> None:
    import ast

    for file in (ROOT / "tools" / "meshwright_tools").rglob("*.py"):
        tree = ast.parse(file.read_text(), str(file), feature_version=(3, 9))
        future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert future or file.name == "__init__.py", f"{file}: annotations must not be evaluated under Python 3.9"

"""The sidecar is slim: what it imports, each of its processes in turn."""

import subprocess
import sys

import pytest

NEVER = ("pydantic", "pulumi", "ansible", "typer", "rich", "jinja2", "watchfiles", "mesh_policy", "mesh_control")
WIRE = ("grpc", "google.protobuf", "envoy", "aiohttp", "asyncio", "yaml")
HEAVY = ("argparse", "calendar", "ctypes", "datetime", "email", "pathlib", "platform", "subprocess", "unittest", "uuid")
"""Of the standard library: each costs every worker a quarter of a megabyte or more, and does what a few lines do."""

MODULES = [
    ("mesh_proxy.supervisor.app", NEVER),
    ("mesh_proxy.__main__", (*NEVER, "grpc", "aiohttp")),
    ("mesh_proxy.ipc", (*NEVER, *WIRE)),
    ("mesh_proxy.worker.__main__", (*NEVER, *WIRE, *HEAVY)),
]


@pytest.mark.parametrize(("module", "unwanted"), MODULES, ids=[module for module, _ in MODULES])
def test_import_brings_nothing_unwanted(module: str, unwanted: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(shown) & set(unwanted) == set()

"""Either wheel brings a sidecar that works into an empty environment, and the compiled one passes the worker's tests."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.raw_http import Client

SECONDS = 1800
"""For a first compilation on a busy machine."""
pytestmark = [pytest.mark.integration, pytest.mark.timeout(SECONDS)]

ROOT = Path(__file__).parents[4]
COMPILED_TESTS = (
    "tests/unit/mesh_proxy/test_form.py",
    "tests/unit/mesh_proxy/worker",
    "tests/unit/mesh_proxy/protocol/test_http1.py",
    "tests/integration/mesh_proxy/worker/test_bodies.py",
    "tests/integration/mesh_proxy/worker/test_heads.py",
    "tests/integration/mesh_proxy/worker/test_http2.py",
    "tests/integration/mesh_proxy/worker/test_life.py",
    "tests/integration/mesh_proxy/worker/test_retries.py",
    "tests/integration/mesh_proxy/worker/test_routing.py",
    "tests/integration/mesh_proxy/worker/test_tcp.py",
    "tests/integration/mesh_proxy/worker/test_tls.py::test_requests_come_over_tls",
)
"""What the gate runs on the compiled form; ``make test-compiled`` runs everything."""


def built(*command: str) -> Path:
    """The path that a tool prints."""
    made = subprocess.run([ROOT / "tools" / command[0], *command[1:]], capture_output=True, text=True, check=False)
    if "needs a C compiler" in made.stderr or "needs Python's headers" in made.stderr:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip())


def wheelhouse(folder: Path) -> Path:
    """An archive of wheels for this Python, of these tests alone: the checkout's own is for hosts."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return built("wheelhouse", "--python", python, "--archive", str(folder / "wheels.tar"))


@pytest.fixture(scope="module", params=["plain", "compiled"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with nothing but the wheel and what it needs, from the wheels for hosts."""
    folder = tmp_path_factory.mktemp(request.param)
    archive = wheelhouse(folder)
    if request.param == "compiled":
        wheel = built("compiled", "wheel")
    else:
        wheel = next((ROOT / "dist").glob("meshwright-*-none-any.whl"))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    shutil.unpack_archive(archive, folder / "wheels", filter="data")
    for plain in (folder / "wheels").glob("meshwright-*.whl"):
        plain.unlink()
    pip = [folder / "venv" / "bin" / "python", "-m", "pip", "--isolated", "--disable-pip-version-check"]
    options = ["--quiet", "--no-index", "--find-links", folder / "wheels"]
    subprocess.run([*pip, "install", *options, wheel], check=True)
    subprocess.run([*pip, "check"], check=True)
    return folder / "venv" / "bin"


def alone() -> dict[str, str]:
    """The environment without what would lead to the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def test_the_data_path_has_the_wheels_form(installed: Path, tmp_path: Path) -> None:
    look = "import mesh_proxy.worker.loop as a, mesh_proxy.protocol.http1 as b; print(a.__file__, b.__file__)"
    said = subprocess.run(
        [installed / "python", "-c", look], capture_output=True, text=True, check=True, cwd=tmp_path, env=alone()
    )
    ending = ".so" if "compiled" in str(installed) else ".py"
    assert [Path(name).suffix for name in said.stdout.split()] == [ending, ending]
    assert all(name.startswith(str(installed.parent)) for name in said.stdout.split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_the_program_explains_itself(installed: Path, arguments: list[str], tmp_path: Path) -> None:
    said = subprocess.run(
        [installed / "mesh-proxy", *arguments], capture_output=True, text=True, check=True, cwd=tmp_path, env=alone()
    )
    assert re.search(r"meshwright \d+\.\d+" if "--version" in arguments else r"usage: mesh-proxy", said.stdout)


@pytest.fixture
def bootstrap(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A listener that answers by itself, and its port."""
    port = free_port()
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
    manager: dict[str, Any] = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"name": "r", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    document = {
        "node": {"id": "sidecar~127.0.0.1~a.b~c", "metadata": {"MESHWRIGHT": {"concurrency": 1}}},
        "static_resources": {"listeners": [{"name": "in", "address": address, "filter_chains": [chain]}]},
    }
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps(document))
    return file, port


def test_it_checks_a_configuration(installed: Path, bootstrap: tuple[Path, int], tmp_path: Path) -> None:
    command = [installed / "mesh-proxy", "check", "--config"]
    subprocess.run([*command, bootstrap[0]], check=True, cwd=tmp_path, env=alone())
    broken = tmp_path / "broken.json"
    broken.write_text(bootstrap[0].read_text().replace('"stat_prefix"', '"stat_prefixes"'))
    refused = subprocess.run([*command, broken], capture_output=True, text=True, check=False, cwd=tmp_path, env=alone())
    assert refused.returncode
    assert "stat_prefixes" in refused.stderr


def test_it_runs(installed: Path, bootstrap: tuple[Path, int], tmp_path: Path) -> None:
    file, port = bootstrap
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with notified:
        notified.bind(str(tmp_path / "notify"))
        notified.settimeout(60)
        environment = {**alone(), "NOTIFY_SOCKET": str(tmp_path / "notify")}
        command = [installed / "mesh-proxy", "run", "--config", file]
        with subprocess.Popen(command, cwd=tmp_path, env=environment) as process:
            try:
                while b"READY=1" not in notified.recv(4096):
                    pass
                with Client(port) as client:
                    assert client.get("/").body == b"hello"
            finally:
                process.terminate()
            assert process.wait(60) == 0


def test_both_wheels_are_of_one_source(tmp_path: Path) -> None:
    compiled = built("compiled", "wheel")
    wheelhouse(tmp_path)
    plain = next((ROOT / "dist").glob("meshwright-*-none-any.whl"))
    sources = []
    for wheel in (plain, compiled):
        with zipfile.ZipFile(wheel) as archive:
            sources.append({name: archive.read(name) for name in archive.namelist() if name.endswith(".py")})
    assert sources[0] == sources[1]


def test_the_compiled_form_passes_the_workers_tests() -> None:
    built("compiled", "tree")
    command = [ROOT / "tools" / "compiled", "test", "-q", "-x", "-p", "no:cacheprovider", *COMPILED_TESTS]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-1000:]

"""The programs with environments of their own start and do their work."""

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshwright_tools import separate_environments
from meshwright_tools.checkout import here
from meshwright_tools.progress import Progress

pytestmark = pytest.mark.integration

LOAD = """
phantom: {{enabled: false}}
telegraf: {{enabled: false}}
overload: {{enabled: false}}
console: {{enabled: false}}
bfg:
  package: yandextank.plugins.Bfg
  enabled: true
  gun_type: http
  gun_config: {{base_address: "http://127.0.0.1:{port}"}}
  instances: 4
  load_profile: {{load_type: rps, schedule: "const(20, 2s)"}}
  ammo_type: line  # the gun appends each line to its address; it sends no headers of its own
  ammofile: ammo.txt
"""


def test_envoy_runs() -> None:
    environment = separate_environments.ensure("envoy", here(), Progress())
    done = subprocess.run([environment / "bin" / "envoy", "--version"], capture_output=True, text=True, check=True)
    assert "version:" in done.stdout


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    """Answers 200 and counts the paths that were asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    paths: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        served.paths = paths  # type: ignore[attr-defined]
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def test_the_load_generator_sends_its_schedule(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    environment = separate_environments.ensure("yandextank", here(), Progress())
    (tmp_path / "load.yaml").write_text(LOAD.format(port=server.server_port))
    (tmp_path / "ammo.txt").write_text("/api/v1/books\n")
    command = [environment / "bin" / "yandex-tank", "-c", "load.yaml", "--lock-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert server.paths == ["/api/v1/books"] * 40  # type: ignore[attr-defined]


def test_an_environment_is_made_once() -> None:
    first = separate_environments.ensure("envoy", here(), Progress())
    before = first.stat().st_mtime_ns
    assert separate_environments.ensure("envoy", here(), Progress()) == first
    assert first.stat().st_mtime_ns == before

"""Control planes as processes: what they are started with, and what they need of the machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml

from meshwright_tools.bench.measure import CommandError
from meshwright_tools.checkout import Checkout

LIMIT = 180.0
"""Seconds that anything may take."""


class Plane:
    """A control plane whose files are in ``folder``."""

    called: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.address = f"127.0.0.1:{_free_port()}"

    def _begin(self) -> subprocess.Popen[bytes]:
        """Returns when it serves."""
        raise NotImplementedError

    @contextmanager
    def started(self) -> Iterator[float]:
        """With it running; the seconds until it serves."""
        began = time.monotonic()
        self._process = self._begin()
        try:
            yield time.monotonic() - began
        finally:
            self._process.kill()
            self._process.wait()

    def megabytes(self) -> float:
        """Resident memory."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1000

    def cpu(self) -> float:
        """Seconds of CPU time up to now, of all its threads."""
        # As clock_getcpuclockid(3) makes the clock of another process.
        return time.clock_gettime(~self._process.pid << 3 | 2)


class OurPlane(Plane):
    """``mesh-control``, whose policies are in ``state/policies`` below its folder; ``settings`` come on top."""

    called = "ours"

    def __init__(self, checkout: Checkout, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder)
        python = checkout.root / ".venv" / "bin" / "python"
        found = {
            "xds_address": self.address,
            "monitoring_address": f"127.0.0.1:{_free_port()}",
            "socket": str(folder / "control.sock"),
            "state_dir": str(folder / "state"),
            "log_level": "error",
            **(settings or {}),
        }
        (folder / "control.yml").write_text(yaml.safe_dump(found), encoding="utf-8")
        self._command = [str(python), "-m", "mesh_control", "--config", str(folder / "control.yml")]
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # What was installed is compiled to bytecode; in a checkout the first to run does that.
        subprocess.run([*self._command, "--check"], env=self._environment, check=True)

    def _begin(self) -> subprocess.Popen[bytes]:
        path = self._folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(path))
            notified.settimeout(LIMIT)
            process = subprocess.Popen(self._command, env={**self._environment, "NOTIFY_SOCKET": str(path)})
            notified.recv(4096)
        return process


class IstiodPlane(Plane):
    """``pilot-discovery`` that issues no certificates, with the cluster of ``kubeconfig`` (YAML or JSON); ``policies`` is a
    folder with its configuration, which is in the cluster without one."""

    called = "istiod"

    def __init__(self, program: Path, folder: Path, kubeconfig: str, policies: Path | None = None) -> None:
        super().__init__(folder)
        self._program = program
        self._policies = [] if policies is None else ["--configDir", str(policies)]
        (folder / "kubeconfig").write_text(kubeconfig, encoding="utf-8")

    def _begin(self) -> subprocess.Popen[bytes]:
        web, monitoring = (f"127.0.0.1:{_free_port()}" for _ in range(2))
        (self._folder / "mesh.yaml").write_text(
            "{accessLogFile: /dev/stdout, enableTracing: false}\n", encoding="utf-8"
        )
        command = [str(self._program), "discovery", *self._policies]
        command += ["--registries", "Kubernetes", "--kubeconfig", str(self._folder / "kubeconfig")]
        command += ["--grpcAddr", self.address, "--httpAddr", web, "--monitoringAddr", monitoring]
        command += ["--secureGRPCAddr", "", "--httpsAddr", "", "--meshConfig", str(self._folder / "mesh.yaml")]
        command += ["--log_output_level", "default:error"]
        settings = {"ENABLE_CA_SERVER": "false", "PILOT_CERT_PROVIDER": "none", "PILOT_ENABLE_STATUS": "false"}
        with (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env={**os.environ, **settings}, stdout=log, stderr=log, cwd=self._folder
            )
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{web}/ready", timeout=1):
                return process
            time.sleep(0.02)
        process.kill()
        process.wait()
        raise CommandError(f"istiod does not serve: {(self._folder / 'log').read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

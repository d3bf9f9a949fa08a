"""A stack whose machines are a cluster with the mesh in it, spoken to by kubectl and by its gateway."""

import http.client
import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.support.kubectl import kubectl
from tests.support.stacks import ROOT, Reply, Stack

PATIENCE = 180
"""Seconds for whatever is waited for: a machine may be busy."""


class ClusterStack(Stack):
    """See the module's docstring. Nothing of it stands on a machine: all is asked from here."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.login = ROOT / ".meshwright" / name / "kubeconfig"

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """With the operator's own login."""
        return kubectl(self.login, *arguments, stdin=stdin, check=check)

    def get(self, *arguments: str) -> Any:
        """Objects."""
        return json.loads(self.kubectl("get", *arguments, "--output=json").stdout)

    def pods(self, selector: str, namespace: str = "default") -> list[dict[str, Any]]:
        """Those that are not about to end."""
        found = self.get("pods", f"--selector={selector}", f"--namespace={namespace}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def control(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The ``mesh`` command beside the control plane."""
        command = ["exec", "--namespace=istio-system", "deployment/meshwright-control", "--", "/usr/bin/python3", "-I"]
        socket = ["--socket", "/run/meshwright/control.sock"]
        return self.kubectl(*command, "-m", "mesh_cli", *arguments, *socket, check=check)

    @property
    def entrance(self) -> tuple[str, int]:
        """The proxy that leads to the machines' network."""
        found = yaml.safe_load(self.login.read_text())["clusters"][0]["cluster"]["proxy-url"]
        parts = urlsplit(found)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def connection(self, address: str, port: int, seconds: float = 60.0) -> http.client.HTTPConnection:
        """To an address of the machines' network."""
        made = http.client.HTTPConnection(*self.entrance, timeout=seconds)
        made.set_tunnel(address, port)
        return made

    def ask(
        self, method: str, path: str, host: str, body: Any = None, *, at: str = "", fields: dict[str, str] | None = None
    ) -> Reply:
        """A request to the gateway at its external address (or to ``at``)."""
        parts = urlsplit(f"http://{at}" if at else self.gateway)
        assert parts.hostname is not None
        sent = {"Host": host, **(fields or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        connection = self.connection(parts.hostname, parts.port or 80)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, answer.read().decode())
        finally:
            connection.close()

    @property
    def gateway(self) -> str:
        """URL of the ingress gateway."""
        return str(self.outputs()["gateway"])

    def until(self, what: str, ask: Callable[[], bool]) -> None:
        """Asks again and again until it is so."""
        deadline = time.monotonic() + PATIENCE
        while not ask():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
            time.sleep(0.2)

    @contextmanager
    def load(self, path: str, host: str) -> Iterator[Counter[object]]:
        """Constant load while this is open: what was answered, by status, and failures by their words."""
        seen: Counter[object] = Counter()
        ended = threading.Event()
        address = urlsplit(self.gateway)

        def ask() -> None:
            assert address.hostname is not None
            connection = self.connection(address.hostname, address.port or 80, 30.0)
            while not ended.is_set():
                try:
                    connection.request("GET", path, headers={"Host": host})
                    answer = connection.getresponse()
                    answer.read()
                    seen[answer.status] += 1
                    if answer.getheader("connection", "").lower() == "close":
                        connection.close()
                        connection = self.connection(address.hostname, address.port or 80, 30.0)
                except (OSError, http.client.HTTPException) as error:
                    seen[f"{type(error).__name__}: {error}"] += 1
                    connection.close()
                    connection = self.connection(address.hostname, address.port or 80, 30.0)
                ended.wait(0.02)
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            ended.set()
            for thread in threads:
                thread.join()

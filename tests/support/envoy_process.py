"""A real Envoy with a static configuration."""

import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

from mesh_api.config import ProxyConfig
from tests.support.envoy_bootstrap import bootstrap
from tests.support.raw_http import Client
from tests.support.worker_process import LIMIT


class EnvoyProcess:
    """Serves when made; its files lie in ``folder``. Use as a context manager.

    ``config`` is a configuration, or a bootstrap as it stands but for the administration.
    """

    def __init__(self, program: Path, folder: Path, config: ProxyConfig | dict[str, Any]) -> None:
        value = _static(config) if isinstance(config, ProxyConfig) else dict(config)
        value["admin"] = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
        file, address = folder / "envoy.json", folder / "admin"
        file.write_text(json.dumps(value))
        os.mkfifo(address)
        reading = os.open(address, os.O_RDONLY | os.O_NONBLOCK)
        command = [program, "-c", file, "--use-dynamic-base-id", "--concurrency", "1", "--admin-address-path", address]
        command += ["--file-flush-interval-msec", "10", "-l", "warning"]
        self.log = folder / "envoy.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            ended = os.pidfd_open(self.process.pid)
            told = select.select([reading, ended], [], [], LIMIT)[0]
            os.close(ended)
            assert reading in told, self.log.read_text()
            self.admin = int(os.read(reading, 100).rpartition(b":")[2])
            while self.ask("/ready") != b"LIVE\n":
                assert self.process.poll() is None, self.log.read_text()
        except BaseException as error:
            self.close()
            if isinstance(
                error, ConnectionError
            ):  # a configuration is refused when the administration is there already
                raise AssertionError(self.log.read_text()) from error
            raise
        finally:
            os.close(reading)

    def __enter__(self) -> "EnvoyProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, path: str) -> bytes:
        """A page of its administration."""
        with Client(self.admin) as client:
            return client.get(path).body

    def port(self, listener: str) -> int:
        """The port that a listener got."""
        found = json.loads(self.ask("/listeners?format=json"))["listener_statuses"]
        addresses = {one["name"]: one["local_address"]["socket_address"]["port_value"] for one in found}
        return int(addresses[listener])

    def close(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)


def _static(config: ProxyConfig) -> dict[str, Any]:
    value = bootstrap(config.listeners, config.clusters)
    del value["dynamic_resources"]  # it is named so that resources are complete; nobody is to be asked
    value["static_resources"]["clusters"] = value["static_resources"]["clusters"][1:]
    return value

"""A real Envoy that answers over HTTP/2 by itself, and logs what it thinks of each request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_api.config import AccessLog
from mesh_api.config.routes import DirectResponse
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import http_config, route

LOG = "%DOWNSTREAM_REMOTE_ADDRESS% %RESPONSE_CODE_DETAILS%\n"


class Envoy:
    """Its ``port``, and the file of its access ``log``, whose lines are :data:`LOG`."""

    def __init__(self, process: EnvoyProcess, log: Path) -> None:
        self.port = process.port("http")
        self.log = log


@pytest.fixture(scope="module")
def envoy_server(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Envoy]:
    folder = tmp_path_factory.mktemp("envoy")
    log = folder / "access.log"
    routes = (route("/", DirectResponse(200, b"hello")),)
    config = http_config(routes, (), codec="HTTP2", access_logs=(AccessLog(str(log), text_format=LOG),))
    with EnvoyProcess(envoy, folder, config) as process:
        yield Envoy(process, log)

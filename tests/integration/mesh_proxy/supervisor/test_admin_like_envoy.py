"""The admin interface of a real Envoy and of ours: the same statuses, and where the same is told, the same words."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import Listener, ProxyConfig, SocketAddress
from mesh_api.xds.session import Synced
from tests.integration.mesh_proxy.worker.test_access_log_like_envoy import SERVER, DownstreamTls, common
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import ANY_PORT, FilterChain, cluster, host, http_listener, manager, route

pytestmark = pytest.mark.integration


def config(port: int = 0, other: int = 0) -> ProxyConfig:
    address = SocketAddress("127.0.0.1", port)
    chain = FilterChain(manager((host(route()),)), tls=DownstreamTls(common(SERVER), True))
    listeners = (
        replace(http_listener(host(route())), address=address),
        Listener("secured", replace(ANY_PORT, port=other), (chain,)),
    )
    return ProxyConfig(listeners, clusters=(cluster("backend", 1),))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, envoy: Path) -> Iterator[EnvoyProcess]:
    with EnvoyProcess(envoy, tmp_path_factory.mktemp("envoy"), config()) as process:
        yield process


def asked(port: int, method: str, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, (answer.headers["content-type"] or "").lower().partition(";")[0], answer.read().decode()


SAME_WORDS = [
    ("GET", "/logging"),
    ("GET", "/quitquitquit"),
    ("GET", "/reset_counters"),
    ("GET", "/drain_listeners"),
    ("GET", "/healthcheck/fail"),
    ("GET", "/reopen_logs"),
    ("POST", "/reset_counters"),
    ("POST", "/reopen_logs"),
    ("GET", "/ready"),
    ("POST", "/ready"),
    ("POST", "/healthcheck/fail"),
    ("GET", "/ready"),
    ("POST", "/healthcheck/ok"),
    ("GET", "/ready"),
    ("GET", "/stats?type=nope"),
    ("GET", "/stats?filter=none.of.them"),
    ("GET", "/runtime"),
    ("GET", "/init_dump"),
    ("GET", "/certs"),
    ("GET", "/config_dump?mask=nope"),
    ("GET", "/config_dump?resource=static_route_configs&mask=route_config.name"),
    ("GET", "/config_dump?mask=static_route_configs&name_regex=none"),
]
SAME_STATUS = [
    *(
        ("GET", path)
        for path in ("/", "/help", "/unknown", "/server_info", "/memory", "/listeners", "/clusters", "/stats")
    ),
    ("GET", "/stats?format=json"),
    ("GET", "/stats?format=nope"),
    ("GET", "/stats/prometheus?usedonly"),
    ("GET", "/stats?filter=["),
    ("GET", "/listeners?format=json"),
    ("GET", "/config_dump?resource=nope"),
    ("GET", "/config_dump?name_regex=["),
    ("GET", "/hot_restart_version"),
    ("POST", "/logging"),
    ("POST", "/logging?level=nope"),
    ("POST", "/logging?nope=debug"),
    ("POST", "/logging?paths=a:b"),
    ("POST", "/logging?level=trace"),
    ("POST", "/stats"),
    ("POST", "/unknown"),
]


def read(body: str) -> Any:
    return json.loads(body) if body.startswith("{") else body.rstrip("\n")


async def test_pages_are_those_of_envoy(
    real: EnvoyProcess, control_plane: Any, start_proxy: Any, bootstrap_of: Any, unused_tcp_port_factory: Any
) -> None:
    control_plane.push(config(unused_tcp_port_factory(), unused_tcp_port_factory()))
    proxy = await start_proxy(bootstrap_of(control_plane.port), real=True)
    await control_plane.event(Synced)
    await proxy.logged("ready: 2 workers")
    for method, path in SAME_WORDS:
        theirs, ours = asked(real.admin, method, path), asked(proxy.ports["admin"], method, path)
        assert (path, *ours[:2], read(ours[2])) == (path, *theirs[:2], read(theirs[2]))
    for method, path in SAME_STATUS:
        theirs, ours = asked(real.admin, method, path), asked(proxy.ports["admin"], method, path)
        assert (method, path, ours[0]) == (method, path, theirs[0])
        first, own = (text.partition("\n")[0] for text in (theirs[2], ours[2]))
        assert own == first or not first.startswith(("invalid path", "error: "))

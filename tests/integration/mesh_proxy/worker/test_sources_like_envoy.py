"""Hosts see where clients come from (``original_src``), and connections keep where they were going (``transparent``): a real
Envoy and ours under one bootstrap. Needs ``CAP_NET_ADMIN``."""

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parity.configuration import HTTP, ROUTER, TCP, address
from tests.parity.sides import ROOT, OurProcess, envoy_start
from tests.support.ports import free_port
from tests.support.raw_http import Client
from tests.support.redirected import ORIGINAL_SRC, Answering

pytestmark = pytest.mark.integration
IP_TRANSPARENT = 19


def allowed() -> bool:
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
        except PermissionError:
            return False
    return True


@pytest.fixture
def server() -> Iterator[Answering]:
    with contextlib.closing(Answering()) as made:
        yield made


def document(ports: dict[str, int], server: int) -> dict[str, Any]:
    source = {"name": "src", "typed_config": {"@type": ORIGINAL_SRC, "mark": 1337}}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "servers"}}]
    manager = {
        "@type": HTTP,
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    tcp = {"@type": TCP, "stat_prefix": "tcp", "cluster": "servers"}

    def listener(name: str, config: Any, **fields: Any) -> Any:
        chain = {"filters": [{"name": name, "typed_config": config}]}
        return {"name": name, "address": address(ports[name]), "filter_chains": [chain], **fields}

    hosts = [{"endpoint": {"address": address(server)}}]
    assignment = {"cluster_name": "servers", "endpoints": [{"lb_endpoints": hosts}]}
    return {
        "node": {"id": "a", "cluster": "a"},
        "static_resources": {
            "listeners": [
                listener("http", manager, listener_filters=[source]),
                listener("tcp", tcp, listener_filters=[source], transparent=True),
                listener("plain", manager),
            ],
            "clusters": [{"name": "servers", "type": "STATIC", "load_assignment": assignment}],
        },
    }


def ask(port: int, source: str, times: int = 1) -> list[str]:
    """What is heard from ``source``."""
    with Client(port, source=source) as client:
        return [client.get().body.decode() for _ in range(times)]


@pytest.mark.skipif(not allowed(), reason="connections from other addresses need CAP_NET_ADMIN")
@pytest.mark.parametrize("program", ["envoy", "ours"])
def test_hosts_see_the_client(program: str, tmp_path: Path, envoy: Path, server: Answering) -> None:
    ports = {name: free_port() for name in ("http", "tcp", "plain")}
    start = OurProcess if program == "ours" else envoy_start(envoy)
    proxy = start(tmp_path, document(ports, server.port))
    try:
        assert ask(ports["http"], "127.0.0.5", 2) == ["127.0.0.5 1", "127.0.0.5 2"]
        assert ask(ports["http"], "127.0.0.6") == ["127.0.0.6 1"]  # not on the connection of another
        assert ask(ports["http"], "127.0.0.5") == ["127.0.0.5 3"]
        assert ask(ports["tcp"], "127.0.0.5") == ["127.0.0.5 1"]
        assert ask(ports["plain"], "127.0.0.5") == ["127.0.0.1 1"]
    finally:
        proxy.close()


@pytest.mark.skipif(not allowed(), reason="rules for redirected connections need CAP_NET_ADMIN")
@pytest.mark.parametrize("program", ["envoy", "ours"])
def test_redirected_connections_keep_both_addresses(program: str, envoy: Path) -> None:
    for tool in ("unshare", "nft", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool}")
    command = ["unshare", "-n", sys.executable, "-m", "tests.support.redirected"]
    wanted = [] if program == "ours" else [str(envoy)]
    done = subprocess.run([*command, *wanted], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "127.0.0.5 1\n", done.stderr

"""More connections than a bootstrap allows: what a real Envoy does with the same file, and what our proxy does."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity.configuration import HTTP
from tests.parity.sides import OurProcess, envoy_start
from tests.support.ports import free_port
from tests.support.raw_http import Client

pytestmark = pytest.mark.integration
TYPE = "type.googleapis.com/"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{TYPE}envoy.extensions.filters.http.router.v3.Router"},
}
MONITOR = f"{TYPE}envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"


def document(port: int, **more: Any) -> dict[str, Any]:
    """A listener ``front`` that answers by itself."""
    routes = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    manager = {
        "@type": HTTP,
        "stat_prefix": "front",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [ROUTER],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "static_resources": {"listeners": [{"name": "front", "address": address, "filter_chains": [chain]}]},
        **more,
    }


WHOLE = {
    "overload_manager": {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {"@type": MONITOR, "max_active_downstream_connections": 3},
            }
        ]
    }
}
OF_LISTENER = {
    "layered_runtime": {
        "layers": [
            {"name": "static", "static_layer": {"envoy.resource_limits.listener.front.connection_limit": 3}},
        ]
    }
}
CASES = {
    "of the whole proxy": (WHOLE, "downstream_global_cx_overflow"),
    "of a listener": (OF_LISTENER, "downstream_cx_overflow"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("program", ["envoy", "ours"])
def test_what_is_too_much_is_shed(case: str, program: str, tmp_path: Path, envoy: Path) -> None:
    more, counter = CASES[case]
    port = free_port()
    start = OurProcess if program == "ours" else envoy_start(envoy)
    proxy = start(tmp_path, document(port, **more))
    with contextlib.ExitStack() as stack:
        stack.callback(proxy.close)
        clients = [stack.enter_context(Client(port)) for _ in range(3)]
        assert [client.get().status for client in clients] == [200] * 3
        shed = [stack.enter_context(Client(port)) for _ in range(4)]
        assert all(client.ended() for client in shed)
        assert [client.get().status for client in clients] == [200] * 3
        with Client(proxy.admin) as admin:
            page = admin.get(f"/stats?format=json&filter={counter}", host="localhost").body
        found = {one["name"]: one["value"] for one in json.loads(page)["stats"] if "name" in one}
        assert found[f"listener.127.0.0.1_{port}.{counter}"] == 4
        clients[0].sock.close()
        assert any(_answers(port) for _ in range(100))


def _answers(port: int) -> bool:
    """Whether one more connection is served."""
    with Client(port) as client, contextlib.suppress(OSError, AssertionError):
        client.ask()
        return client.more()
    return False

"""The configuration as Envoy's admin interface shows it."""

import json
from typing import Any

import pytest

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    FilterChain,
    HttpConnectionManager,
    Listener,
    PipeAddress,
    ProxyConfig,
    RouteConfiguration,
    RouterFilter,
    SocketAddress,
    TcpProxy,
)
from mesh_api.node import Node
from mesh_api.xds.type_urls import CLUSTER, LISTENER, ROUTE
from mesh_proxy.bootstrap import Bootstrap, ProxySettings
from mesh_proxy.supervisor.dumps import (
    REDACTED,
    Dumped,
    UnknownResourceError,
    config_dump,
    config_dump_of,
    listeners_json,
    listeners_text,
    redacted,
)

STATIC = ProxyConfig(clusters=(Cluster("s", ClusterType.STATIC),))
HIDDEN = Listener("virtual", SocketAddress("0.0.0.0", 80), bind_to_port=False)
PIPE = Listener("pipe", PipeAddress("/run/x"), (FilterChain(TcpProxy("t", "s")),))
CONFIG = ProxyConfig(
    listeners=(PIPE, HIDDEN),
    routes=(RouteConfiguration("80"),),
    clusters=(Cluster("d", ClusterType.EDS), *STATIC.clusters),
    endpoints=(ClusterLoadAssignment("d"),),
)
DUMPED = Dumped(
    Bootstrap(Node("n"), ProxySettings(1), static=STATIC, document={"node": {"id": "n"}}),
    CONFIG,
    {CLUSTER: "7", LISTENER: "8", ROUTE: "9"},
)


def by_type(dump: dict[str, Any]) -> dict[str, Any]:
    return {config["@type"].rpartition(".")[2]: config for config in dump["configs"]}


def test_static_and_dynamic_are_apart() -> None:
    dump = by_type(config_dump(DUMPED))
    clusters = dump["ClustersConfigDump"]
    assert clusters["version_info"] == "7"
    assert [each["cluster"]["name"] for each in clusters["static_clusters"]] == ["s"]
    assert [each["cluster"]["name"] for each in clusters["dynamic_active_clusters"]] == ["d"]
    assert [each["name"] for each in dump["ListenersConfigDump"]["dynamic_listeners"]] == ["pipe", "virtual"]
    assert dump["RoutesConfigDump"]["dynamic_route_configs"][0]["version_info"] == "9"
    assert dump["BootstrapConfigDump"]["bootstrap"] == {"node": {"id": "n"}}


def test_what_is_empty_is_left_out() -> None:
    assert by_type(config_dump(DUMPED, keep=lambda name: name == "s"))["ListenersConfigDump"].keys() == {
        "@type",
        "version_info",
    }


def test_inline_routes_are_static() -> None:
    manager = HttpConnectionManager("h", (RouterFilter(),), route_config=RouteConfiguration("inline"))
    config = ProxyConfig(listeners=(Listener("l", SocketAddress("127.0.0.1", 80), (FilterChain(manager),)),))
    (item,) = config_dump_of(Dumped(DUMPED.bootstrap, config, {}), "static_route_configs")["configs"]
    assert item["route_config"]["name"] == "inline"


def test_endpoints_are_shown_when_asked_for() -> None:
    assert "EndpointsConfigDump" not in by_type(config_dump(DUMPED))
    shown = by_type(config_dump(DUMPED, include_endpoints=True))["EndpointsConfigDump"]
    assert shown["dynamic_endpoint_configs"][0]["endpoint_config"]["cluster_name"] == "d"


def test_one_list_of_the_dump() -> None:
    (item,) = config_dump_of(DUMPED, "static_clusters")["configs"]
    assert item["@type"].endswith("ClustersConfigDump.StaticCluster")
    assert config_dump_of(DUMPED, "static_clusters", lambda name: name != "s") == {"configs": []}
    with pytest.raises(UnknownResourceError, match="secrets not found"):
        config_dump_of(DUMPED, "secrets")


def test_secrets_are_not_shown() -> None:
    headers = [{"key": "Authorization", "value": "Bearer t"}, {"key": "x", "value": "y"}]
    assert redacted({"initial_metadata": headers}) == {
        "initial_metadata": [{"key": "Authorization", "value": REDACTED}, {"key": "x", "value": "y"}]
    }


def test_listeners_that_are_bound() -> None:
    assert listeners_text(CONFIG.listeners) == "pipe::/run/x\n"
    assert listeners_json(CONFIG.listeners) == {
        "listener_statuses": [{"name": "pipe", "local_address": {"pipe": {"path": "/run/x"}}}]
    }


def test_of_keys_is_shown_what_everybody_may_know() -> None:
    keys = {
        "keys": [
            {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
            {"kty": "EC", "crv": "P-256", "x": "AA", "y": "BB", "d": "CC"},
        ]
    }
    shown = redacted({"providers": {"p": {"local_jwks": {"inline_string": json.dumps(keys)}}}})
    found = json.loads(shown["providers"]["p"]["local_jwks"]["inline_string"])["keys"]
    assert found == [
        {"kty": "oct", "k": "[redacted]", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "BB", "d": "[redacted]"},
    ]


@pytest.mark.parametrize("text", ["[" * 6000, "{}", '{"keys": [1]}', "not JSON"])
def test_what_is_no_set_of_keys_is_not_shown(text: str) -> None:
    assert redacted({"local_jwks": {"inline_string": text}}) == {"local_jwks": {"inline_string": "[redacted]"}}

"""Configuration as Envoy's admin interface shows it (``envoy.admin.v3``). Pure: values in, JSON values out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh_api.config import HttpConnectionManager, Listener, PipeAddress, ProxyConfig, SocketAddress
from mesh_api.config.proxy_config import filter_chains
from mesh_api.xds.json import resource_to_json
from mesh_api.xds.resources import BY_CONFIG, Resource
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, PREFIX, ROUTE
from mesh_proxy.bootstrap import Bootstrap

ADMIN: Final = PREFIX + "envoy.admin.v3."
REDACTED: Final = "[redacted]"
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})

Json = dict[str, Any]


class UnknownResourceError(LookupError):
    """``?resource=`` names something that the dump does not have."""


@dataclass(frozen=True, slots=True)
class Dumped:
    """What is in force, with the version of each type and the bootstrap."""

    bootstrap: Bootstrap
    config: ProxyConfig
    versions: Mapping[str, str]


def config_dump(dumped: Dumped, *, include_endpoints: bool = False, keep: Callable[[str], bool] | None = None) -> Json:
    """``GET /config_dump``; ``keep`` chooses resources by name (``?name_regex=``)."""
    chosen = keep or (lambda _: True)
    configs = [
        {"@type": ADMIN + "BootstrapConfigDump", "bootstrap": redacted(dumped.bootstrap.document)},
        _clusters(dumped, chosen),
        *([_endpoints(dumped, chosen)] if include_endpoints else []),
        _listeners(dumped, chosen),
        _routes(dumped, chosen),
    ]
    # Protobuf's JSON leaves out what is empty.
    return {"configs": [{name: value for name, value in config.items() if value} for config in configs]}


def config_dump_of(dumped: Dumped, resource: str, keep: Callable[[str], bool] | None = None) -> Json:
    """``GET /config_dump?resource=dynamic_listeners``: one list of the dump, each item with its type.

    Raises :class:`UnknownResourceError`.
    """
    item_type = _ITEM_TYPES.get(resource)
    if item_type is None:
        raise UnknownResourceError(f"{resource} not found in config dump; there are {', '.join(_ITEM_TYPES)}")
    for config in config_dump(dumped, include_endpoints=True, keep=keep)["configs"]:
        if resource in config:
            return {"configs": [{"@type": ADMIN + item_type, **item} for item in config[resource]]}
    return {"configs": []}


_ITEM_TYPES: Final = {
    "static_clusters": "ClustersConfigDump.StaticCluster",
    "dynamic_active_clusters": "ClustersConfigDump.DynamicCluster",
    "static_listeners": "ListenersConfigDump.StaticListener",
    "dynamic_listeners": "ListenersConfigDump.DynamicListener",
    "static_route_configs": "RoutesConfigDump.StaticRouteConfig",
    "dynamic_route_configs": "RoutesConfigDump.DynamicRouteConfig",
    "dynamic_endpoint_configs": "EndpointsConfigDump.DynamicEndpointConfig",
}


def redacted(value: Any) -> Any:
    """``value`` without secrets: what an ``authorization`` header or a field named like a secret says."""
    if isinstance(value, Mapping):
        if str(value.get("key", "")).lower() in _SECRET_HEADERS and "value" in value:
            return {**value, "value": REDACTED}
        return {name: redacted(each) for name, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return value


def listeners_json(listeners: Iterable[Listener]) -> Json:
    """``GET /listeners?format=json``: the ones that are bound."""
    return {
        "listener_statuses": [
            {"name": listener.name, "local_address": address_json(listener.address)}
            for listener in listeners
            if listener.bind_to_port
        ]
    }


def listeners_text(listeners: Iterable[Listener]) -> str:
    """``GET /listeners``: ``name::address:port`` lines."""
    return "".join(f"{listener.name}::{listener.address}\n" for listener in listeners if listener.bind_to_port)


def address_json(address: SocketAddress | PipeAddress) -> Json:
    """``core.v3.Address``."""
    if isinstance(address, PipeAddress):
        return {"pipe": {"path": address.path}}
    return {"socket_address": {"address": address.address, "port_value": address.port}}


def typed_json(resource: Resource) -> Json:
    """A resource as ``Any`` in JSON."""
    return {"@type": BY_CONFIG[type(resource)].type_url, **resource_to_json(resource)}


def _clusters(dumped: Dumped, keep: Callable[[str], bool]) -> Json:
    static = {cluster.name for cluster in dumped.bootstrap.static.clusters}
    version = dumped.versions.get(CLUSTER, "")
    shown = [cluster for cluster in dumped.config.clusters if keep(cluster.name)]
    return {
        "@type": ADMIN + "ClustersConfigDump",
        "version_info": version,
        "static_clusters": [{"cluster": typed_json(each)} for each in shown if each.name in static],
        "dynamic_active_clusters": [
            {"version_info": version, "cluster": typed_json(each)} for each in shown if each.name not in static
        ],
    }


def _listeners(dumped: Dumped, keep: Callable[[str], bool]) -> Json:
    static = {listener.name for listener in dumped.bootstrap.static.listeners}
    version = dumped.versions.get(LISTENER, "")
    shown = [listener for listener in dumped.config.listeners if keep(listener.name)]
    return {
        "@type": ADMIN + "ListenersConfigDump",
        "version_info": version,
        "static_listeners": [{"listener": typed_json(each)} for each in shown if each.name in static],
        "dynamic_listeners": [
            {"name": each.name, "active_state": {"version_info": version, "listener": typed_json(each)}}
            for each in shown
            if each.name not in static
        ],
    }


def _routes(dumped: Dumped, keep: Callable[[str], bool]) -> Json:
    """Routes that stand inside of a listener are static, whoever the listener came from."""
    version = dumped.versions.get(ROUTE, "")
    inline = [
        chain.filter.route_config
        for listener in dumped.config.listeners
        for chain in filter_chains(listener)
        if isinstance(chain.filter, HttpConnectionManager) and chain.filter.route_config is not None
    ]
    return {
        "@type": ADMIN + "RoutesConfigDump",
        "static_route_configs": [{"route_config": typed_json(each)} for each in inline if keep(each.name)],
        "dynamic_route_configs": [
            {"version_info": version, "route_config": typed_json(each)}
            for each in dumped.config.routes
            if keep(each.name)
        ],
    }


def _endpoints(dumped: Dumped, keep: Callable[[str], bool]) -> Json:
    version = dumped.versions.get(ENDPOINT, "")
    return {
        "@type": ADMIN + "EndpointsConfigDump",
        "dynamic_endpoint_configs": [
            {"version_info": version, "endpoint_config": typed_json(each)}
            for each in dumped.config.endpoints
            if keep(each.cluster_name)
        ],
    }

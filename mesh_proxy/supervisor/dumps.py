"""Configuration as Envoy's admin interface shows it (``envoy.admin.v3``). Pure: values in, JSON values out."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh_api.config import (
    HttpConnectionManager,
    Listener,
    PipeAddress,
    ProxyConfig,
    Secret,
    SocketAddress,
    TlsCertificate,
)
from mesh_api.config.proxy_config import filter_chains
from mesh_api.config.tokens import SECRET_MEMBERS
from mesh_api.xds.json import resource_to_json
from mesh_api.xds.resources import BY_CONFIG, Resource
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT, LISTENER, PREFIX, ROUTE, SECRET
from mesh_proxy.bootstrap import Bootstrap
from mesh_proxy.supervisor.masks import masked, trimmed

ADMIN: Final = PREFIX + "envoy.admin.v3."
REDACTED: Final = "[redacted]"
NOTHING: Final[Mapping[str, str]] = {}
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
    secrets: tuple[Secret, ...] = ()


def config_dump(
    dumped: Dumped, *, include_endpoints: bool = False, keep: Callable[[str], bool] | None = None, mask: str = ""
) -> Json:
    """``GET /config_dump``; ``keep`` chooses resources by name (``?name_regex=``), ``mask`` parts of them.

    Raises :class:`~mesh_proxy.supervisor.masks.MaskError`.
    """
    chosen = keep or (lambda _: True)
    configs = [
        {"@type": ADMIN + "BootstrapConfigDump", "bootstrap": redacted(dumped.bootstrap.document)},
        _clusters(dumped, chosen),
        *([_endpoints(dumped, chosen)] if include_endpoints else []),
        _listeners(dumped, chosen),
        _routes(dumped, chosen),
        *([_secrets(dumped, chosen)] if dumped.secrets else []),
    ]
    # Protobuf's JSON leaves out what is empty.
    found = [{name: value for name, value in config.items() if value} for config in configs]
    return {"configs": masked(found, mask) if mask else found}


def config_dump_of(dumped: Dumped, resource: str, keep: Callable[[str], bool] | None = None, mask: str = "") -> Json:
    """``GET /config_dump?resource=dynamic_listeners``: one list of the dump, each item with its type, and the parts of it
    that ``mask`` names.

    Raises :class:`UnknownResourceError`.
    """
    item_type = _ITEM_TYPES.get(resource)
    if item_type is None:
        raise UnknownResourceError(f"{resource} not found in config dump; there are {', '.join(_ITEM_TYPES)}")
    for config in config_dump(dumped, include_endpoints=True, keep=keep)["configs"]:
        if resource in config:
            items = [{"@type": ADMIN + item_type, **item} for item in config[resource]]
            return {"configs": [trimmed(item, mask) for item in items] if mask else items}
    return {"configs": []}


_ITEM_TYPES: Final = {
    "static_clusters": "ClustersConfigDump.StaticCluster",
    "dynamic_active_clusters": "ClustersConfigDump.DynamicCluster",
    "static_listeners": "ListenersConfigDump.StaticListener",
    "dynamic_listeners": "ListenersConfigDump.DynamicListener",
    "static_route_configs": "RoutesConfigDump.StaticRouteConfig",
    "dynamic_route_configs": "RoutesConfigDump.DynamicRouteConfig",
    "dynamic_endpoint_configs": "EndpointsConfigDump.DynamicEndpointConfig",
    "dynamic_active_secrets": "SecretsConfigDump.DynamicSecret",
}


def redacted(value: Any) -> Any:
    """``value`` without secrets: what an ``authorization`` header or a field named like a secret says, and keys by which
    tokens can be made as well as verified."""
    if isinstance(value, Mapping):
        if str(value.get("key", "")).lower() in _SECRET_HEADERS and "value" in value:
            return {**value, "value": REDACTED}
        hidden = {"private_key": _key, "local_jwks": _key_set}
        return {name: hidden.get(name, redacted)(each) for name, each in value.items()}
    if isinstance(value, list):
        return [redacted(each) for each in value]
    return value


def _key(value: Any) -> Any:
    """Of a certificate: the name of its file, but not what is in it."""
    if not isinstance(value, Mapping):
        return REDACTED
    return {name: REDACTED if name.startswith("inline") else each for name, each in value.items()}


def _key_set(value: Any) -> Any:
    """Of a set of keys, in the text of a document: what everybody may know."""
    if not isinstance(value, Mapping) or "inline_string" not in value:
        return value
    try:
        keys = json.loads(value["inline_string"])["keys"]
        shown = [{name: REDACTED if name in SECRET_MEMBERS else each for name, each in key.items()} for key in keys]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {**value, "inline_string": REDACTED}
    return {**value, "inline_string": json.dumps({"keys": shown})}


def listeners_json(listeners: Iterable[Listener], bound: Mapping[str, str] = NOTHING) -> Json:
    """``GET /listeners?format=json``: the ones that are bound; ``bound`` has the addresses that they got, by name."""
    return {
        "listener_statuses": [
            {"name": listener.name, "local_address": address_json(_got(listener, bound))}
            for listener in listeners
            if listener.bind_to_port
        ]
    }


def listeners_text(listeners: Iterable[Listener], bound: Mapping[str, str] = NOTHING) -> str:
    """``GET /listeners``: ``name::address:port`` lines."""
    lines = (f"{listener.name}::{_got(listener, bound)}\n" for listener in listeners if listener.bind_to_port)
    return "".join(lines)


def _got(listener: Listener, bound: Mapping[str, str]) -> SocketAddress | PipeAddress:
    """The address of a listener with the port that it has."""
    address = listener.address
    port = bound.get(listener.name, "").rpartition(":")[2]
    if isinstance(address, PipeAddress) or address.port or not port.isdigit():
        return address
    return SocketAddress(address.address, int(port))


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


def _secrets(dumped: Dumped, keep: Callable[[str], bool]) -> Json:
    """Certificates for everybody to see, and nothing of their keys."""
    version = dumped.versions.get(SECRET, "")
    return {
        "@type": ADMIN + "SecretsConfigDump",
        "dynamic_active_secrets": [
            {"name": secret.name, "version_info": version, "secret": _secret(secret)}
            for secret in dumped.secrets
            if keep(secret.name)
        ],
    }


def _secret(secret: Secret) -> Json:
    made: Json = {"@type": SECRET, "name": secret.name}
    if isinstance(secret, TlsCertificate):
        made["tls_certificate"] = {
            "certificate_chain": {"inline_bytes": base64.b64encode(secret.chain).decode()},
            "private_key": {"inline_bytes": base64.b64encode(REDACTED.encode()).decode()},
        }
    else:
        made["validation_context"] = {"trusted_ca": {"inline_bytes": base64.b64encode(secret.roots).decode()}}
    return made


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

"""Listeners and their filter chains (``listener.v3``)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2 as components_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2

from mesh_api.config.authorization import NetworkRbac
from mesh_api.config.connection_filters import ConnectionLimit, ConnectionRateLimit
from mesh_api.config.external_authorization import NetworkExtAuthz
from mesh_api.config.listeners import (
    FilterChain,
    FilterChainMatch,
    Guard,
    HttpConnectionManager,
    Listener,
    NetworkFilter,
    TcpProxy,
    TrafficDirection,
)
from mesh_api.config.service_metrics import ServiceMetrics
from mesh_api.config.sockets import SocketAddress
from mesh_api.xds import (
    connection_filters,
    connection_manager,
    external_authorization,
    forward_proxy,
    service_metrics,
    tcp_proxy,
)
from mesh_api.xds.access_logs import decode_access_log, encode_access_log
from mesh_api.xds.addresses import decode_address, decode_cidr, encode_address, encode_cidr
from mesh_api.xds.authorization import NETWORK_MESSAGE, decode_network_rbac, encode_network_rbac
from mesh_api.xds.connection_manager import decode_connection_manager, encode_connection_manager
from mesh_api.xds.external_authorization import decode_network_ext_authz, encode_network_ext_authz
from mesh_api.xds.fields import Fields
from mesh_api.xds.ignored import IGNORED_TYPES
from mesh_api.xds.listener_filters import decode_listener_filters, encode_listener_filters
from mesh_api.xds.tcp_proxy import decode_tcp_proxy, encode_tcp_proxy
from mesh_api.xds.tls import decode_downstream, encode_socket
from mesh_api.xds.values import boolean, duration, metadata, pack, read_metadata, type_name, uint32, unpack

HTTP: Final = "envoy.filters.network.http_connection_manager"
TCP: Final = "envoy.filters.network.tcp_proxy"
RBAC: Final = "envoy.filters.network.rbac"
MONGO: Final = "envoy.filters.network.mongo_proxy"
EXT_AUTHZ: Final = "envoy.filters.network.ext_authz"
SNI_LOOKUP: Final = "envoy.extensions.filters.network.sni_dynamic_forward_proxy"


def encode_listener(listener: Listener) -> Any:
    """``Listener``."""
    message = listener_pb2.Listener(
        name=listener.name,
        address=encode_address(listener.address),
        filter_chains=[_encode_chain(chain) for chain in listener.filter_chains],
        listener_filters=encode_listener_filters(listener),
        bind_to_port=boolean(listener.bind_to_port, unless=True),
        use_original_dst=boolean(listener.use_original_dst, unless=False),
        traffic_direction=base_pb2.TrafficDirection.Value(listener.traffic_direction.value),
        access_log=[encode_access_log(log) for log in listener.access_logs],
        listener_filters_timeout=duration(listener.listener_filters_timeout),
        continue_on_listener_filters_timeout=listener.continue_on_listener_filters_timeout,
        max_connections_to_accept_per_socket_event=uint32(listener.max_connections_per_event),
        per_connection_buffer_limit_bytes=uint32(listener.per_connection_buffer_limit),
        transparent=boolean(listener.transparent, unless=False),
        additional_addresses=[
            listener_pb2.AdditionalAddress(address=encode_address(address)) for address in listener.additional_addresses
        ],
    )
    if listener.exact_balance:
        message.connection_balance_config.exact_balance.SetInParent()
    if listener.default_filter_chain is not None:
        message.default_filter_chain.CopyFrom(_encode_chain(listener.default_filter_chain))
    return message


def _encode_chain(chain: FilterChain) -> Any:
    match = None if chain.match == FilterChainMatch() else _encode_match(chain.match)
    return components_pb2.FilterChain(
        name=chain.name,
        filter_chain_match=match,
        filters=[
            *map(_encode_guard, chain.guards),
            *_encode_counting(chain.filter),
            _encode_network_filter(chain.filter),
        ],
        transport_socket=None if chain.tls is None else encode_socket(chain.tls),
        transport_socket_connect_timeout=duration(chain.connect_timeout),
        metadata=metadata(chain.metadata),
    )


def _encode_guard(guard: Guard) -> Any:
    if isinstance(guard, NetworkRbac):
        return components_pb2.Filter(name=RBAC, typed_config=pack(encode_network_rbac(guard)))
    if isinstance(guard, NetworkExtAuthz):
        return components_pb2.Filter(name=EXT_AUTHZ, typed_config=pack(encode_network_ext_authz(guard)))
    if isinstance(guard, ServiceMetrics):
        counting = service_metrics.encode_service_metrics(guard)
        return components_pb2.Filter(name=service_metrics.NAME, typed_config=pack(counting))
    if isinstance(guard, ConnectionRateLimit | ConnectionLimit):
        name, gate = connection_filters.encode_gate(guard)
        return components_pb2.Filter(name=name, typed_config=pack(gate))
    config = forward_proxy.encode_sni_forward_proxy(guard)
    return components_pb2.Filter(name=SNI_LOOKUP, typed_config=pack(config))


def _encode_counting(terminal: NetworkFilter) -> list[Any]:
    """The filter that reads along, where one does."""
    if not isinstance(terminal, TcpProxy) or not terminal.mongo_statistics:
        return []
    config = mongo_proxy_pb2.MongoProxy(stat_prefix=terminal.mongo_statistics)
    return [components_pb2.Filter(name=MONGO, typed_config=pack(config))]


def _encode_match(match: FilterChainMatch) -> Any:
    return components_pb2.FilterChainMatch(
        destination_port=uint32(match.destination_port),
        prefix_ranges=[encode_cidr(prefix) for prefix in match.prefix_ranges],
        server_names=match.server_names,
        transport_protocol=match.transport_protocol,
        application_protocols=match.application_protocols,
        source_prefix_ranges=[encode_cidr(prefix) for prefix in match.source_prefix_ranges],
    )


def _encode_network_filter(network_filter: NetworkFilter) -> Any:
    if isinstance(network_filter, HttpConnectionManager):
        return components_pb2.Filter(name=HTTP, typed_config=pack(encode_connection_manager(network_filter)))
    return components_pb2.Filter(name=TCP, typed_config=pack(encode_tcp_proxy(network_filter)))


def decode_listener(fields: Fields) -> Listener:
    """From ``Listener``."""
    with fields as f:
        filters, exemptions, header = decode_listener_filters(f)
        default = f.optional("default_filter_chain")
        return Listener(
            name=f.text("name"),
            address=decode_address(f.child("address")),
            filter_chains=tuple(_decode_chain(chain) for chain in f.children("filter_chains")),
            default_filter_chain=None if default is None else _decode_chain(default),
            listener_filters=filters,
            listener_filter_exemptions=exemptions,
            bind_to_port=f.wrapped_flag("bind_to_port", default=True),
            use_original_dst=f.wrapped_flag("use_original_dst", default=False),
            traffic_direction=TrafficDirection(f.enum("traffic_direction")),
            access_logs=tuple(decode_access_log(log) for log in f.children("access_log")),
            listener_filters_timeout=f.duration("listener_filters_timeout"),
            continue_on_listener_filters_timeout=f.flag("continue_on_listener_filters_timeout"),
            max_connections_per_event=f.wrapped("max_connections_to_accept_per_socket_event"),
            per_connection_buffer_limit=f.wrapped("per_connection_buffer_limit_bytes"),
            transparent=f.wrapped_flag("transparent", default=False),
            additional_addresses=tuple(_decode_additional(address) for address in f.children("additional_addresses")),
            exact_balance=_decode_balance(f.optional("connection_balance_config")),
            proxy_protocol=header,
        )


def _decode_balance(fields: Fields | None) -> bool:
    if fields is None:
        return False
    with fields as f:
        if (kind := f.oneof("balance_type")) != "exact_balance":
            raise f.error("", f"{kind or 'a missing type'} is not supported")
        with f.child(kind):
            return True


def _decode_additional(fields: Fields) -> SocketAddress:
    with fields as f:
        address = decode_address(f.child("address"))
        if not isinstance(address, SocketAddress):
            raise f.error("address", "a pipe is not supported here")
        return address


def _decode_chain(fields: Fields) -> FilterChain:
    with fields as f:
        guards, terminal = _decode_filters(f)
        return FilterChain(
            filter=terminal,
            name=f.text("name"),
            match=_decode_match(f.child("filter_chain_match")),
            guards=guards,
            tls=decode_downstream(f.optional("transport_socket")),
            connect_timeout=f.duration("transport_socket_connect_timeout"),
            metadata=read_metadata(f.optional("metadata")),
        )


def _decode_match(fields: Fields) -> FilterChainMatch:
    with fields as f:
        return FilterChainMatch(
            destination_port=f.wrapped("destination_port"),
            prefix_ranges=tuple(decode_cidr(prefix) for prefix in f.children("prefix_ranges")),
            server_names=f.texts("server_names"),
            transport_protocol=f.text("transport_protocol"),
            application_protocols=f.texts("application_protocols"),
            source_prefix_ranges=tuple(decode_cidr(prefix) for prefix in f.children("source_prefix_ranges")),
        )


_GUARDS: Final[dict[Any, Callable[[Fields], Guard]]] = {
    NETWORK_MESSAGE: decode_network_rbac,
    external_authorization.NETWORK_MESSAGE: decode_network_ext_authz,
    forward_proxy.SNI_MESSAGE: forward_proxy.decode_sni_forward_proxy,
    service_metrics.MESSAGE: service_metrics.decode_service_metrics,
    connection_filters.RATE_LIMIT: connection_filters.decode_rate_limit,
    connection_filters.LIMIT: connection_filters.decode_limit,
}
"""Message of a guard to what reads it."""


def _decode_filters(chain: Fields) -> tuple[tuple[Guard, ...], NetworkFilter]:
    """The filters of a chain that are not ignored by type: guards, and at the end the one that does the work."""
    guards: list[Guard] = []
    found: NetworkFilter | None = None
    mongo = ""
    for entry in chain.children("filters"):
        with entry as f:
            f.text("name")
            packed = f.child("typed_config")
            if found is not None:
                raise f.error("", "comes after the terminal filter")
            if type_name(packed.message) in IGNORED_TYPES:
                continue
            terminal = connection_manager.MESSAGE, tcp_proxy.MESSAGE
            message, config = unpack(packed, (*terminal, mongo_proxy_pb2.MongoProxy, *_GUARDS))
            if message is mongo_proxy_pb2.MongoProxy:
                with config as counting:
                    mongo = counting.text("stat_prefix")
                continue
            if message in _GUARDS:
                guards.append(_GUARDS[message](config))
                continue
            is_http = message is connection_manager.MESSAGE
            found = decode_connection_manager(config) if is_http else decode_tcp_proxy(config)
    if found is None:
        raise chain.error("filters", "no terminal filter")
    if mongo:
        if not isinstance(found, TcpProxy):
            raise chain.error("filters", "MongoDB is read where HTTP is")
        found = replace(found, mongo_statistics=mongo)
    return tuple(guards), found

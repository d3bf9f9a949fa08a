"""Listeners for gRPC's own xDS client: only what that takes (gRFC A27, A30, A36); it refuses what it does not know."""

from typing import Any

from envoy.config.core.v3 import address_pb2, config_source_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2

from mesh_api.config.api_listener import ApiListener
from mesh_api.xds.values import pack


def encode_api_listener(listener: ApiListener) -> bytes:
    """``Listener`` with an API listener, serialized (istiod's ``grpcgen/lds.go``)."""
    filters = [
        hcm_pb2.HttpFilter(name="envoy.filters.http.fault", typed_config=pack(fault_pb2.HTTPFault())),
        hcm_pb2.HttpFilter(name="envoy.filters.http.router", typed_config=pack(router_pb2.Router())),
    ]
    source = config_source_pb2.ConfigSource(ads=config_source_pb2.AggregatedConfigSource())
    manager = hcm_pb2.HttpConnectionManager(
        http_filters=filters, rds=hcm_pb2.Rds(config_source=source, route_config_name=listener.route_name)
    )
    socket = address_pb2.SocketAddress(address=listener.address, port_value=listener.port)
    message: Any = listener_pb2.Listener(
        name=listener.name,
        address=address_pb2.Address(socket_address=socket),
        api_listener=api_listener_pb2.ApiListener(api_listener=pack(manager)),
    )
    return bytes(message.SerializeToString(deterministic=True))

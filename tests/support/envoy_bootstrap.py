"""Bootstraps for a real Envoy."""

from typing import Any

from mesh_api import config as c
from mesh_api.xds.json import resource_to_json


def grpc_cluster(name: str, port: int | None = None) -> dict[str, Any]:
    """A server of gRPC on a port of this machine; without a port nobody is there."""
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }
    if port is not None:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        hosts = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
        cluster["load_assignment"] = {"cluster_name": name, "endpoints": hosts}
    return cluster


def bootstrap(listeners: tuple[c.Listener, ...], clusters: tuple[c.Cluster, ...]) -> dict[str, Any]:
    """A static bootstrap. Discovery is named, so that resources which point at ADS are complete."""
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
    }
    return {
        "node": {"id": "sidecar~127.0.0.1~a.b~c", "cluster": "a"},
        "dynamic_resources": {"ads_config": source},
        "static_resources": {
            "listeners": [resource_to_json(listener) for listener in listeners],
            "clusters": [grpc_cluster("xds-grpc"), *(resource_to_json(cluster) for cluster in clusters)],
        },
    }

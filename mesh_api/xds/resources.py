"""The kinds of resources: one row for each, with its type URL, its class on either side and both directions."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from mesh_api.config.clusters import Cluster
from mesh_api.config.endpoints import ClusterLoadAssignment
from mesh_api.config.listeners import Listener
from mesh_api.config.routes import RouteConfiguration
from mesh_api.xds import type_urls
from mesh_api.xds.clusters import decode_cluster, encode_cluster
from mesh_api.xds.endpoints import decode_assignment, encode_assignment
from mesh_api.xds.fields import Fields
from mesh_api.xds.listeners import decode_listener, encode_listener
from mesh_api.xds.routes import decode_route_configuration, encode_route_configuration

Resource = Listener | RouteConfiguration | Cluster | ClusterLoadAssignment
"""What the four discovery services carry."""


class ResourceKind(NamedTuple):
    """One discovery service. ``section`` is the attribute of :class:`~mesh_api.config.ProxyConfig`, ``noun`` is for errors,
    ``name_field`` holds the resource's name on both sides."""

    type_url: str
    section: str
    noun: str
    name_field: str
    config: type
    message: Any
    encode: Callable[[Any], Any]
    decode: Callable[[Fields], Resource]


KINDS: Final = (
    ResourceKind(
        type_urls.CLUSTER, "clusters", "cluster", "name", Cluster, cluster_pb2.Cluster, encode_cluster, decode_cluster
    ),
    ResourceKind(
        type_urls.ENDPOINT,
        "endpoints",
        "endpoints",
        "cluster_name",
        ClusterLoadAssignment,
        endpoint_pb2.ClusterLoadAssignment,
        encode_assignment,
        decode_assignment,
    ),
    ResourceKind(
        type_urls.LISTENER,
        "listeners",
        "listener",
        "name",
        Listener,
        listener_pb2.Listener,
        encode_listener,
        decode_listener,
    ),
    ResourceKind(
        type_urls.ROUTE,
        "routes",
        "route configuration",
        "name",
        RouteConfiguration,
        route_pb2.RouteConfiguration,
        encode_route_configuration,
        decode_route_configuration,
    ),
)
"""In the order of :data:`mesh_api.xds.type_urls.ADS_ORDER`."""

BY_TYPE_URL: Final = {kind.type_url: kind for kind in KINDS}
BY_CONFIG: Final = {kind.config: kind for kind in KINDS}


def resource_name(resource: Resource) -> str:
    """The name under which discovery asks for ``resource``."""
    return resource.cluster_name if isinstance(resource, ClusterLoadAssignment) else resource.name

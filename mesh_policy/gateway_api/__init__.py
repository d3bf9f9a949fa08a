"""Kinds of the Gateway API (``gateway.networking.k8s.io``, experimental channel of v1.6): one module each.

What they say is checked as kube-apiserver checks it with the official CustomResourceDefinitions: structure, lists that are
sets or maps, and their CEL rules. What is unset is not written; each field tells the default that then holds.
"""

from typing import TYPE_CHECKING

from mesh_policy.lazy_names import lazily

if TYPE_CHECKING:
    from mesh_policy.gateway_api.gateway import Gateway as Gateway
    from mesh_policy.gateway_api.gateway import GatewaySpec as GatewaySpec
    from mesh_policy.gateway_api.gateway_class import GatewayClass as GatewayClass
    from mesh_policy.gateway_api.gateway_class import GatewayClassSpec as GatewayClassSpec
    from mesh_policy.gateway_api.grpc_route import GRPCRoute as GRPCRoute
    from mesh_policy.gateway_api.grpc_route import GrpcRouteSpec as GrpcRouteSpec
    from mesh_policy.gateway_api.http_route import HTTPRoute as HTTPRoute
    from mesh_policy.gateway_api.http_route import HttpRouteSpec as HttpRouteSpec
    from mesh_policy.gateway_api.reference_grant import (
        ReferenceGrant as ReferenceGrant,
    )
    from mesh_policy.gateway_api.reference_grant import (
        ReferenceGrantSpec as ReferenceGrantSpec,
    )
    from mesh_policy.gateway_api.tcp_route import TCPRoute as TCPRoute
    from mesh_policy.gateway_api.tcp_route import TcpRouteSpec as TcpRouteSpec
    from mesh_policy.gateway_api.tls_route import TLSRoute as TLSRoute
    from mesh_policy.gateway_api.tls_route import TlsRouteSpec as TlsRouteSpec

_HOMES = {
    "mesh_policy.gateway_api.gateway": ("Gateway", "GatewaySpec"),
    "mesh_policy.gateway_api.gateway_class": ("GatewayClass", "GatewayClassSpec"),
    "mesh_policy.gateway_api.grpc_route": ("GRPCRoute", "GrpcRouteSpec"),
    "mesh_policy.gateway_api.http_route": ("HTTPRoute", "HttpRouteSpec"),
    "mesh_policy.gateway_api.reference_grant": ("ReferenceGrant", "ReferenceGrantSpec"),
    "mesh_policy.gateway_api.tcp_route": ("TCPRoute", "TcpRouteSpec"),
    "mesh_policy.gateway_api.tls_route": ("TLSRoute", "TlsRouteSpec"),
}
"""Module to the names that this package shows of it; each is imported when it is first asked for."""

__all__, __getattr__, __dir__ = lazily(__name__, _HOMES)

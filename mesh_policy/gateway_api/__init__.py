"""Kinds of the Gateway API (``gateway.networking.k8s.io``, experimental channel of v1.6): one module each.

What they say is checked as kube-apiserver checks it with the official CustomResourceDefinitions: structure, lists that are
sets or maps, and their CEL rules. What is unset is not written; each field tells the default that then holds.
"""

from importlib import import_module
from typing import TYPE_CHECKING

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
    "gateway": ("Gateway", "GatewaySpec"),
    "gateway_class": ("GatewayClass", "GatewayClassSpec"),
    "grpc_route": ("GRPCRoute", "GrpcRouteSpec"),
    "http_route": ("HTTPRoute", "HttpRouteSpec"),
    "reference_grant": ("ReferenceGrant", "ReferenceGrantSpec"),
    "tcp_route": ("TCPRoute", "TcpRouteSpec"),
    "tls_route": ("TLSRoute", "TlsRouteSpec"),
}
"""Module to the names that this package shows of it; each is imported when it is first asked for."""
_HOME_OF = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}

__all__ = [*_HOME_OF]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})

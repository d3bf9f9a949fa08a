"""The one list of policy kinds."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh_policy.base import Policy

GroupKind = tuple[str, str]

_CLASSES: dict[GroupKind, str] = {
    ("gateway.networking.k8s.io", "GRPCRoute"): "mesh_policy.gateway_api.grpc_route:GRPCRoute",
    ("gateway.networking.k8s.io", "Gateway"): "mesh_policy.gateway_api.gateway:Gateway",
    ("gateway.networking.k8s.io", "GatewayClass"): "mesh_policy.gateway_api.gateway_class:GatewayClass",
    ("gateway.networking.k8s.io", "HTTPRoute"): "mesh_policy.gateway_api.http_route:HTTPRoute",
    ("gateway.networking.k8s.io", "ReferenceGrant"): "mesh_policy.gateway_api.reference_grant:ReferenceGrant",
    ("gateway.networking.k8s.io", "TCPRoute"): "mesh_policy.gateway_api.tcp_route:TCPRoute",
    ("gateway.networking.k8s.io", "TLSRoute"): "mesh_policy.gateway_api.tls_route:TLSRoute",
    ("networking.istio.io", "DestinationRule"): "mesh_policy.networking.destination_rule:DestinationRule",
    ("networking.istio.io", "Gateway"): "mesh_policy.networking.gateway:Gateway",
    ("networking.istio.io", "ProxyConfig"): "mesh_policy.networking.proxy_config:ProxyConfig",
    ("networking.istio.io", "ServiceEntry"): "mesh_policy.networking.service_entry:ServiceEntry",
    ("networking.istio.io", "Sidecar"): "mesh_policy.networking.sidecar:Sidecar",
    ("networking.istio.io", "VirtualService"): "mesh_policy.networking.virtual_service:VirtualService",
    ("networking.istio.io", "WorkloadEntry"): "mesh_policy.networking.workload_entry:WorkloadEntry",
    ("networking.istio.io", "WorkloadGroup"): "mesh_policy.networking.workload_group:WorkloadGroup",
    ("security.istio.io", "AuthorizationPolicy"): "mesh_policy.security.authorization_policy:AuthorizationPolicy",
    ("security.istio.io", "PeerAuthentication"): "mesh_policy.security.peer_authentication:PeerAuthentication",
    ("security.istio.io", "RequestAuthentication"): "mesh_policy.security.request_authentication:RequestAuthentication",
    ("telemetry.istio.io", "Telemetry"): "mesh_policy.telemetry.telemetry:Telemetry",
}
"""API group and kind to where its class is: a kind is imported when a document of it is read."""


class _Kinds(Mapping[GroupKind, "type[Policy]"]):
    """The classes, each imported when it is first asked for."""

    def __init__(self) -> None:
        self._found: dict[GroupKind, type[Policy]] = {}

    def __getitem__(self, key: GroupKind) -> "type[Policy]":
        if key not in self._found:
            module, _, name = _CLASSES[key].partition(":")
            self._found[key] = getattr(import_module(module), name)
        return self._found[key]

    def __contains__(self, key: object) -> bool:
        return key in _CLASSES

    def __iter__(self) -> Iterator[GroupKind]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


KINDS: Mapping[GroupKind, "type[Policy]"] = _Kinds()
"""API group and kind to its class. Two groups have a kind named Gateway."""

GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "gateway.networking.k8s.io")
"""API groups that say something about traffic."""


_NAMES = frozenset(kind for _, kind in _CLASSES)


def kind_names() -> list[str]:
    """The names of all kinds, sorted, each once."""
    return sorted(_NAMES)


def is_policy(group: str, kind: str) -> bool:
    """Whether an object says something about traffic: it is taken or refused by name, never passed over.

    Every group of Istio's, the Gateway API, and our kinds below a group that is misspelt.
    """
    return group.endswith(("istio.io", "gateway.networking.k8s.io")) or kind in _NAMES

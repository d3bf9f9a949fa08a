"""All objects of the Gateway API of a mesh at once."""

from collections.abc import Iterable, Sequence

from mesh_control.gateway_api import routes
from mesh_control.gateway_api.converted import AttachedRules, Converted, Surroundings
from mesh_control.gateway_api.listeners import OpenListener, opened
from mesh_control.gateway_api.parents import Parents
from mesh_policy import Policy, ServiceEntry
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.gateway_class import GatewayClass
from mesh_policy.gateway_api.grpc_route import GRPCRoute
from mesh_policy.gateway_api.http_route import HTTPRoute
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.gateway_api.tcp_route import TCPRoute
from mesh_policy.gateway_api.tls_route import TLSRoute

ROUTES = (HTTPRoute, GRPCRoute, TCPRoute, TLSRoute)


def convert(policies: Iterable[Policy], around: Surroundings) -> Converted:
    """What Istio makes of the Gateways and routes among the policies."""
    kept = [
        policy
        for policy in policies
        if isinstance(policy, (Gateway, *ROUTES, GatewayClass, ReferenceGrant, ServiceEntry))
    ]
    if not any(isinstance(policy, (Gateway, *ROUTES)) for policy in kept):
        return Converted()
    grants = [policy for policy in kept if isinstance(policy, ReferenceGrant)]
    listeners = opened(
        [policy for policy in kept if isinstance(policy, Gateway)],
        [policy for policy in kept if isinstance(policy, GatewayClass)],
        grants,
        around,
    )
    entries = {(p.metadata.namespace, p.metadata.name): p for p in kept if isinstance(p, ServiceEntry)}
    parents = Parents(_by_gateway(listeners), entries, around)
    return Converted(tuple(item.made for item in listeners if item.valid), tuple(_rules(kept, parents, grants)))


def _by_gateway(listeners: Sequence[OpenListener]) -> dict[tuple[str, str], list[OpenListener]]:
    found: dict[tuple[str, str], list[OpenListener]] = {}
    for item in listeners:
        own = item.gateway.metadata
        found.setdefault((own.namespace, own.name), []).append(item)
    return found


def _rules(policies: Sequence[Policy], parents: Parents, grants: Sequence[ReferenceGrant]) -> list[AttachedRules]:
    return [
        *routes.http((p for p in policies if isinstance(p, HTTPRoute | GRPCRoute)), parents, grants),
        *routes.tcp((p for p in policies if isinstance(p, TCPRoute)), parents, grants),
        *routes.tls((p for p in policies if isinstance(p, TLSRoute)), parents, grants),
    ]

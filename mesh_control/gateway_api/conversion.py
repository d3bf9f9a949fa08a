"""All objects of the Gateway API of a mesh at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mesh_control.gateway_api import routes
from mesh_control.gateway_api.converted import AttachedRules, Converted, Surroundings
from mesh_control.gateway_api.listeners import OpenListener, opened, our_classes
from mesh_control.gateway_api.parents import Parents
from mesh_policy import Policy, ServiceEntry
from mesh_policy.gateway_api.attachment import Route
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
    found = objects(policies, around)
    if not found.gateways and not found.routes:
        return Converted()
    listeners = [item for items in found.parents.listeners.values() for item in items]
    rules = _rules(found.routes, found.parents, found.grants)
    return Converted(tuple(item.made for item in listeners if item.valid), tuple(rules))


@dataclass(frozen=True, slots=True)
class Objects:
    """The objects of the Gateway API of a mesh. ``gateways`` are its own alone, those of ``classes``; ``parents`` is what
    routes attach to."""

    gateways: tuple[Gateway, ...]
    routes: tuple[Route, ...]
    grants: tuple[ReferenceGrant, ...]
    parents: Parents
    classes: frozenset[str] = frozenset()
    _routes_of: dict[tuple[str, str], list[Route]] = field(default_factory=dict, compare=False, repr=False)

    def routes_of(self, place: tuple[str, str]) -> Sequence[Route]:
        """The routes that name a Gateway (namespace and name) as a parent, each once."""
        if not self._routes_of:
            for route in self.routes:
                own = route.metadata.namespace
                targets = (ref.target for ref in route.spec.parent_refs or ())
                for named in {(namespace or own, name) for _, _, namespace, name in targets}:
                    self._routes_of.setdefault(named, []).append(route)
        return self._routes_of.get(place, ())


def objects(policies: Iterable[Policy], around: Surroundings) -> Objects:
    """What conversion, and what objects are told about themselves, start from."""
    kept = [p for p in policies if isinstance(p, (Gateway, *ROUTES, GatewayClass, ReferenceGrant, ServiceEntry))]
    grants = tuple(policy for policy in kept if isinstance(policy, ReferenceGrant))
    classes = [policy for policy in kept if isinstance(policy, GatewayClass)]
    own = our_classes(classes, around)
    gateways = tuple(p for p in kept if isinstance(p, Gateway) and p.spec.gateway_class_name in own)
    entries = {(p.metadata.namespace, p.metadata.name): p for p in kept if isinstance(p, ServiceEntry)}
    names = frozenset((gateway.metadata.namespace, gateway.metadata.name) for gateway in gateways)
    parents = Parents(_by_gateway(opened(gateways, grants, around)), entries, around, names)
    return Objects(gateways, tuple(policy for policy in kept if isinstance(policy, ROUTES)), grants, parents, own)


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

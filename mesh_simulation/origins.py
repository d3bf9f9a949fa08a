"""Where a route was written: VirtualService, rule, match block, file and line."""

from functools import partial

from mesh_api.config import Route, VirtualHost
from mesh_control.compiler import virtual_service
from mesh_control.compiler.destinations import Place
from mesh_control.compiler.scope import MESH, Scope
from mesh_policy import VirtualService
from mesh_proxy.routing.table import CompiledRoute
from mesh_simulation.decision import RouteTaken, RouteWritten
from mesh_simulation.mesh import Mesh

_SERVICES = "/virtual-service/"


def taken(mesh: Mesh, scope: Scope, route: CompiledRoute, host: VirtualHost, gateway: str, port: int) -> RouteTaken:
    """The route with its origin; ``port`` is that of the listener, or of the gateway's server."""
    key = ("origin", id(route), gateway, port)
    found: RouteTaken | None = mesh.memo.get(key)
    if found is None:
        found = mesh.memo[key] = _taken(mesh, scope, route.config, host, Place(gateway or MESH, port))
    return found


def owner_of(mesh: Mesh, route: Route) -> VirtualService | None:
    """The VirtualService that a route was made of, by what the compiler wrote into its metadata."""
    path = dict(route.metadata).get("config", "")
    if _SERVICES not in path:
        return None
    before, _, name = path.partition(_SERVICES)
    namespace = before.rpartition("/")[2]
    if "owners" not in mesh.memo:
        mesh.memo["owners"] = {(v.metadata.namespace, v.metadata.name): v for v in mesh.world.virtual_services}
    owner: VirtualService | None = mesh.memo["owners"].get((namespace, name))
    return owner


def _taken(mesh: Mesh, scope: Scope, route: Route, host: VirtualHost, place: Place) -> RouteTaken:
    owner = owner_of(mesh, route)
    if owner is None:
        return RouteTaken(route.name, host.name)
    rule, match = _origin(scope, owner, route, host, place)
    path: tuple[str | int, ...] = () if rule is None else ("spec", "http", rule)
    path += () if match is None else ("match", match)
    name = f"{owner.metadata.namespace}/{owner.metadata.name}"
    return RouteWritten.found(
        RouteTaken(route.name, host.name, name, rule, match), partial(mesh.place, owner.key, path)
    )


def _origin(
    scope: Scope, owner: VirtualService, route: Route, host: VirtualHost, place: Place
) -> tuple[int | None, int | None]:
    """Index of rule and match block. A sidecar's host has the routes of one VirtualService in their order; a gateway's has
    them of several, those that catch all last, so that there they are compared."""
    where = virtual_service.origins(scope, owner, place)
    if place.gateway == MESH and len(where) == len(host.routes):
        return next(origin for known, origin in zip(host.routes, where, strict=True) if known is route)
    made = virtual_service.routes(scope, owner, place)
    return next((origin for known, origin in zip(made, where, strict=True) if known == route), (None, None))

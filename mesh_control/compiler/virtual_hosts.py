"""Virtual hosts of sidecars: one for each service on a port, and what becomes of every other host."""

from mesh_api.config import Route, RouteAction, RouteConfiguration, VirtualHost
from mesh_control.compiler import defaults, names
from mesh_control.compiler.scope import MESH, Scope
from mesh_control.compiler.virtual_service import EVERYTHING, Place, hash_policies, outbound_retries, routes
from mesh_control.world import Service, ServicePort
from mesh_policy.hosts import CLUSTER_DOMAIN, covers

HTTP_PORT = 80


def route_configurations(scope: Scope) -> list[RouteConfiguration]:
    """One table for each port number on which some service speaks HTTP, named by it."""
    numbers = sorted({port.number for service in scope.services for port in service.ports if not port.tcp})
    return [_route_configuration(scope, number) for number in numbers]


def _route_configuration(scope: Scope, number: int) -> RouteConfiguration:
    hosts = [
        virtual_host(scope, service, port, domains(service, scope.proxy.namespace))
        for service in scope.services
        for port in service.ports
        if port.number == number and not port.tcp
    ]
    if number == HTTP_PORT:
        hosts += _undeclared(scope)
    return RouteConfiguration(str(number), (*_unique(hosts), allow_any()), ignore_port_in_host_matching=True)


def _undeclared(scope: Scope) -> list[VirtualHost]:
    """Hosts that only a VirtualService names: reached on port 80, as nothing says which port they have (Istio)."""
    known = {service.hostname for service in scope.services}
    return [
        VirtualHost(f"{host}:{HTTP_PORT}", (host,), found, include_request_attempt_count=True)
        for host, owner in sorted(scope.mesh_virtual_services.items())
        if host not in known
        and not any(covers(host, name) for name in (known if host.startswith("*") else ()))
        and (found := routes(scope, owner, Place(MESH, HTTP_PORT)))
    ]


def _unique(hosts: list[VirtualHost]) -> tuple[VirtualHost, ...]:
    """A domain may stand once in a table (Envoy refuses it otherwise): the first virtual host keeps it."""
    taken: set[str] = set()
    made = []
    for host in hosts:
        if taken.isdisjoint(host.domains):
            made.append(host)
        elif free := tuple(domain for domain in host.domains if domain not in taken):
            made.append(VirtualHost(host.name, free, host.routes, host.include_request_attempt_count))
        taken.update(host.domains)
    return tuple(made)


def virtual_host(scope: Scope, service: Service, port: ServicePort, names_: tuple[str, ...]) -> VirtualHost:
    """A service on a port: the rules of its VirtualService, or the plain way to its cluster."""
    found = _routes(scope, service, port)
    name = f"{service.hostname}:{port.number}"
    return scope.shared(
        ("virtual host", name, names_),
        (found,),
        lambda: VirtualHost(name, names_, found, include_request_attempt_count=True),
    )


def _routes(scope: Scope, service: Service, port: ServicePort) -> tuple[Route, ...]:
    owner = scope.virtual_service(service.hostname)
    found = routes(scope, owner, Place(MESH, port.number)) if owner is not None else ()
    if found:
        return found
    # Without a rule that is meant for this proxy and port the service is reached as ever (Istio).
    rules = scope.destination_rules(service)
    return scope.shared("plain route", (service, port, *rules), lambda: _plain(scope, service, port))


def _plain(scope: Scope, service: Service, port: ServicePort) -> tuple[Route, ...]:
    hashed = hash_policies(scope, service, port.number)
    action = RouteAction(
        cluster=names.outbound(port.number, "", service.hostname),
        timeout=0.0,
        max_grpc_timeout=0.0,
        retry=outbound_retries(bool(hashed)),
        hash_policies=hashed,
    )
    return (Route(EVERYTHING, action, "default", operation=names.operation(service.hostname, port.number)),)


def domains(service: Service, namespace: str) -> tuple[str, ...]:
    """Every name under which a client of the namespace may ask for a service (istiod's own list, without ports)."""
    host = service.hostname
    found = [host] if host.startswith("*") else [host, f"{host}."]
    suffix = f".{service.namespace}.{CLUSTER_DOMAIN}"
    if host.endswith(suffix):
        own = host.removesuffix(suffix)
        base = f"{own}.{service.namespace}"
        found += [own, f"{base}.svc", base] if namespace == service.namespace else [base, f"{base}.svc"]
    # In a Host field an address of IPv6 stands in brackets.
    addresses = [f"[{address}]" if ":" in address else address for address in service.addresses]
    return tuple(dict.fromkeys([*found, *addresses]))


def allow_any() -> VirtualHost:
    """Hosts that nobody declared go where they were dialled (Istio's ``ALLOW_ANY``)."""
    action = RouteAction(cluster=defaults.PASSTHROUGH, timeout=0.0, max_grpc_timeout=0.0)
    return VirtualHost(
        "allow_any", ("*",), (Route(EVERYTHING, action, "allow_any"),), include_request_attempt_count=True
    )

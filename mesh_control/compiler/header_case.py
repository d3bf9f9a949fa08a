"""Names of headers that keep their case on the way to a host of HTTP/1 (``preserveHttp1HeaderCase``)."""

from collections.abc import Iterable
from dataclasses import replace

from mesh_api.config import Cluster
from mesh_control.compiler import defaults, ingress
from mesh_control.compiler.proxy_headers import keeps_header_case
from mesh_control.compiler.scope import Scope
from mesh_control.services import Protocol, Service

_MAY_BE_HTTP = (Protocol.HTTP, Protocol.AUTO)


def kept(scope: Scope, clusters: Iterable[Cluster]) -> list[Cluster]:
    """The clusters, those for HTTP with it where the proxy's settings ask for it."""
    return [_kept(scope, cluster) for cluster in clusters] if keeps_header_case(scope) else list(clusters)


def kept_together(scope: Scope, clusters: tuple[Cluster, ...]) -> tuple[Cluster, ...]:
    """The same for clusters that many proxies have together, which they keep together."""
    if not keeps_header_case(scope):
        return clusters
    return scope.shared("header case together", (clusters,), lambda: tuple(kept(scope, clusters)))


def _kept(scope: Scope, cluster: Cluster) -> Cluster:
    if cluster.http.protocol == "http2" or not _is_http(scope, cluster.name):
        return cluster
    http = replace(cluster.http, preserve_header_case=True)
    return scope.shared("header case", (cluster,), lambda: replace(cluster, http=http))


def _is_http(scope: Scope, name: str) -> bool:
    """By the name of the cluster, as :mod:`mesh_control.compiler.names` makes it."""
    if name in (defaults.PASSTHROUGH, defaults.INBOUND_PASSTHROUGH):
        return True
    direction, _, rest = name.partition("|")
    port, _, rest = rest.partition("|")
    if direction == "outbound":
        service = scope.by_host.get(rest.rpartition("|")[2])
        return service is not None and _speaks_http(service, int(port))
    if direction != "inbound":
        return False
    sidecar = ingress.rules(scope)
    if sidecar is not None:
        listed = (item.port for item in ingress.ports(sidecar) if item.port.number == int(port))
        return next((own.protocol in _MAY_BE_HTTP for own in listed), False)
    ports = (own for service, member in scope.own_instances for own in service.ports if member.port(own) == int(port))
    return next((own.protocol in _MAY_BE_HTTP for own in ports), False)


def _speaks_http(service: Service, number: int) -> bool:
    return any(port.protocol in _MAY_BE_HTTP for port in service.ports if port.number == number)

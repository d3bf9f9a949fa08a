"""Hosts that requests and connections name by themselves (Envoy's dynamic forward proxy): ServiceEntries with
``resolution: DYNAMIC_DNS``, and a mesh with ``outboundTrafficPolicy.mode: ALLOW_ANY_DYNAMIC_DNS`` (Istio).
"""

from collections.abc import Hashable
from dataclasses import replace

from mesh_api.config import (
    Cluster,
    ClusterType,
    DnsCache,
    ForwardProxyFilter,
    Guard,
    HttpFilter,
    HttpProtocolOptions,
    LbPolicy,
    SniForwardProxy,
    SocketAddress,
)
from mesh_control.compiler import admission, client_tls, connection_pools, defaults, names, outbound_policy, tls
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.services import Protocol, Resolution, Service
from mesh_policy.networking.destination_rule import ClientTls

CARRIED = Protocol.HTTP, Protocol.TLS, Protocol.GRPC, Protocol.HTTP2
"""What names its host."""
UNKNOWN_CLUSTER = "AllowAnyDynamicDNSCluster"
UNKNOWN_CACHE = "allow_any_dfp_dns_cache"
MAX_HOSTS = 1024
"""Names that are kept of hosts that nobody declares (Istio)."""
DNS_PROXY = SocketAddress(defaults.LOOPBACK, 15053)
"""Where Istio's agent answers questions for names."""


def is_named(service: Service) -> bool:
    """Whether the host of a request or connection is looked up, whatever address was dialled."""
    return service.resolution is Resolution.DYNAMIC_DNS


def cache(proxy: Proxy, service: Service) -> DnsCache:
    """Where the names under the wildcard of a service are kept."""
    return DnsCache(f"{service.hostname}_dfp_dns_cache", outbound_policy.looked_up(proxy))


def http_filters(scope: Scope, service: Service | None) -> tuple[HttpFilter, ...]:
    """What looks up hosts before requests go on, in connections of an application. ``service`` is the first of a port, for
    which its listener is made (Istio): others on it find their hosts looked up only if it is such a one."""
    found = []
    if service is not None and is_named(service):
        found.append(ForwardProxyFilter(cache(scope.proxy, service)))
    if outbound_policy.looks_up_unknown(scope):
        found.append(ForwardProxyFilter(_unknown_cache(scope.proxy)))
    return tuple(found)


def guards(scope: Scope, service: Service, port: int) -> tuple[Guard, ...]:
    """What looks up the server name before bytes go on to a port."""
    if not is_named(service):
        return ()
    # The policies for the proxy's own workload, and those of the service's namespace (so istiod has it).
    allowed = admission.network_filters(scope, service.namespace)
    return (*allowed, SniForwardProxy(cache(scope.proxy, service), port))


def surroundings(scope: Scope) -> Hashable:
    """What besides the view of the mesh decides about these filters."""
    world = scope.world
    found = (service.namespace for service in (*world.services, *world.rivals) if is_named(service))
    namespaces = world.once("namespaces of named hosts", lambda: tuple(dict.fromkeys(found)))
    return http_filters(scope, None), tuple(admission.network_filters(scope, name) for name in namespaces)


def hosts(proxy: Proxy, service: Service, cluster: Cluster) -> Cluster:
    """The cluster with the hosts of a service that are looked up."""
    return replace(
        cluster,
        type=ClusterType.FORWARD_PROXY,
        lb_policy=LbPolicy.CLUSTER_PROVIDED,
        eds_service_name="",
        healthy_panic_threshold=Cluster("", cluster.type).healthy_panic_threshold,
        dns_cache=cache(proxy, service),
    )


def checked(cluster: Cluster, asked: ClientTls | None) -> Cluster:
    """The cluster with TLS for whichever host: it is asked for by name and its certificate is for that name, unless a rule
    says otherwise, which Envoy wants to be told expressly; also where there is no TLS, as soon as anything is said of HTTP
    (which istiod 1.31 forgets: Envoy refuses its clusters for HTTP/2)."""
    if cluster.tls is None and not cluster.tls_matches:
        return replace(cluster, allow_insecure_options=cluster.http != HttpProtocolOptions())
    named, unchecked = (bool(asked.sni), bool(asked.insecure_skip_verify)) if asked is not None else (False, False)
    http = replace(cluster.http, auto_sni=not named, auto_san_validation=not unchecked)
    return replace(cluster, http=http, allow_insecure_options=named or unchecked)


def unknown(scope: Scope) -> Cluster:
    """The cluster of hosts that nobody declares; with TLS as the mesh says."""
    return scope.shared(("unknown hosts", _unknown_cache(scope.proxy)), (), lambda: _unknown(scope))


def _unknown(scope: Scope) -> Cluster:
    mesh = scope.world.mesh
    asked = mesh.outbound_traffic_policy.tls
    plain = asked is None or asked.mode in (None, "DISABLE")
    cluster = Cluster(
        UNKNOWN_CLUSTER,
        ClusterType.FORWARD_PROXY,
        lb_policy=LbPolicy.CLUSTER_PROVIDED,
        thresholds=defaults.THRESHOLDS,
        http=HttpProtocolOptions("downstream", idle_timeout=defaults.IDLE_CONNECTION_TTL),
        alt_stat_name=names.statistics(UNKNOWN_CLUSTER),
        dns_cache=_unknown_cache(scope.proxy),
        allow_insecure_options=plain,
    )
    cluster = replace(connection_pools.with_pool(scope, cluster, None), http=cluster.http)
    if asked is None or plain or client_tls.is_withheld(scope, asked, selected=False):
        return cluster
    cluster = replace(
        cluster, http=HttpProtocolOptions()
    )  # which the names to be checked stand in the place of (Istio)
    if asked.mode == "ISTIO_MUTUAL":
        socket = tls.mutual_client(asked.sni or "", asked.subject_alt_names or (), http2=False)
        return checked(replace(cluster, tls=socket), asked)
    return checked(client_tls.to_host(scope, cluster, asked, ()), asked)


def _unknown_cache(proxy: Proxy) -> DnsCache:
    servers = (proxy.dns_server or DNS_PROXY,) if proxy.captures_dns else ()
    family = outbound_policy.looked_up(proxy) if proxy.addresses else "V4_ONLY"  # of what it says itself alone (Istio)
    return DnsCache(UNKNOWN_CACHE, family, MAX_HOSTS, servers)

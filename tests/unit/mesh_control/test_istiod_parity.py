"""The same world, compiled by a real istiod and by us: equal resource for resource, but for what is listed here.

The dumps are data kept beside the project; without them there is nothing to test here.
"""

import dataclasses
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mesh_api.config import (
    ClusterLoadAssignment,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ListenerFilter,
    ProxyConfig,
    RouteConfiguration,
)
from mesh_api.node import Node
from mesh_api.xds.json import resource_from_json
from mesh_api.xds.resources import BY_CONFIG
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.sources import entries
from mesh_control.world import World
from mesh_policy import load_path
from mesh_policy.security.authorization_policy import AuthorizationPolicy

TESTS = Path(__file__).parents[2]
DUMPS = TESTS.parents[1] / "shared" / "istiod-dumps"
SCENARIOS = (
    "00-baseline",
    "01-canary",
    "02-timeout",
    "04-redirect",
    "06-fault",
    "08-circuit-breaker",
    "13-authz",
    "15-gateway",
    "20-tcp-tls-routes",
)
"""The others are about kinds that are not here yet (PeerAuthentication, Sidecar)."""

NODES = {
    "client": Node(
        "sidecar~127.0.0.1~client-1.default~default.svc.cluster.local", metadata={"LABELS": {"app": "client"}}
    ),
    "server": Node(
        "sidecar~127.0.0.11~reviews-v1.default~default.svc.cluster.local",
        metadata={"LABELS": {"app": "reviews", "version": "v1"}},
    ),
    "gateway": Node(
        "router~127.0.0.99~istio-ingressgateway-1.istio-system~istio-system.svc.cluster.local",
        metadata={"LABELS": {"istio": "ingressgateway"}},
    ),
}
CASES = [(scenario, node) for scenario in SCENARIOS for node in NODES]

pytestmark = pytest.mark.skipif(not DUMPS.is_dir(), reason="the dumps of a real istiod are not here")


@cache
def dumps() -> ModuleType:
    """The codec's own test of the dumps, which knows how to read them."""
    path = TESTS / "unit" / "mesh_api" / "xds" / "test_istiod_dumps.py"
    spec = importlib.util.spec_from_file_location("istiod_dumps", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def istiods(scenario: str, node: str) -> ProxyConfig:
    """What istiod sent, without TLS and external authorization."""
    found: dict[str, list[Any]] = {kind.section: [] for kind in BY_CONFIG.values()}
    for type_url, value in dumps().resources(DUMPS / scenario / node):
        resource = resource_from_json(type_url, dumps().without_security(value))
        found[BY_CONFIG[type(resource)].section].append(resource)
    return ProxyConfig(**{section: tuple(sorted(values, key=key)) for section, values in found.items()})


def ours(scenario: str, node: str) -> ProxyConfig:
    read = load_path(DUMPS / scenario / "input")
    policies = [p for p in read if not isinstance(p, AuthorizationPolicy) or p.spec.action != "CUSTOM"]
    world = World.of(entries.services(policies), entries.workloads(policies), policies)
    return compile_proxy(world, proxy_of(NODES[node]))


def key(value: Any) -> str:
    return str(value.cluster_name if isinstance(value, ClusterLoadAssignment) else value.name)


# What differs, and why. Each function takes istiod's side to ours.


def without_cluster_id(config: ProxyConfig) -> ProxyConfig:
    """The last part of a workload's name in the metadata is the Kubernetes cluster; there is none here."""
    return ProxyConfig(
        config.listeners,
        config.routes,
        tuple(
            c if c.load_assignment is None else replace(c, load_assignment=_nowhere(c.load_assignment))
            for c in config.clusters
        ),
        tuple(map(_nowhere, config.endpoints)),
    )


def _nowhere(assignment: ClusterLoadAssignment) -> ClusterLoadAssignment:
    localities = tuple(
        replace(
            locality,
            endpoints=tuple(
                replace(e, metadata=tuple((k, v.removesuffix("Kubernetes")) for k, v in e.metadata))
                for e in locality.endpoints
            ),
        )
        for locality in assignment.localities
    )
    return replace(assignment, localities=localities)


def without_tls_inbound(listener: Listener) -> Listener:
    """Until there is mTLS nothing inspects inbound connections: chains for TLS and the guess at HTTP on ports that no
    service names are left out, and every chain takes what comes (istiod's ``raw_buffer``)."""
    if listener.name != "virtualInbound":
        return listener
    chains = tuple(
        replace(chain, match=replace(chain.match, transport_protocol=""))
        for chain in listener.filter_chains
        if chain.match.transport_protocol != "tls" and chain.name != "virtualInbound-catchall-http"
    )
    return replace(
        listener,
        filter_chains=tuple(sorted(chains, key=lambda c: (c.name == "virtualInbound", c.match.destination_port or 0))),
        listener_filters=(ListenerFilter.ORIGINAL_DST,),
        listener_filter_exemptions=(),
    )


def without_external_authorization(listener: Listener) -> Listener:
    """CUSTOM is refused when the policy is handed in; istiod marks its requests by shadow rules for the filter that asks."""
    return replace(listener, filter_chains=tuple(map(_without_custom, listener.filter_chains)))


def _without_custom(chain: FilterChain) -> FilterChain:
    if not isinstance(chain.filter, HttpConnectionManager):
        return chain
    marks = [f for f in chain.filter.http_filters if getattr(f, "shadow_rules_stat_prefix", "") == "istio_ext_authz_"]
    kept = tuple(item for item in chain.filter.http_filters if item not in marks)
    return replace(chain, filter=replace(chain.filter, http_filters=kept))


UNSUPPORTED_GATEWAY = ("0.0.0.0_8443", "0.0.0.0_9000", "https.443.https-mut.gw.default", "https.443.https.gw.default")
"""Servers with TLS and TCP: refused when the policy is handed in."""


def without_tls_redirect(table: RouteConfiguration) -> RouteConfiguration:
    """``httpsRedirect`` needs a TLS server to go to: refused when the policy is handed in."""
    return replace(table, virtual_hosts=tuple(replace(host, require_tls=False) for host in table.virtual_hosts))


def without_dead_hosts(table: RouteConfiguration) -> RouteConfiguration:
    """A VirtualService for a service of another port: istiod answers 503 for its host on port 80, as the cluster that it
    routes to does not exist. Here that port is one that nobody declared, and passes through."""
    kept = tuple(host for host in table.virtual_hosts if host.name != "reviews.default.svc.cluster.local:80")
    return replace(table, virtual_hosts=kept)


def expected(scenario: str, node: str) -> ProxyConfig:
    config = without_cluster_id(istiods(scenario, node))
    return ProxyConfig(
        tuple(
            without_external_authorization(without_tls_inbound(x))
            for x in config.listeners
            if x.name not in UNSUPPORTED_GATEWAY
        ),
        tuple(without_dead_hosts(without_tls_redirect(x)) for x in config.routes if x.name not in UNSUPPORTED_GATEWAY),
        config.clusters,
        config.endpoints,
    )


def ordered(config: ProxyConfig) -> ProxyConfig:
    """Chains of ``virtualInbound`` in one order; it does not matter there, as ports decide before anything else."""
    return replace(config, listeners=tuple(map(without_tls_inbound, config.listeners)))


def differences(istiod: Any, own: Any, path: str = "") -> Iterator[str]:
    """Where two values differ, field by field, for a message that can be read."""
    if istiod == own:
        return
    if dataclasses.is_dataclass(istiod) and type(istiod) is type(own):
        for field in dataclasses.fields(istiod):
            yield from differences(getattr(istiod, field.name), getattr(own, field.name), f"{path}.{field.name}")
    elif isinstance(istiod, Sequence) and isinstance(own, Sequence) and len(istiod) == len(own) and istiod and own:
        for place, (one, other) in enumerate(zip(istiod, own, strict=True)):
            yield from differences(one, other, f"{path}[{getattr(one, 'name', place) or place}]")
    else:
        yield f"{path}: istiod has {istiod!r:.400}, we have {own!r:.400}"


@pytest.mark.parametrize(("scenario", "node"), CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_equal_resource_for_resource(scenario: str, node: str) -> None:
    theirs, own = expected(scenario, node), ordered(ours(scenario, node))
    for section in ("listeners", "routes", "clusters", "endpoints"):
        assert [key(x) for x in getattr(own, section)] == [key(x) for x in getattr(theirs, section)], section
    assert "\n".join(differences(theirs, own)) == ""


@pytest.mark.parametrize(("scenario", "node"), CASES, ids=[f"{s}-{n}" for s, n in CASES])
def test_complete(scenario: str, node: str) -> None:
    assert ours(scenario, node).missing() == ()

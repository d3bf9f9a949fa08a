"""Istio's own examples of AuthorizationPolicies, compiled by us: the filters that Istio's tests want, part for part.

The examples are those of Istio's module in Go's cache (``go mod download istio.io/istio``); without them there is nothing to
test here.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from mesh_api.config import FilterChain, HeaderMatch, HttpConnectionManager, Listener
from mesh_api.node import NodeKind
from mesh_api.xds.json import resource_from_json
from mesh_control.compiler import admission
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import Proxy
from mesh_control.world import World
from mesh_policy import load_documents
from mesh_policy.mesh_config import TRUST_DOMAIN, MeshConfig

pytestmark = pytest.mark.integration

MODULES = Path(os.environ.get("GOMODCACHE", Path.home() / "go" / "pkg" / "mod")) / "istio.io"
FOUND = sorted(MODULES.glob("istio@*/pilot/pkg/security/authz/builder/testdata"))
EXAMPLES = FOUND[-1] if FOUND else Path("missing")
WORKLOAD = Proxy("test", NodeKind.SIDECAR, "httpbin", "foo", "10.0.0.1", {"app": "httpbin", "version": "v1"})


class Row(NamedTuple):
    """An example: the file of policies, those of filters, and the trust domains."""

    policies: str
    filters: tuple[str, ...]
    domains: tuple[str, ...] = ()


def row(name: str, count: int = 1, **fields: Any) -> Row:
    outs = ("-out",) if count == 1 else tuple(f"-out{place + 1}" for place in range(count))
    return Row(f"{name}-in.yaml", tuple(f"{name}{out}.yaml" for out in outs), **fields)


ROWS = [
    *(row(f"http/{name}") for name in ("allow-empty-rule", "allow-full-rule", "allow-nil-rule", "allow-path")),
    *(row(f"http/{name}") for name in ("audit-full-rule", "deny-empty-rule", "dry-run-allow", "dry-run-mix")),
    *(row(f"http/{name}") for name in ("multiple-policies", "single-policy", "trust-domains")),
    row("http/deny-and-allow", 2),
    row("http/dry-run-allow-and-deny", 2),
    Row("http/custom-simple-http-in.yaml", ("http/custom-bad-out.yaml",)),
    row("http/simple-policy-td-aliases", domains=("td1", "cluster.local")),
    row("http/simple-policy-multiple-td-aliases", domains=("td1", "cluster.local", "some-td")),
    row("http/simple-policy-principal-with-wildcard", domains=("td1", "foobar")),
    row("http/td-aliases-source-principal", domains=("new-td", "old-td", "some-trustdomain")),
    *(row(f"tcp/{name}") for name in ("allow-both-http-tcp", "allow-only-http", "audit-both-http-tcp")),
    *(row(f"tcp/{name}") for name in ("deny-both-http-tcp", "dry-run-mix")),
]


def wanted(path: Path) -> Any:
    """The filter of an example."""
    config = yaml.safe_load(path.read_text())
    filters = [
        config,
        {"name": "envoy.filters.http.router", "typedConfig": {"@type": f"{PREFIX}http.router.v3.Router"}},
    ]
    if path.parent.name == "tcp":
        proxy = {"@type": f"{PREFIX}network.tcp_proxy.v3.TcpProxy", "statPrefix": "s", "cluster": "c"}
        return chain([config, {"name": "envoy.filters.network.tcp_proxy", "typedConfig": proxy}]).guards[0]
    manager = {
        "@type": f"{PREFIX}network.http_connection_manager.v3.HttpConnectionManager",
        "statPrefix": "s", "httpFilters": filters, "routeConfig": {"name": "r"},
    }  # fmt: skip
    made = chain([{"name": "envoy.filters.network.http_connection_manager", "typedConfig": manager}]).filter
    assert isinstance(made, HttpConnectionManager)
    return made.http_filters[0]


PREFIX = "type.googleapis.com/envoy.extensions.filters."


def chain(filters: list[Any]) -> FilterChain:
    address = {"socketAddress": {"address": "127.0.0.1", "portValue": 1}}
    listener = resource_from_json(
        "listeners", {"name": "l", "address": address, "filterChains": [{"filters": filters}]}
    )
    assert isinstance(listener, Listener)
    return listener.filter_chains[0]


def as_read(part: Any) -> Any:
    """With the names of headers as they are read from the wire: in lower case."""
    if isinstance(part, HeaderMatch):
        return dataclasses.replace(part, name=part.name.lower())
    if isinstance(part, tuple):
        return tuple(map(as_read, part))
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        fields = {field.name: as_read(getattr(part, field.name)) for field in dataclasses.fields(part)}
        return dataclasses.replace(part, **fields)
    return part


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="Istio's source is not in Go's module cache")
@pytest.mark.parametrize("example", ROWS, ids=lambda example: example.filters[0])
def test_as_istio_wants_it(example: Row) -> None:
    domain, *aliases = example.domains or (TRUST_DOMAIN,)
    mesh = MeshConfig(trust_domain=domain, trust_domain_aliases=tuple(aliases))
    policies = load_documents((EXAMPLES / example.policies).read_text())
    scope = Scope(World.of(policies=policies, mesh=mesh), WORKLOAD)
    tcp = example.policies.startswith("tcp")
    made = admission.network_filters(scope) if tcp else admission.http_filters(scope)
    assert as_read(made) == tuple(wanted(EXAMPLES / name) for name in example.filters)

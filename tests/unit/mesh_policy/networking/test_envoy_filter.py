"""What is said to an EnvoyFilter: the typed field for what people patch, and never silence."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy import KINDS, PolicyError, load_documents
from mesh_policy.load import _fields
from mesh_policy.networking import envoy_filter
from mesh_policy.yaml_text import written

CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"


def filtered(*patches: Any) -> dict[str, Any]:
    spec = {"configPatches": list(patches)}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "a"},
        "spec": spec,
    }


def patch(where: str, value: Any, operation: str = "MERGE") -> dict[str, Any]:
    return {"applyTo": where, "patch": {"operation": operation, "value": value}}


def http_filter(name: str, message: str = "") -> dict[str, Any]:
    typed = {"typed_config": {"@type": f"type.googleapis.com/{message}"}} if message else {}
    return patch("HTTP_FILTER", {"name": name, **typed}, "INSERT_BEFORE")


POOL = "DestinationRule spec.trafficPolicy.connectionPool"
ROUTE = "VirtualService spec.http[]"
NOTHING = "no typed kind has this"
ROWS: tuple[tuple[dict[str, Any], str], ...] = (
    (http_filter("envoy.filters.http.cors"), f"cors: {ROUTE}.corsPolicy"),
    (http_filter("mine", "envoy.extensions.filters.http.fault.v3.HTTPFault"), f"fault: {ROUTE}.fault"),
    (http_filter("envoy.filters.http.rbac"), "rbac: AuthorizationPolicy spec.rules"),
    (http_filter("mine", "envoy.extensions.filters.http.rbac.v3.RBAC"), "rbac: AuthorizationPolicy spec.rules"),
    (http_filter("envoy.filters.http.jwt_authn"), "jwt_authn: RequestAuthentication spec.jwtRules"),
    (http_filter("envoy.filters.http.ext_authz"), "ext_authz: AuthorizationPolicy spec.action CUSTOM"),
    (http_filter("envoy.filters.http.lua"), f"lua: {NOTHING}"),
    (http_filter("envoy.lua"), f"lua: {NOTHING}"),
    (http_filter("mine", "envoy.extensions.filters.http.lua.v3.Lua"), f"lua: {NOTHING}"),
    (http_filter("envoy.filters.http.local_ratelimit"), f"local_ratelimit: {NOTHING}"),
    (
        http_filter("mine", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"),
        f"local_ratelimit: {NOTHING}",
    ),
    (http_filter("envoy.filters.http.compressor"), f"compressor: {NOTHING}"),
    (http_filter("a.b"), f"(HTTP_FILTER INSERT_BEFORE): {NOTHING}"),
    (patch("CLUSTER", {"connectTimeout": "5s"}), f"connect_timeout: {POOL}.tcp.connectTimeout"),
    (
        patch("CLUSTER", {"circuit_breakers": {"thresholds": [{"max_requests": 1}]}}),
        f"circuit_breakers.thresholds.max_requests: {POOL}.http.http2MaxRequests",
    ),
    (patch("CLUSTER", {"circuit_breakers": {}}), f"circuit_breakers: {POOL}"),
    (
        patch("CLUSTER", {"outlier_detection": {"consecutive_5xx": 3}}),
        "DestinationRule spec.trafficPolicy.outlierDetection.consecutive5xxErrors",
    ),
    (patch("CLUSTER", {"name": "x"}, "ADD"), "a new cluster: ServiceEntry"),
    (patch("LISTENER", {"access_log": []}), "access_log: Telemetry spec.accessLogging"),
    (
        patch("NETWORK_FILTER", {"name": CONNECTION_MANAGER, "typed_config": {"tracing": {}}}),
        "typed_config.tracing: Telemetry spec.tracing",
    ),
    (
        patch("NETWORK_FILTER", {"typed_config": {"xff_num_trusted_hops": 1}}),
        f"xff_num_trusted_hops: {NOTHING}",
    ),
    (patch("HTTP_ROUTE", {"route": {"timeout": "1s"}}), f"route.timeout: {ROUTE}.timeout"),
    (patch("VIRTUAL_HOST", {"retry_policy": {}}), f"retry_policy: {ROUTE}.retries"),
    (patch("ROUTE_CONFIGURATION", {"response_headers_to_remove": ["x"]}), f"{ROUTE}.headers.response.remove"),
    (
        patch("HTTP_ROUTE", {"typed_per_filter_config": {"envoy.filters.http.cors": {}}}),
        f"cors: {ROUTE}.corsPolicy",
    ),
    (patch("BOOTSTRAP", {"admin": {}}), f"(BOOTSTRAP MERGE): {NOTHING}"),
    (
        {
            "applyTo": "HTTP_FILTER",
            "match": {"listener": {"filterChain": {"filter": {"subFilter": {"name": "envoy.filters.http.fault"}}}}},
            "patch": {"operation": "REMOVE"},
        },
        f"fault: {ROUTE}.fault",
    ),
    ({"applyTo": 1}, NOTHING),
    ({}, NOTHING),
)


@pytest.mark.parametrize(("given_patch", "said"), ROWS, ids=range(len(ROWS)))
def test_a_patch_is_answered_with_the_typed_field(given_patch: dict[str, Any], said: str) -> None:
    assert said in envoy_filter.answer(filtered(given_patch))


def test_one_error_names_every_patch_and_where_the_kind_stands() -> None:
    document = filtered(patch("CLUSTER", {"connect_timeout": "1s"}), patch("LISTENER", {"socket_options": []}))
    with pytest.raises(PolicyError) as error:
        load_documents("# first\n" + written(document), "a.yaml")
    (problem,) = error.value.problems
    assert (problem.line, problem.field) == (3, "kind")
    assert "configPatches[0] (CLUSTER MERGE): connect_timeout: DestinationRule" in problem.message
    assert f"configPatches[1] (LISTENER MERGE): socket_options: {NOTHING}" in problem.message


@pytest.mark.parametrize(
    ("version", "kind", "said"),
    [
        ("extensions.istio.io/v1alpha1", "WasmPlugin", "no code is loaded into proxies"),
        ("extensions.istio.io/v1alpha1", "TrafficExtension", "no code is loaded into proxies"),
        ("install.istio.io/v1alpha1", "IstioOperator", "is no policy"),
        (
            "networking.istio.io/v1alpha3",
            "EnvoyFilters",
            "the kind EnvoyFilters of networking.istio.io is not supported",
        ),
    ],
)
def test_other_kinds_of_istio(version: str, kind: str, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        load_documents(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n")


def texts() -> set[str]:
    tables = [envoy_filter.EXTENSIONS, envoy_filter.MADE_NEW, *envoy_filter.FIELDS.values()]
    return {text for table in tables for text in table.values() if text}


@pytest.mark.parametrize("text", sorted(texts()))
def test_every_typed_field_exists(text: str) -> None:
    for kind, path in re.findall(r"([A-Z]\w+)(?: (spec[\w.\[\]]*\w))?", text):
        if kind.isupper():
            continue  # a value
        cls = KINDS[next(key for key in KINDS if key[1] == kind and key[0].endswith("istio.io"))]
        *parents, name = path.replace("[]", "").split(".")
        assert not path or name in _fields(cls, tuple(parents))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["applyTo", "match", "patch", "value", "name", "@type", "operation", "route"]), inner
        )
    ),
    max_leaves=12,
)


@given(VALUES, VALUES)
def test_no_document_is_too_odd(spec: Any, patches: Any) -> None:
    assert "EnvoyFilter is not applied" in envoy_filter.answer({"spec": spec})
    assert "EnvoyFilter is not applied" in envoy_filter.answer({"spec": {"configPatches": patches}})

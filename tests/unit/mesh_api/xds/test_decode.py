"""What is refused, and with which words: the text becomes the NACK."""

from typing import Any

import pytest

from mesh_api.xds.decode import DecodeError, decode_resource
from mesh_api.xds.ignored import IGNORED_FIELDS, IGNORED_TYPES
from mesh_api.xds.json import config_from_json, resource_from_json
from mesh_api.xds.type_urls import CLUSTER, PREFIX, ROUTE

ADDRESS = {"socket_address": {"address": "0.0.0.0", "port_value": 80}}
TCP = {
    "name": "tcp",
    "typed_config": {
        "@type": PREFIX + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "t",
        "cluster": "c",
    },
}
HCM = PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ADS_SOURCE: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}


def route(**fields: Any) -> dict[str, Any]:
    """A route configuration with one route."""
    one = {"match": {"prefix": "/"}, "route": {"cluster": "c"}} | fields
    return {"name": "80", "virtual_hosts": [{"name": "v", "domains": ["*"], "routes": [one]}]}


def listener(*filters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A listener with one chain."""
    return {"name": "in", "address": ADDRESS, "filter_chains": [{"filters": list(filters)}], **fields}


def http(*http_filters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A connection manager as a network filter."""
    rds = {"route_config_name": "80", "config_source": ADS_SOURCE}
    manager = {"@type": HCM, "stat_prefix": "h", "rds": rds, "http_filters": list(http_filters)}
    return {"name": "http", "typed_config": manager | fields}


def extension(name: str, **fields: Any) -> dict[str, Any]:
    """A named extension."""
    return {"name": "x", "typed_config": {"@type": PREFIX + name, **fields}}


AT_ROUTE = "route configuration 80: virtual_hosts[0].routes[0]"
HTTP_RBAC = "envoy.extensions.filters.http.rbac.v3.RBAC"
NETWORK_RBAC = "envoy.extensions.filters.network.rbac.v3.RBAC"
AT_FILTER = "listener in: filter_chains[0].filters[0].typed_config.http_filters[0].typed_config"
ABOUT_HEADERS = {"policies": {"p": {"permissions": [{"not_rule": {"header": {"name": "x-a", "present_match": True}}}]}}}


def upstream_tls(**common: Any) -> dict[str, Any]:
    return extension("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", common_tls_context=common)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    # A plain field that nobody honours, with its whole path.
    (
        "routes",
        route(route={"cluster": "c", "retry_policy": {"retry_on": "5xx", "retry_options_predicates": [{"name": "x"}]}}),
        f"{AT_ROUTE}.route.retry_policy.retry_options_predicates: not supported",
    ),
    ("routes", route(route={"cluster_header": "x"}), f"{AT_ROUTE}.route: cluster_header is not supported"),
    (
        "routes",
        route(match={"path_match_policy": {"name": "x"}}),
        f"{AT_ROUTE}.match: path_match_policy is not supported",
    ),
    (
        "routes",
        route(typed_per_filter_config={"x": {"@type": PREFIX + "envoy.extensions.filters.http.rbac.v3.RBACPerRoute"}}),
        f'{AT_ROUTE}.typed_per_filter_config["x"]: envoy.extensions.filters.http.rbac.v3.RBACPerRoute is not supported',
    ),
    (
        "routes",
        route(metadata={"filter_metadata": {"envoy.lb": {"canary": True}}}),
        f'{AT_ROUTE}.metadata.filter_metadata["envoy.lb"]: not supported',
    ),
    ("clusters", {"name": "c", "type": "EDS"}, "cluster c: eds_cluster_config: missing"),
    (
        "clusters",
        {"name": "c", "type": "EDS", "eds_cluster_config": {"eds_config": {"path": "/etc/eds"}}},
        "cluster c: eds_cluster_config.eds_config: path is not supported, only ads is",
    ),
    (
        "clusters",
        {"name": "c", "health_checks": [{"timeout": "1s", "interval": "1s", "custom_health_check": {"name": "x"}}]},
        "cluster c: health_checks[0]: custom_health_check is not supported",
    ),
    (
        "clusters",
        {"name": "c", "transport_socket": extension("envoy.extensions.transport_sockets.alts.v3.Alts")},
        "cluster c: transport_socket.typed_config: envoy.extensions.transport_sockets.alts.v3.Alts is not supported",
    ),
    (
        "clusters",
        {"name": "c", "transport_socket": upstream_tls(tls_certificates=[{"private_key": {"filename": "k"}}])},
        "cluster c: transport_socket.typed_config.common_tls_context.tls_certificates[0].certificate_chain: is missing",
    ),
    (
        "clusters",
        {"name": "c", "transport_socket": upstream_tls(validation_context={"trusted_ca": {"inline_string": ""}})},
        "cluster c: transport_socket.typed_config.common_tls_context.validation_context.trusted_ca.inline_string: is empty",
    ),
    (
        "clusters",
        {"name": "c", "transport_socket": upstream_tls(validation_context={"crl": {"environment_variable": "X"}})},
        "cluster c: transport_socket.typed_config.common_tls_context.validation_context.crl: environment_variable is not"
        " supported: use filename, inline_bytes or inline_string",
    ),
    (
        "clusters",
        {"name": "c", "transport_socket_matches": [{"match": {"a": 1}, "transport_socket": upstream_tls()}]},
        'cluster c: transport_socket_matches[0].match["a"]: only strings are supported',
    ),
    (
        "clusters",
        {"name": "c", "common_lb_config": {"close_connections_on_host_set_change": True}},
        "cluster c: common_lb_config.close_connections_on_host_set_change: not supported",
    ),
    (
        "endpoints",
        {"cluster_name": "c", "named_endpoints": {"x": {}}},
        "endpoints c: named_endpoints: not supported",
    ),
    (
        "listeners",
        listener(extension("envoy.extensions.filters.network.ext_authz.v3.ExtAuthz", stat_prefix="r"), TCP),
        "listener in: filter_chains[0].filters[0].typed_config.grpc_service: a missing target is not supported",
    ),
    *(
        ("listeners", listener(http(extension(HTTP_RBAC, **{at: rules}))), f"{AT_FILTER}.{told}")
        for at, rules, told in (
            ("matcher", {}, "matcher: not supported"),
            ("track_per_rule_stats", True, "track_per_rule_stats: not supported"),
            ("rules", {"audit_logging_options": {}}, "rules.audit_logging_options: not supported"),
            ("rules", {"policies": {"p": {"condition": {}}}}, 'rules.policies["p"].condition: not supported'),
            *(
                ("rules", {"policies": {"p": {"permissions": [rule]}}}, f'rules.policies["p"].permissions[0]{told}')
                for rule, told in (
                    ({}, ": a missing rule is not supported"),
                    ({"any": False}, ".any: false is not supported"),
                    ({"sourced_metadata": {}}, ": sourced_metadata is not supported"),
                    ({"url_path": {}}, ".url_path: a missing path is not supported"),
                    ({"not_rule": {"matcher": {"name": "m"}}}, ".not_rule: matcher is not supported"),
                    ({"metadata": {}}, ".metadata.value: a missing match_pattern is not supported"),
                )
            ),
            *(
                ("rules", {"policies": {"p": {"principals": [rule]}}}, f'rules.policies["p"].principals[0]{told}')
                for rule, told in (
                    ({"filter_state": {"key": "k", "string_match": {}}}, ": filter_state is not supported"),
                    ({"or_ids": {"ids": [{"custom": {"name": "m"}}]}}, ".or_ids.ids[0]: custom is not supported"),
                )
            ),
        )
    ),
    (
        "listeners",
        listener(extension(NETWORK_RBAC, stat_prefix="r", rules=ABOUT_HEADERS), TCP),
        "listener in: filter_chains[0].filters[0].typed_config: a rule about headers is not supported in connections",
    ),
    (
        "listeners",
        listener(extension(NETWORK_RBAC, stat_prefix="r", enforcement_type="CONTINUOUS"), TCP),
        "listener in: filter_chains[0].filters[0].typed_config.enforcement_type: CONTINUOUS is not supported",
    ),
    (
        "listeners",
        listener(extension(NETWORK_RBAC, stat_prefix="r", delay_deny="1s"), TCP),
        "listener in: filter_chains[0].filters[0].typed_config.delay_deny: not supported",
    ),
    (
        "listeners",
        listener(extension(NETWORK_RBAC, stat_prefix="r")),
        "listener in: filter_chains[0].filters: no terminal filter",
    ),
    (
        "listeners",
        listener(http(extension("envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", providers={"a": {}}))),
        f'{AT_FILTER}.providers["a"]: a provider without keys is not supported',
    ),
    (
        "listeners",
        listener(
            http(
                extension(
                    "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
                    rules=[{"match": {"prefix": "/"}, "requirement_name": "a"}],
                )
            )
        ),
        f"{AT_FILTER}.rules[0].requirement_name: there is no requirement 'a'",
    ),
    (
        "listeners",
        listener(http(extension("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"))),
        f"{AT_FILTER}: a missing service is not supported",
    ),
    (
        "listeners",
        listener(http(extension("envoy.extensions.filters.http.lua.v3.Lua"))),
        f"{AT_FILTER}: envoy.extensions.filters.http.lua.v3.Lua is not supported",
    ),
    (
        "listeners",
        listener(http(tracing={"verbose": True})),
        "listener in: filter_chains[0].filters[0].typed_config.tracing.verbose: not supported",
    ),
    ("listeners", listener(TCP, TCP), "listener in: filter_chains[0].filters[1]: comes after the terminal filter"),
    ("listeners", listener(), "listener in: filter_chains[0].filters: no terminal filter"),
    (
        "listeners",
        {"name": "in", "address": {"socket_address": {"protocol": "UDP", "address": "::", "port_value": 1}}},
        "listener in: address.socket_address.protocol: UDP is not supported",
    ),
]


@pytest.mark.parametrize(("kind", "value", "message"), REFUSED, ids=[message for _, _, message in REFUSED])
def test_refused_by_name(kind: str, value: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError) as error:
        resource_from_json(kind, value)
    assert str(error.value) == message


def test_field_newer_than_the_known_api() -> None:
    name = b"\x0a\x0280"  # RouteConfiguration.name = "80"
    unheard_of = b"\xf8\x7f\x01"  # field 2047, a varint
    with pytest.raises(DecodeError, match="route configuration 80: field number 2047 is newer than the known API"):
        decode_resource(ROUTE, name + unheard_of)


def test_unknown_resource_type() -> None:
    with pytest.raises(DecodeError, match=r"resource type type\.googleapis\.com/unheard\.Of is not supported"):
        decode_resource("type.googleapis.com/unheard.Of", b"")


def test_malformed_bytes() -> None:
    with pytest.raises(DecodeError, match="cluster: malformed"):
        decode_resource(CLUSTER, b"\xff\xff\xff")


def test_json_with_a_field_that_envoy_does_not_have() -> None:
    with pytest.raises(DecodeError, match=r'cluster c: .*has no field named "conect_timeout"'):
        resource_from_json("clusters", {"name": "c", "conect_timeout": "1s"})


def test_json_with_a_filter_of_nobody() -> None:
    with pytest.raises(DecodeError, match=r"listener in: .*acme\.Filter"):
        resource_from_json("listeners", listener(extension("acme.Filter"), TCP))


def test_unknown_section() -> None:
    with pytest.raises(DecodeError, match="static resources: secrets is not supported"):
        config_from_json({"secrets": []})


def test_ignored_things_say_why() -> None:
    for reasons in (IGNORED_TYPES, IGNORED_FIELDS):
        assert all(reason.strip() for reason in reasons.values())


def test_ignored_filters_disappear() -> None:
    exchange = extension(
        "udpa.type.v1.TypedStruct",
        type_url=PREFIX + "envoy.tcp.metadataexchange.config.MetadataExchange",
        value={"protocol": "istio-peer-exchange"},
    )
    plain = resource_from_json("listeners", listener(TCP))
    assert resource_from_json("listeners", listener(exchange, TCP)) == plain

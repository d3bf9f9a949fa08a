"""Whatever the dataclasses can say, the wire says back."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    HttpConnectionManager,
    HttpProtocolOptions,
    Listener,
    OutlierDetection,
    PathMatch,
    PathMatchKind,
    ProxyConfig,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from mesh_api.xds.decode import decode_config, decode_resource
from mesh_api.xds.encode import encode_resource, encode_resources
from mesh_api.xds.json import config_from_json, resource_from_json, resource_to_json, resources_to_json
from mesh_api.xds.resources import BY_CONFIG, Resource
from mesh_api.xds.type_urls import ADS_ORDER
from tests.support import config_strategies as strategies

THOROUGH = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


NOT_ON_THE_WIRE = {"suppress_route_server_header"}


def check(resource: Resource) -> None:
    """Both forms bring back an equal value, and equal values give equal bytes."""
    kind = BY_CONFIG[type(resource)]
    data = encode_resource(resource)
    decoded = decode_resource(kind.type_url, data)
    assert decoded == resource
    assert encode_resource(decoded) == data
    assert resource_from_json(kind.section, resource_to_json(resource)) == resource


@THOROUGH
@given(strategies.clusters())
def test_cluster(cluster: Cluster) -> None:
    check(cluster)


@THOROUGH
@given(strategies.assignments())
def test_endpoints(assignment: ClusterLoadAssignment) -> None:
    check(assignment)


@THOROUGH
@given(strategies.route_configurations())
def test_routes(routes: RouteConfiguration) -> None:
    check(routes)


@THOROUGH
@given(strategies.listeners())
def test_listener(listener: Listener) -> None:
    check(listener)


def test_every_field_is_varied() -> None:
    """A field that was added to a class and not to its strategy would be tested by nothing."""
    source = Path(strategies.__file__).read_text(encoding="utf-8")
    for config in (Cluster, HttpConnectionManager, RouteAction, Listener, OutlierDetection, RouteConfiguration):
        missing = [
            field
            for field in config.__dataclass_fields__
            if f'"{field}"' not in source and f"{field}=" not in source and field not in NOT_ON_THE_WIRE
        ]
        assert missing == [], config.__name__


def test_configuration_by_type_in_the_order_of_ads() -> None:
    config = ProxyConfig(
        listeners=(),
        routes=(
            RouteConfiguration(
                "80",
                (
                    VirtualHost(
                        "a", ("*",), (Route(RouteMatch(PathMatch(PathMatchKind.PREFIX, "/")), RouteAction("order")),)
                    ),
                ),
            ),
        ),
        clusters=(Cluster("order", ClusterType.EDS), Cluster("pass", ClusterType.STATIC)),
        endpoints=(ClusterLoadAssignment("order"),),
    )
    encoded = encode_resources(config)
    assert tuple(encoded) == ADS_ORDER
    assert {type_url: list(named) for type_url, named in encoded.items()} == {
        ADS_ORDER[0]: ["order", "pass"],
        ADS_ORDER[1]: ["order"],
        ADS_ORDER[2]: [],
        ADS_ORDER[3]: ["80"],
    }
    assert decode_config(encoded) == config
    assert config_from_json(resources_to_json(config)) == config


def test_a_protocol_that_is_agreed_on() -> None:
    for options in (
        HttpProtocolOptions("auto"),
        HttpProtocolOptions("auto", max_concurrent_streams=5, auto_sni=True),
        HttpProtocolOptions("auto", preserve_header_case=True),
    ):
        check(Cluster("c", ClusterType.STATIC, http=options))

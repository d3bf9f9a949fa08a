"""Messages of the conversation as bytes."""

import pytest
from envoy.service.discovery.v3 import ads_pb2, discovery_pb2

from mesh_api.config import Cluster, ClusterType
from mesh_api.node import Node
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.grpc import (
    DELTA_METHOD,
    METHOD,
    DeltaSerializer,
    ResponseSerializer,
    delta_request_from_bytes,
    delta_request_to_bytes,
    delta_response_from_bytes,
    request_from_bytes,
    request_to_bytes,
    response_from_bytes,
    response_to_bytes,
)
from mesh_api.xds.session import DeltaRequest, DeltaResponse, Request, Response
from mesh_api.xds.type_urls import CLUSTER, PREFIX, ROUTE

NODE = Node(
    "sidecar~10.0.0.1~order-1.default~default.svc.cluster.local",
    cluster="order",
    metadata={"NAMESPACE": "default", "LABELS": {"app": "order"}, "CAPTURE_PORTS": {"outbound": 15001.0}},
    user_agent="meshwright",
    region="r",
    zone="z",
)
A = encode_resource(Cluster("a", ClusterType.STATIC))
B = encode_resource(Cluster("b", ClusterType.STATIC))


@pytest.mark.parametrize(
    "request_",
    [
        Request(CLUSTER, node=NODE),
        Request(CLUSTER, "1", "n-1"),
        Request(ROUTE, "1", "n-2", ("80", "8080"), error_detail="route configuration 80: no"),
        Request(ROUTE, error_detail=""),
    ],
)
def test_requests_come_back(request_: Request) -> None:
    assert request_from_bytes(request_to_bytes(request_)) == request_


def test_response_comes_back() -> None:
    response = Response(CLUSTER, "7", "n-1", (("a", A), ("b", B)))
    assert response_from_bytes(response_to_bytes(response)) == response


def test_streams_share_the_body_and_keep_their_nonces() -> None:
    serialize = ResponseSerializer(size=1)
    first, second = (Response(CLUSTER, "7", nonce, (("a", A), ("b", B))) for nonce in ("x-1", "y-1"))
    other = Response(CLUSTER, "8", "x-2", (("b", B),))
    assert [response_from_bytes(serialize(one)) for one in (first, second, other, first)] == [
        first,
        second,
        other,
        first,
    ]


def test_resource_in_a_wrapper() -> None:
    wrapped = discovery_pb2.Resource(name="a")
    wrapped.resource.type_url, wrapped.resource.value = CLUSTER, A
    message = discovery_pb2.DiscoveryResponse(type_url=CLUSTER, version_info="1", nonce="n")
    message.resources.add().Pack(wrapped)
    assert response_from_bytes(message.SerializeToString()).resources == (("a", A),)


def test_resource_of_another_type() -> None:
    message = discovery_pb2.DiscoveryResponse(type_url=CLUSTER)
    message.resources.add(type_url=PREFIX + "acme.Thing")
    with pytest.raises(DecodeError, match=r"resources\[0\]: type.googleapis.com/acme.Thing in a response of .*Cluster"):
        response_from_bytes(message.SerializeToString())


@pytest.mark.parametrize("read", [request_from_bytes, response_from_bytes])
def test_bytes_that_are_no_message(read: object) -> None:
    with pytest.raises(DecodeError, match="malformed"):
        read(b"\xff\xff")  # type: ignore[operator]


def test_method_is_envoys() -> None:
    service = ads_pb2.DESCRIPTOR.services_by_name["AggregatedDiscoveryService"]
    assert METHOD.split("/")[1] == service.full_name
    assert METHOD.split("/")[2] in service.methods_by_name


@pytest.mark.parametrize(
    "request_",
    [
        DeltaRequest(CLUSTER, node=NODE, initial={"a": "1"}),
        DeltaRequest(CLUSTER, "n-1"),
        DeltaRequest(ROUTE, "n-2", ("80", "8080"), ("81",), error_detail="route configuration 80: no"),
    ],
)
def test_delta_requests_come_back(request_: DeltaRequest) -> None:
    assert delta_request_from_bytes(delta_request_to_bytes(request_)) == request_


def test_delta_streams_share_the_body_and_keep_their_nonces() -> None:
    serialize = DeltaSerializer(size=1)
    resources = (("a", "1", A), ("b", "2", B))
    first, second = (DeltaResponse(CLUSTER, "7", nonce, resources, ("c",)) for nonce in ("x-1", "y-1"))
    other = DeltaResponse(CLUSTER, "8", "x-2", (), ("a",))
    told = [delta_response_from_bytes(serialize(one)) for one in (first, second, other, first)]
    assert told == [first, second, other, first]


def test_delta_resource_of_another_type() -> None:
    data = DeltaSerializer()(DeltaResponse(CLUSTER, "7", "n", (("a", "1", A),)))
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    message.type_url = ROUTE
    with pytest.raises(DecodeError, match=r"resources\[0\]: .*Cluster in a response of .*RouteConfiguration"):
        delta_response_from_bytes(message.SerializeToString())


@pytest.mark.parametrize("read", [delta_request_from_bytes, delta_response_from_bytes])
def test_bytes_that_are_no_delta_message(read: object) -> None:
    assert callable(read)
    with pytest.raises(DecodeError, match="malformed"):
        read(b"\xff\xff")


def test_delta_method_is_envoys() -> None:
    service = ads_pb2.DESCRIPTOR.services_by_name["AggregatedDiscoveryService"]
    assert f"/{service.full_name}/{service.methods_by_name['DeltaAggregatedResources'].name}" == DELTA_METHOD

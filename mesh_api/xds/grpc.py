"""The messages of the session as protobuf and bytes, for the shells that hold the gRPC stream.

Both sides use gRPC's generic API with these functions as serializers, so no generated stub is needed::

    channel.stream_stream(METHOD, request_serializer=request_to_bytes, response_deserializer=response_from_bytes)
    grpc.stream_stream_rpc_method_handler(
        serve, request_deserializer=request_from_bytes, response_serializer=ResponseSerializer()
    )
"""

from collections import OrderedDict
from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format, struct_pb2
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.rpc import code_pb2, status_pb2

from mesh_api.node import Node
from mesh_api.xds.errors import DecodeError
from mesh_api.xds.resources import KINDS
from mesh_api.xds.session.messages import DeltaRequest, DeltaResponse, Request, Response
from mesh_api.xds.type_urls import SECRET

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD_NAME: Final = "StreamAggregatedResources"
METHOD: Final = f"/{SERVICE}/{METHOD_NAME}"
"""State of the world, aggregated."""
DELTA_METHOD_NAME: Final = "DeltaAggregatedResources"
DELTA_METHOD: Final = f"/{SERVICE}/{DELTA_METHOD_NAME}"
"""What changed, aggregated."""

_RESOURCE: Final = "envoy.service.discovery.v3.Resource"
_NAMES: Final[dict[str, tuple[Any, str]]] = {kind.type_url: (kind.message, kind.name_field) for kind in KINDS} | {
    SECRET: (secret_pb2.Secret, "name")
}
"""Message and field in which a resource's name stands."""


def node_to_proto(node: Node) -> Any:
    """``core.v3.Node``."""
    message = base_pb2.Node(
        id=node.id,
        cluster=node.cluster,
        user_agent_name=node.user_agent,
        locality=base_pb2.Locality(region=node.region, zone=node.zone, sub_zone=node.sub_zone),
    )
    if node.metadata:
        message.metadata.CopyFrom(json_format.ParseDict(dict(node.metadata), struct_pb2.Struct()))
    return message


def node_from_proto(message: Any) -> Node:
    """From ``core.v3.Node``; numbers in the metadata become floats, as protobuf's ``Struct`` has no integers."""
    return Node(
        id=message.id,
        cluster=message.cluster,
        metadata=json_format.MessageToDict(message.metadata),
        user_agent=message.user_agent_name,
        region=message.locality.region,
        zone=message.locality.zone,
        sub_zone=message.locality.sub_zone,
    )


def request_to_bytes(request: Request) -> bytes:
    """``DiscoveryRequest``, serialized."""
    message = discovery_pb2.DiscoveryRequest(
        version_info=request.version_info,
        type_url=request.type_url,
        response_nonce=request.nonce,
        resource_names=request.resource_names,
    )
    if request.node is not None:
        message.node.CopyFrom(node_to_proto(request.node))
    if request.error_detail is not None:
        message.error_detail.CopyFrom(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=request.error_detail))
    return bytes(message.SerializeToString())


def request_from_bytes(data: bytes) -> Request:
    """From a serialized ``DiscoveryRequest``. Raises :class:`DecodeError`."""
    try:
        message = discovery_pb2.DiscoveryRequest.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError(f"discovery request: malformed: {error}") from None
    return Request(
        type_url=message.type_url,
        version_info=message.version_info,
        nonce=message.response_nonce,
        resource_names=tuple(message.resource_names),
        error_detail=message.error_detail.message if message.HasField("error_detail") else None,
        node=node_from_proto(message.node) if message.HasField("node") else None,
    )


class ResponseSerializer:
    """``DiscoveryResponse``, serialized; many streams that send the same resources share the work and the bytes.

    A serialized message is the concatenation of its fields, so what is common (version and resources) is kept and only
    the nonce is made for each stream. Keeps the last ``size`` distinct bodies, by the identity of the resources' bytes.
    """

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._bodies: OrderedDict[Any, tuple[Response, bytes]] = OrderedDict()

    def __call__(self, response: Response) -> bytes:
        key = (response.type_url, response.version_info, tuple((name, id(data)) for name, data in response.resources))
        kept = self._bodies.get(key)
        if kept is None:
            # The response is kept with the body: the identities in the key stay taken as long as the entry lives.
            kept = self._bodies[key] = (response, _body(response))
            if len(self._bodies) > self._size:
                self._bodies.popitem(last=False)
        self._bodies.move_to_end(key)
        return kept[1] + bytes(discovery_pb2.DiscoveryResponse(nonce=response.nonce).SerializeToString())


def _body(response: Response) -> bytes:
    message = discovery_pb2.DiscoveryResponse(
        version_info=response.version_info,
        type_url=response.type_url,
        resources=[any_pb2.Any(type_url=response.type_url, value=data) for _, data in response.resources],
    )
    return bytes(message.SerializeToString(deterministic=True))


def response_to_bytes(response: Response) -> bytes:
    """``DiscoveryResponse``, serialized, for one stream."""
    return ResponseSerializer(size=1)(response)


def response_from_bytes(data: bytes) -> Response:
    """From a serialized ``DiscoveryResponse``.

    Only the resources' names are read here. Raises :class:`DecodeError` for bytes that are no response and for a
    resource of another type than the response says; the stream cannot go on then.
    """
    try:
        message = discovery_pb2.DiscoveryResponse.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError(f"discovery response: malformed: {error}") from None
    resources = [_named(message.type_url, packed, index) for index, packed in enumerate(message.resources)]
    return Response(message.type_url, message.version_info, message.nonce, tuple(sorted(resources)))


def _named(type_url: str, packed: Any, index: int) -> tuple[str, bytes]:
    where = f"discovery response: resources[{index}]"
    try:
        if packed.type_url.endswith("/" + _RESOURCE):
            packed = discovery_pb2.Resource.FromString(packed.value).resource
        if packed.type_url != type_url:
            raise DecodeError(f"{where}: {packed.type_url or 'a missing type'} in a response of {type_url}")
        message, field = _NAMES.get(type_url, (None, ""))
        name = "" if message is None else getattr(message.FromString(packed.value), field)
    except ProtobufDecodeError as error:
        raise DecodeError(f"{where}: malformed: {error}") from None
    return str(name) or f"#{index}", bytes(packed.value)


def delta_request_to_bytes(request: DeltaRequest) -> bytes:
    """``DeltaDiscoveryRequest``, serialized."""
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url=request.type_url,
        response_nonce=request.nonce,
        resource_names_subscribe=request.subscribe,
        resource_names_unsubscribe=request.unsubscribe,
        initial_resource_versions=request.initial,
    )
    if request.node is not None:
        message.node.CopyFrom(node_to_proto(request.node))
    if request.error_detail is not None:
        message.error_detail.CopyFrom(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=request.error_detail))
    return bytes(message.SerializeToString())


def delta_request_from_bytes(data: bytes) -> DeltaRequest:
    """From a serialized ``DeltaDiscoveryRequest``. Raises :class:`DecodeError`."""
    try:
        message = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError(f"delta discovery request: malformed: {error}") from None
    return DeltaRequest(
        type_url=message.type_url,
        nonce=message.response_nonce,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial=dict(message.initial_resource_versions),
        error_detail=message.error_detail.message if message.HasField("error_detail") else None,
        node=node_from_proto(message.node) if message.HasField("node") else None,
    )


class DeltaSerializer:
    """``DeltaDiscoveryResponse``, serialized, with the work shared as :class:`ResponseSerializer` does."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._bodies: OrderedDict[Any, tuple[DeltaResponse, bytes]] = OrderedDict()

    def __call__(self, response: DeltaResponse) -> bytes:
        resources = tuple((name, id(data)) for name, _, data in response.resources)
        key = (response.type_url, response.version_info, resources, response.removed)
        kept = self._bodies.get(key)
        if kept is None:
            kept = self._bodies[key] = (response, _delta_body(response))
            if len(self._bodies) > self._size:
                self._bodies.popitem(last=False)
        self._bodies.move_to_end(key)
        return kept[1] + bytes(discovery_pb2.DeltaDiscoveryResponse(nonce=response.nonce).SerializeToString())


def _delta_body(response: DeltaResponse) -> bytes:
    message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info=response.version_info,
        type_url=response.type_url,
        removed_resources=response.removed,
        resources=[
            discovery_pb2.Resource(
                name=name, version=version, resource=any_pb2.Any(type_url=response.type_url, value=data)
            )
            for name, version, data in response.resources
        ],
    )
    return bytes(message.SerializeToString(deterministic=True))


def delta_response_from_bytes(data: bytes) -> DeltaResponse:
    """From a serialized ``DeltaDiscoveryResponse``. Raises :class:`DecodeError` as :func:`response_from_bytes` does."""
    try:
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    except ProtobufDecodeError as error:
        raise DecodeError(f"delta discovery response: malformed: {error}") from None
    for index, item in enumerate(message.resources):
        if item.resource.type_url != message.type_url:
            kind = item.resource.type_url or "a missing type"
            raise DecodeError(
                f"delta discovery response: resources[{index}]: {kind} in a response of {message.type_url}"
            )
    return DeltaResponse(
        message.type_url,
        message.system_version_info,
        message.nonce,
        tuple(sorted((item.name, item.version, bytes(item.resource.value)) for item in message.resources)),
        tuple(sorted(message.removed_resources)),
    )

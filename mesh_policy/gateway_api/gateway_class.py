"""GatewayClass: who makes Gateways of a class real. An object of the whole cluster, in no namespace."""

from typing import Annotated, Any, ClassVar, Literal

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Text
from mesh_policy.gateway_api.kind import GatewayApiPolicy
from mesh_policy.gateway_api.names import DOMAIN_PATH
from mesh_policy.gateway_api.object_refs import ObjectReference

ControllerName = Annotated[
    str, Text("a controller; write DOMAIN/NAME, such as istio.io/gateway-controller", f"^{DOMAIN_PATH}$")
]


class GatewayClassSpec(Model):
    """Who makes Gateways of this class real. It is an object of the whole cluster, in no namespace."""

    controller_name: ControllerName
    """Who makes Gateways of this class real, as ``DOMAIN/NAME``; it can never change. Istio's name is
    ``istio.io/gateway-controller``, and for waypoints ``istio.io/mesh-controller``."""
    parameters_ref: ObjectReference | None = None
    """Object with settings for all Gateways of the class. Istio does not look at it: it takes a ConfigMap labelled
    ``gateway.istio.io/defaults-for-class``."""
    description: Annotated[str, Text("a text", most=64, least=0)] | None = None
    """What the class is for, for people; at most 64 characters."""


class GatewayClass(GatewayApiPolicy):
    """See :class:`GatewayClassSpec`."""

    KIND: ClassVar[str] = "GatewayClass"
    kind: Literal["GatewayClass"] = "GatewayClass"
    spec: GatewayClassSpec

    def to_document(self) -> dict[str, Any]:
        """The object as plain values, without a namespace."""
        document = super().to_document()
        del document["metadata"]["namespace"]
        return document

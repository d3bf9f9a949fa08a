"""Where requests go: Services, or other kinds of backends."""

from typing import Self

from pydantic import model_validator

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName, Weight
from mesh_policy.gateway_api.refusals import refuse


class Backend(Model):
    """One backend: a Service, or what the implementation takes besides."""

    group: Group | None = None
    """API group of the backend; default ``""``, the core group, to which Services belong."""
    kind: Kind | None = None
    """Kind of the backend; default ``Service``. Istio also takes ``Hostname`` of ``networking.istio.io`` (any host of
    the mesh), ``ServiceImport``, and in HTTPRoutes ``InferencePool``; what goes to any other fails."""
    name: ObjectName
    """Name of the backend; of a Service its plain name, without namespace and domain."""
    namespace: NamespaceName | None = None
    """Namespace of the backend; default the route's. Another one must allow it by a ReferenceGrant, or nothing gets
    there."""
    port: Port | None = None
    """Port of the backend; of a Service its own port, not that of its pods, and then required."""

    @property
    def is_service(self) -> bool:
        """Whether it is a Service of Kubernetes."""
        return not self.group and self.kind in (None, "Service")

    @model_validator(mode="after")
    def _service_has_port(self) -> Self:
        if self.is_service and self.port is None:
            refuse(self, [(("port",), "is required for a Service")])
        return self


class WeightedBackend(Backend):
    """A backend and its share of the traffic."""

    weight: Weight | None = None
    """Share of the traffic, relative to the sum of all weights beside it; default 1. With 0 the backend gets
    nothing."""

"""Where requests go: Services, or other kinds of backends."""

from typing import Self

from pydantic import model_validator

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.names import Group, Kind, NamespaceName, ObjectName, Weight
from mesh_policy.gateway_api.refusals import refuse


class Backend(Model):
    """One backend: ``group`` is by default the core's (``""``), ``kind`` ``Service``, ``namespace`` that of the route.

    In another namespace it takes a ReferenceGrant there. A Service needs its ``port`` (not that of its pods).
    """

    group: Group | None = None
    kind: Kind | None = None
    name: ObjectName
    namespace: NamespaceName | None = None
    port: Port | None = None

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
    """A backend and its share: ``weight`` (by default 1) of the sum of all beside it; with 0 it gets no requests."""

    weight: Weight | None = None

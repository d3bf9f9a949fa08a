"""Backends of rules as destinations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mesh_control.gateway_api.converted import Surroundings
from mesh_policy.gateway_api.attachment import Reference, Route, is_granted
from mesh_policy.gateway_api.backend_refs import Backend, WeightedBackend
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.hosts import CLUSTER_DOMAIN
from mesh_policy.networking.destinations import Destination, PortSelector, WeightedDestination

B = TypeVar("B", bound=WeightedBackend)

NOBODY = Destination.model_construct(host="")
"""A backend that may not be used, or is of an unknown kind: there is no such cluster, so requests fail as they are to."""
NOWHERE = Destination.model_construct(
    host="internal.cluster.local", subset="zero-weight", port=PortSelector.model_construct(number=65535)
)
"""Where the connections of a rule go whose weights are all 0 (Istio)."""


class RuleError(Exception):
    """A rule that cannot be converted: nothing of its route comes into force, as in Istio. The message says why, and
    ``reason`` is Istio's word for it in the route's status."""

    def __init__(self, message: str, reason: str = "InvalidDestination") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Referrer:
    """The route that names backends. ``checked``: those of other namespaces must be granted, which in the mesh none is."""

    route: Route
    grants: Sequence[ReferenceGrant]
    around: Surroundings
    checked: bool


def total(backends: Sequence[WeightedBackend] | None) -> int:
    """The sum of the weights; one that is not written is 1."""
    return sum(map(weight, backends or ()))


def weight(backend: WeightedBackend) -> int:
    """Its share."""
    return 1 if backend.weight is None else backend.weight


def shares(backends: Sequence[B]) -> list[tuple[B, int]]:
    """Those with a weight and what stands for it in Istio's rule: 0 for one that is alone."""
    used = [(backend, weight(backend)) for backend in backends if weight(backend)]
    return used if len(used) > 1 else [(backend, 0) for backend, _ in used]


def streams(referrer: Referrer, backends: Sequence[WeightedBackend]) -> tuple[WeightedDestination, ...]:
    """The destinations of a rule for connections. Raises :class:`RuleError`."""
    if not total(backends):
        return (WeightedDestination.model_construct(destination=NOWHERE, weight=0),)
    return tuple(
        WeightedDestination.model_construct(destination=destination(referrer, backend), weight=share)
        for backend, share in shares(backends)
    )


def destination(referrer: Referrer, backend: Backend) -> Destination:
    """The destination of one backend. Raises :class:`RuleError` where there can be none."""
    namespace = backend.namespace or referrer.route.metadata.namespace
    group, kind = backend.group or "", backend.kind or "Service"
    if not is_permitted(referrer, backend):
        return NOBODY
    if (group, kind) in (("", "Service"), ("multicluster.x-k8s.io", "ServiceImport")):
        if kind == "Service" and "." in backend.name:
            raise RuleError(f"{backend.name}: a Service is named by its name, not by its host name")
        host = f"{backend.name}.{namespace}.{CLUSTER_DOMAIN}"
    elif (group, kind) == ("networking.istio.io", "Hostname"):
        if backend.namespace is not None:
            raise RuleError("a Hostname has no namespace")
        host = backend.name
    else:
        return NOBODY
    if backend.port is None:
        raise RuleError(f"backend {backend.name} needs a port")
    return Destination.model_construct(host=host, port=PortSelector.model_construct(number=backend.port))


def is_permitted(referrer: Referrer, backend: Backend) -> bool:
    """Whether the route may name a backend at all."""
    namespace = backend.namespace or referrer.route.metadata.namespace
    target = Reference(backend.group or "", backend.kind or "Service", namespace, backend.name)
    return not referrer.checked or is_granted(_itself(referrer.route), target, referrer.grants)


def is_there(referrer: Referrer, backend: Backend) -> bool:
    """Whether a backend may be used and exists."""
    if destination(referrer, backend) is NOBODY:
        return False
    if backend.kind == "Hostname":
        return backend.name in referrer.around.hosts
    return f"{backend.namespace or referrer.route.metadata.namespace}/{backend.name}" in referrer.around.services


def _itself(route: Route) -> Reference:
    return Reference(route.GROUP, route.KIND, route.metadata.namespace, route.metadata.name)

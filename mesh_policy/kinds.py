"""The one list of policy kinds."""

from mesh_policy.base import Policy
from mesh_policy.destination_rule import DestinationRule
from mesh_policy.gateway import Gateway
from mesh_policy.service_entry import ServiceEntry
from mesh_policy.virtual_service import VirtualService
from mesh_policy.workload_entry import WorkloadEntry

KINDS: dict[str, type[Policy]] = {
    kind.KIND: kind for kind in (DestinationRule, Gateway, ServiceEntry, VirtualService, WorkloadEntry)
}
"""Kind to its class."""

GROUP = "networking.istio.io"
"""API group of all of :data:`KINDS`."""


def is_policy(group: str, kind: str) -> bool:
    """Whether an object says something about traffic: it is taken or refused by name, never passed over.

    Every group of Istio's, the Gateway API, and our kinds below a group that is misspelt.
    """
    return group.endswith(("istio.io", "gateway.networking.k8s.io")) or kind in KINDS

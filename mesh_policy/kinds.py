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

GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "extensions.istio.io")
"""API groups whose objects are policies: a kind of theirs that is not in :data:`KINDS` is an error, never passed over."""

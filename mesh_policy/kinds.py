"""The one list of policy kinds."""

from mesh_policy.base import Policy
from mesh_policy.networking.destination_rule import DestinationRule
from mesh_policy.networking.gateway import Gateway
from mesh_policy.networking.service_entry import ServiceEntry
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.networking.workload_entry import WorkloadEntry

GroupKind = tuple[str, str]

KINDS: dict[GroupKind, type[Policy]] = {
    (kind.GROUP, kind.KIND): kind for kind in (DestinationRule, Gateway, ServiceEntry, VirtualService, WorkloadEntry)
}
"""API group and kind to its class. Two groups have a kind named Gateway."""

GROUPS = ("networking.istio.io", "security.istio.io", "telemetry.istio.io", "gateway.networking.k8s.io")
"""API groups that say something about traffic."""


def kind_names() -> list[str]:
    """The names of all kinds, sorted, each once."""
    return sorted({kind for _, kind in KINDS})


def is_policy(group: str, kind: str) -> bool:
    """Whether an object says something about traffic: it is taken or refused by name, never passed over.

    Every group of Istio's, the Gateway API, and our kinds below a group that is misspelt.
    """
    return group.endswith(("istio.io", "gateway.networking.k8s.io")) or kind in kind_names()

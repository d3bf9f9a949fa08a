"""Who a proxy is: the identity that it sends with its first discovery request (Envoy ``core.v3.Node``)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class NodeKind(Enum):
    """Istio's node types: a workload's own proxy, or a gateway."""

    SIDECAR = "sidecar"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class NodeId:
    """The parts of Istio's node id ``kind~address~name.namespace~domain``."""

    kind: NodeKind
    address: str
    name: str
    namespace: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> "NodeId":
        """Parses ``sidecar~10.0.0.1~order-1.default~default.svc.cluster.local``.

        Raises :class:`ValueError`, which says what is wrong with which part.
        """
        parts = text.split("~")
        if len(parts) != 4:
            raise ValueError(f"node id {text!r}: expected kind~address~name.namespace~domain, found {len(parts)} parts")
        kind, address, workload, domain = parts
        if kind not in {known.value for known in NodeKind}:
            raise ValueError(f"node id {text!r}: kind {kind!r} is none of sidecar, router")
        # A workload's name may hold dots, a namespace may not (RFC 1123 label).
        name, _, namespace = workload.rpartition(".")
        if not name or not namespace:
            raise ValueError(f"node id {text!r}: {workload!r} is not of the form name.namespace")
        if not address or not domain:
            raise ValueError(f"node id {text!r}: the {'domain' if address else 'address'} is empty")
        return cls(NodeKind(kind), address, name, namespace, domain)

    def __str__(self) -> str:
        return f"{self.kind.value}~{self.address}~{self.name}.{self.namespace}~{self.domain}"


@dataclass(frozen=True, slots=True)
class Node:
    """A proxy as it introduces itself. ``metadata`` holds JSON values (``NAMESPACE``, ``LABELS`` ...).

    ``user_agent`` names the software (``meshwright 0.1.0``, ``envoy``).
    """

    id: str
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    user_agent: str = ""
    region: str = ""
    zone: str = ""
    sub_zone: str = ""

    def parsed_id(self) -> NodeId:
        """The parts of :attr:`id`; raises :class:`ValueError` when it has another form."""
        return NodeId.parse(self.id)

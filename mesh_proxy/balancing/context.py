"""What is known of a request when a host is chosen for it."""

from typing import Final

from mesh_api.config.load_balancing import Labels
from mesh_proxy.balancing.host import Host
from mesh_proxy.native import mypyc_attr

CANARY: Final = ("canary", "true")
"""The label of a canary (Envoy ``MetadataEnvoyLbKeys::CANARY``), as JSON."""


@mypyc_attr(free_list_len=1)
class PickContext:
    """One request's, filled by whoever routes it and used for all of its attempts; a plain one for those who ask nothing.

    ``now`` is in seconds of the loop's clock. ``hash`` is the key of consistent hashing, -1 where the route's policies say
    nothing of the request. ``labels`` are those of the subset that the route means. ``tried`` has the hosts of attempts
    before; on a retry (``retry``) hosts are rejected by the policy's predicates, at most ``attempts`` times.
    """

    __slots__ = (
        "active_requests", "attempts", "avoid_tried", "destination", "hash", "labels", "now", "omit_canary", "omit_labels",
        "priority_frequency", "retry", "tried",
    )  # fmt: skip

    def __init__(self, now: float) -> None:
        self.now: float = now
        self.active_requests: int = 0
        """Of the whole cluster, where its balancer limits what one host gets."""
        self.hash: int = -1
        self.labels: Labels = ()
        self.destination: tuple[str, int] | None = None
        """Where the connection, or the request's header, was going; or the name and port that it asks for."""
        self.tried: list[Host] = []
        self.retry: bool = False
        self.attempts: int = 1
        """Further choices when one is rejected (``host_selection_retry_max_attempts``)."""
        self.avoid_tried: bool = False
        self.omit_canary: bool = False
        self.omit_labels: Labels = ()
        self.priority_frequency: int = 0
        """After how many attempts priorities that were tried are left out (``previous_priorities``); 0: never."""

    def rejects(self, host: Host) -> bool:
        """Whether a predicate of the retry policy speaks against the host (Envoy ``shouldSelectAnotherHost``)."""
        if not self.retry:
            return False
        if self.avoid_tried and host in self.tried:
            return True
        if not self.omit_canary and not self.omit_labels:
            return False
        labels = host.endpoint.lb_metadata if host.endpoint is not None else ()
        if self.omit_canary and CANARY in labels:
            return True
        return bool(self.omit_labels) and all(label in labels for label in self.omit_labels)

"""What a connection manager counts of requests and answers, under Envoy's names."""

from typing import Final

from mesh_proxy.telemetry.stats import Counters

EARLY: Final = "downstream_rq_response_before_rq_complete"
"""Answers that began before the request had been said."""
_CLASSES: Final = tuple(f"downstream_rq_{digit}xx" for digit in range(10))


def count_request(stats: Counters, protocol: bytes) -> None:
    """A request is over."""
    stats.add("downstream_rq_total")
    if protocol == b"HTTP/2":
        stats.add("downstream_rq_http2_total")  # those of HTTP/1 are what is left of all


def count_answer(stats: Counters, status: int) -> None:
    """An answer by its class; interim ones that clients are sent count as well (Envoy)."""
    stats.add(_CLASSES[status // 100])
    stats.add("downstream_rq_completed")


def count_invitation(stats: Counters) -> None:
    """A client that waits to be invited was (100); its answer is counted as any other (Envoy)."""
    count_answer(stats, 100)


def count_reset(stats: Counters, by_us: bool) -> None:
    """A request did not come to its end. Envoy says so of the client in any case, and of itself where it broke off."""
    stats.add("downstream_rq_rx_reset")
    if by_us:
        stats.add("downstream_rq_tx_reset")


def count_end(stats: Counters, by_client: bool, under_way: bool) -> None:
    """A connection is gone. ``by_client``: the client ended it, not we; ``under_way``: there were requests on it."""
    side = "remote" if by_client else "local"
    stats.add("downstream_cx_destroy")
    stats.add(f"downstream_cx_destroy_{side}")
    if under_way:
        stats.add("downstream_cx_destroy_active_rq")
        stats.add(f"downstream_cx_destroy_{side}_active_rq")

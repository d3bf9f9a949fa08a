"""What a connection manager counts of requests and answers, under Envoy's names."""

from typing import Final

from mesh_proxy.snapshot import RequestTallies
from mesh_proxy.telemetry.stats import Counters

EARLY: Final = "downstream_rq_response_before_rq_complete"
"""Answers that began before the request had been said."""


def count_request(tallies: RequestTallies, protocol: bytes) -> None:
    """A request is over."""
    tallies.total.number += 1
    if protocol == b"HTTP/2":
        tallies.http2.number += 1  # those of HTTP/1 are what is left of all


def count_answer(tallies: RequestTallies, status: int) -> None:
    """An answer by its class; interim ones that clients are sent count as well (Envoy)."""
    tallies.classes[status // 100].number += 1
    tallies.completed.number += 1


def count_invitation(tallies: RequestTallies) -> None:
    """A client that waits to be invited was (100); its answer is counted as any other (Envoy)."""
    count_answer(tallies, 100)


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

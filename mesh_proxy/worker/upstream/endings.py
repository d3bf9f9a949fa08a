"""How connections to hosts end, as Envoy counts it."""

from mesh_proxy.telemetry.stats import Counters


def count_end(counters: Counters, by_host: bool, under_way: bool) -> None:
    """A connection is gone. ``by_host``: the host ended it, not we; ``under_way``: there were requests on it."""
    side = "remote" if by_host else "local"
    counters.add("upstream_cx_destroy")
    counters.add(f"upstream_cx_destroy_{side}")
    if under_way:
        counters.add("upstream_cx_destroy_with_active_rq")
        counters.add(f"upstream_cx_destroy_{side}_with_active_rq")

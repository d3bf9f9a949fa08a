"""Several workers' numbers as one."""

from mesh_proxy.ipc import Histogram, HostStats, Stats
from mesh_proxy.supervisor.stats import merge

INF = float("inf")


def test_nothing_is_the_sum_of_nothing() -> None:
    assert merge([]) == Stats()


def test_numbers_add_up_except_those_that_are_alike_everywhere() -> None:
    one = Stats({"a": 1}, {"cluster.x.membership_total": 3, "cluster.x.upstream_rq_active": 2})
    two = Stats({"a": 2, "b": 5}, {"cluster.x.membership_total": 3, "cluster.x.upstream_rq_active": 1})
    merged = merge([one, two])
    assert merged.counters == {"a": 3, "b": 5}
    assert merged.gauges == {"cluster.x.membership_total": 3, "cluster.x.upstream_rq_active": 3}


def test_histograms_add_up_by_bucket() -> None:
    one = Stats(histograms={"t": Histogram((1.0, INF), (1, 2), 9.0, 3)})
    two = Stats(histograms={"t": Histogram((1.0, INF), (10, 0), 5.0, 10)})
    assert merge([one, two]).histograms == {"t": Histogram((1.0, INF), (11, 2), 14.0, 13)}


def test_histogram_with_other_buckets_begins_anew() -> None:
    old = Stats(histograms={"t": Histogram((1.0, INF), (1, 2), 9.0, 3)})
    new = Stats(histograms={"t": Histogram((2.0, INF), (1, 0), 1.0, 1)})
    assert merge([old, new]).histograms == new.histograms


def test_a_host_is_ejected_when_one_worker_ejects_it() -> None:
    one = Stats(hosts={"c": (HostStats("b", True, False, active_requests=1), HostStats("a", True, False, errors=1))})
    two = Stats(hosts={"c": (HostStats("b", False, True, active_requests=2, times_ejected=1),)}, listeners={"l": "x"})
    merged = merge([one, two])
    assert merged.hosts == {
        "c": (
            HostStats("a", True, False, errors=1),
            HostStats("b", False, True, active_requests=3, times_ejected=1),
        )
    }
    assert merged.listeners == {"l": "x"}

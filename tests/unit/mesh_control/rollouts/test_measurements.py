"""What is measured: the arithmetic of counts and quantiles, and the statistics of proxies as a source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api.node import Node
from mesh_control.rollouts.measurements import Counts, quantile, reading
from mesh_control.rollouts.proxies import ProxyMeasurements, counts_of, stats_url
from mesh_policy import CanaryRelease
from mesh_policy.releases import ErrorRate, Latency, Weight
from mesh_policy.releases.machine import Rollout

INF = float("inf")
ERRORS = ErrorRate("> 10%", window="10s")
SLOW = Latency("> 500ms", window="4s", quantile=0.5)
ROLLOUT = Rollout(
    release=CanaryRelease(service="books", stable="v1", candidate="v2", steps=(Weight(10),), abort=(ERRORS, SLOW))
)
HOST = ROLLOUT.release.host


@pytest.mark.parametrize(
    ("times", "share", "value"),
    [
        ([], 0.5, 0.0),
        ([(10.0, 0), (INF, 0)], 0.5, 0.0),
        ([(10.0, 10), (INF, 10)], 0.5, 5.0),
        ([(10.0, 5), (100.0, 10), (INF, 10)], 0.5, 10.0),
        ([(10.0, 5), (100.0, 10), (INF, 10)], 0.95, 91.0),
        ([(10.0, 0), (100.0, 10), (INF, 10)], 0.1, 19.0),
        ([(10.0, 5), (100.0, 5), (INF, 10)], 0.9, 100.0),
    ],
)
def test_quantiles_are_those_of_prometheus(times: list[tuple[float, int]], share: float, value: float) -> None:
    assert quantile(times, share) == pytest.approx(value)


@given(
    st.lists(st.integers(0, 50), min_size=3, max_size=3),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
def test_a_larger_share_takes_no_less_time(more: list[int], one: float, other: float) -> None:
    counts = [sum(more[: place + 1]) for place in range(3)]
    times = list(zip((10.0, 100.0, INF), counts, strict=True))
    low, high = sorted((one, other))
    assert 0 <= quantile(times, low) <= quantile(times, high) <= 100


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        (Counts(10, 2, {1.0: 5, INF: 10}), Counts(15, 3, {1.0: 6, INF: 15}), Counts(5, 1, {1.0: 1, INF: 5})),
        (Counts(10, 2, {INF: 10}), Counts(3, 1, {INF: 3}), Counts(3, 1, {INF: 3})),
        (Counts(), Counts(1, 1, {INF: 1}), Counts(1, 1, {INF: 1})),
    ],
    ids=["on top", "started again", "from nothing"],
)
def test_what_came_on_top(before: Counts, after: Counts, left: Counts) -> None:
    assert after.since(before) == left


def test_two_proxies_are_summed() -> None:
    total = Counts(1, 1, {1.0: 1}).plus(Counts(2, 0, {1.0: 1, INF: 2}))
    assert total == Counts(3, 1, {1.0: 2, INF: 2})


@pytest.mark.parametrize(("errors", "requests", "share"), [(0, 0, 0.0), (1, 8, 12.5), (8, 8, 100.0)])
def test_a_share_of_errors(errors: int, requests: int, share: float) -> None:
    found = reading(ERRORS, Counts(requests, errors))
    assert (found.requests, found.value) == (requests, share)


OURS = """# TYPE envoy_cluster_upstream_rq_completed counter
envoy_cluster_upstream_rq_completed{name="outbound|80|v2|books.default.svc.cluster.local"} 7
envoy_cluster_upstream_rq_completed{name="outbound|81|v2|books.default.svc.cluster.local"} 3
envoy_cluster_upstream_rq_completed{name="outbound|80|v1|books.default.svc.cluster.local"} 100
envoy_cluster_upstream_rq_completed{name="outbound|80|v2|books.other.svc.cluster.local"} 100
envoy_cluster_upstream_rq_completed{name="inbound|80||"} 100
envoy_cluster_upstream_rq_xx{name="outbound|80|v2|books.default.svc.cluster.local",envoy_response_code_class="5"} 2
envoy_cluster_upstream_rq_xx{name="outbound|80|v2|books.default.svc.cluster.local",envoy_response_code_class="4"} 4
envoy_cluster_upstream_rq_time_bucket{name="outbound|80|v2|books.default.svc.cluster.local",le="0.5"} 1
envoy_cluster_upstream_rq_time_bucket{name="outbound|81|v2|books.default.svc.cluster.local",le="0.5"} 2
envoy_cluster_upstream_rq_time_bucket{name="outbound|80|v2|books.default.svc.cluster.local",le="+Inf"} 7
""".replace("{name=", "{envoy_cluster_name=")
ISTIOS = OURS.replace('.local"', '.local;"')
SPLIT = OURS.replace('books.default.svc.cluster.local"', 'books"').replace(
    "\nenvoy_cluster_", "\nenvoy_cluster_default_svc_cluster_local__"
)
"""As Envoy 1.40 with ``alt_stat_name`` ending in a semicolon writes it when no tags are configured (measured)."""
BESIDE = """envoy_cluster_default_svc_cluster_local__external_upstream_rq_completed{name="outbound|80|v2|books"} 7
envoy_cluster_other_svc_cluster_local__upstream_rq_completed{name="outbound|80|v2|books"} 7
""".replace("{name=", "{envoy_cluster_name=")


@pytest.mark.parametrize("text", [OURS, ISTIOS, SPLIT, SPLIT + BESIDE], ids=["ours", "Istio's", "Envoy's", "others"])
def test_counts_are_of_the_candidate_alone(text: str) -> None:
    assert counts_of(text, HOST, "v2") == Counts(10, 2, {0.5: 3, INF: 7})


@pytest.mark.parametrize("text", ["", "nonsense\n{}", "envoy_cluster_upstream_rq_xx{} 4", BESIDE])
def test_nothing_is_counted_where_nothing_is_said(text: str) -> None:
    assert counts_of(text, HOST, "v2") == Counts()


NODE = "sidecar~10.0.0.3~store.default~default.svc.cluster.local"
NODE6 = "sidecar~fd00::3~store.default~default.svc.cluster.local"


@pytest.mark.parametrize(
    ("node", "address", "url"),
    [
        (NODE, "0.0.0.0:15090", "http://10.0.0.3:15090/stats/prometheus"),
        (NODE6, "[::]:15090", "http://[fd00::3]:15090/stats/prometheus"),
        (NODE, "127.0.0.1:9", "http://127.0.0.1:9/stats/prometheus"),
        (NODE, "", None),
        (NODE, "15090", None),
        (NODE, "a:b", None),
    ],
)
def test_where_statistics_are(node: str, address: str, url: str | None) -> None:
    assert stats_url(Node(node, metadata={"STATS_ADDRESS": address})) == url


class Proxies:
    """Proxies that count."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, int]] = {"a": (0, 0)}
        self.silent: set[str] = set()

    def nodes(self) -> dict[str, Node]:
        return {name: Node(NODE, metadata={"STATS_ADDRESS": f"{name}:1"}) for name in self.counts}

    async def fetch(self, url: str) -> str:
        name = url.removeprefix("http://").partition(":")[0]
        if name in self.silent:
            raise TimeoutError
        requests, errors = self.counts[name]
        label = f'envoy_cluster_name="outbound|80|v2|{HOST}"'
        return (
            f"envoy_cluster_upstream_rq_completed{{{label}}} {requests}\n"
            f'envoy_cluster_upstream_rq_xx{{{label},envoy_response_code_class="5"}} {errors}\n'
        )


async def errors_at(source: ProxyMeasurements, now: float) -> tuple[int, float] | None:
    found = (await source.read(ROLLOUT, now)).get(str(ERRORS))
    return None if found is None else (found.requests, found.value)


async def test_only_what_came_within_the_window_counts() -> None:
    proxies = Proxies()
    source = ProxyMeasurements(proxies.nodes, proxies.fetch)
    proxies.counts["a"] = (1000, 1000)
    assert await errors_at(source, 0.0) == (0, 0.0)  # before it was looked at first
    proxies.counts["a"] = (1020, 1020)
    assert await errors_at(source, 5.0) == (20, 100.0)
    proxies.counts["a"] = (1040, 1020)
    assert await errors_at(source, 10.0) == (40, 50.0)
    assert await errors_at(source, 15.0) == (20, 0.0)
    assert await errors_at(source, 30.0) == (0, 0.0)


async def test_a_proxy_that_is_started_again_or_new_adds_what_it_counts() -> None:
    proxies = Proxies()
    source = ProxyMeasurements(proxies.nodes, proxies.fetch)
    proxies.counts["a"] = (100, 0)
    await errors_at(source, 0.0)
    proxies.counts = {"a": (4, 4), "b": (500, 500)}
    assert await errors_at(source, 1.0) == (4, 100.0)  # of b nobody knows since when it counts
    proxies.counts["b"] = (504, 500)
    assert await errors_at(source, 2.0) == (8, 50.0)


async def test_a_proxy_that_does_not_answer_makes_the_measurement_impossible() -> None:
    proxies = Proxies()
    source = ProxyMeasurements(proxies.nodes, proxies.fetch)
    proxies.counts["b"] = (0, 0)
    await errors_at(source, 0.0)
    proxies.silent = {"b"}
    assert await errors_at(source, 1.0) is None
    proxies.silent = set()
    proxies.counts["a"] = (5, 5)
    assert await errors_at(source, 2.0) == (5, 100.0)
    proxies.counts = {}
    assert await errors_at(source, 3.0) is None


async def test_what_is_forgotten_begins_anew() -> None:
    proxies = Proxies()
    source = ProxyMeasurements(proxies.nodes, proxies.fetch)
    await errors_at(source, 0.0)
    proxies.counts["a"] = (9, 9)
    source.forget(ROLLOUT.name)
    assert await errors_at(source, 1.0) == (0, 0.0)

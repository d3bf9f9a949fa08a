"""Statistics as text."""

import pytest

from mesh_proxy.ipc import Histogram, Stats
from mesh_proxy.supervisor.exposition import as_json, family_of, plain, prometheus, quantiles

INF = float("inf")
ORDER = "outbound|8380|v1|order.default.svc.cluster.local"

NAMES = [
    (f"cluster.{ORDER}.upstream_rq_total", "envoy_cluster_upstream_rq_total", {"envoy_cluster_name": ORDER}),
    (
        f"cluster.{ORDER}.upstream_rq_503",
        "envoy_cluster_upstream_rq",
        {"envoy_cluster_name": ORDER, "envoy_response_code": "503"},
    ),
    (
        f"cluster.{ORDER}.upstream_rq_5xx",
        "envoy_cluster_upstream_rq_xx",
        {"envoy_cluster_name": ORDER, "envoy_response_code_class": "5"},
    ),
    (
        f"cluster.{ORDER}.outlier_detection.ejections_active",
        "envoy_cluster_outlier_detection_ejections_active",
        {"envoy_cluster_name": ORDER},
    ),
    (
        f"cluster.{ORDER}.circuit_breakers.default.rq_open",
        "envoy_cluster_circuit_breakers_default_rq_open",
        {"envoy_cluster_name": ORDER},
    ),
    ("cluster.a.something_new", "envoy_cluster_something_new", {"envoy_cluster_name": "a"}),
    (
        "listener.0.0.0.0_15006.downstream_cx_total",
        "envoy_listener_downstream_cx_total",
        {"envoy_listener_address": "0.0.0.0_15006"},
    ),
    (
        "http.outbound_0.0.0.0_8380.downstream_rq_2xx",
        "envoy_http_downstream_rq_xx",
        {"envoy_http_conn_manager_prefix": "outbound_0.0.0.0_8380", "envoy_response_code_class": "2"},
    ),
    (
        "listener.0.0.0.0_15006.http.inbound_0.0.0.0_8080;.downstream_rq_5xx",
        "envoy_listener_http_downstream_rq_xx",
        {
            "envoy_listener_address": "0.0.0.0_15006",
            "envoy_http_conn_manager_prefix": "inbound_0.0.0.0_8080",
            "envoy_response_code_class": "5",
        },
    ),
    (f"cluster.{ORDER};.ssl.handshake", "envoy_cluster_ssl_handshake", {"envoy_cluster_name": ORDER}),
    (
        f"cluster.{ORDER};.ssl.versions.TLSv1.3",
        "envoy_cluster_ssl_versions",
        {"envoy_cluster_name": ORDER, "envoy_ssl_version": "TLSv1.3"},
    ),
    (
        "listener.0.0.0.0_15006.ssl.ciphers.ECDHE-ECDSA-AES128-GCM-SHA256",
        "envoy_listener_ssl_ciphers",
        {"envoy_listener_address": "0.0.0.0_15006", "envoy_ssl_cipher": "ECDHE-ECDSA-AES128-GCM-SHA256"},
    ),
    ("tcp.a.downstream_cx_total", "envoy_tcp_downstream_cx_total", {"envoy_tcp_prefix": "a"}),
    ("cluster_manager.cds.update_success", "envoy_cluster_manager_cds_update_success", {}),
    ("server.uptime", "envoy_server_uptime", {}),
]


@pytest.mark.parametrize(("name", "family", "labels"), NAMES, ids=[name for name, _, _ in NAMES])
def test_names_become_envoys_families_and_labels(name: str, family: str, labels: dict[str, str]) -> None:
    assert family_of(name) == (family, labels)


STATS = Stats(
    {'cluster.a"b.upstream_rq_total': 2, "cluster.c.upstream_rq_total": 3},
    {"server.live": 1},
    {"cluster.c.upstream_rq_time": Histogram((1.0, 5.0, INF), (1, 2, 1), 30.5, 4)},
)


def test_prometheus() -> None:
    assert prometheus(STATS).splitlines() == [
        "# TYPE envoy_cluster_upstream_rq_total counter",
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="a\\"b"} 2',
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="c"} 3',
        "# TYPE envoy_server_live gauge",
        "envoy_server_live 1",
        "# TYPE envoy_cluster_upstream_rq_time histogram",
        'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="c",le="1"} 1',
        'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="c",le="5"} 3',
        'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="c",le="+Inf"} 4',
        'envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="c"} 30.5',
        'envoy_cluster_upstream_rq_time_count{envoy_cluster_name="c"} 4',
    ]


def test_plain_and_json_keep_what_is_asked_for() -> None:
    assert plain(STATS, lambda name: name.startswith("server")) == "server.live: 1\n"
    assert as_json(STATS, lambda name: name.startswith("server")) == {"stats": [{"name": "server.live", "value": 1}]}
    assert "cluster.c.upstream_rq_time: P0(0) P25(1)" in plain(STATS)
    assert as_json(STATS)["stats"][-1]["histograms"]["computed_quantiles"][0]["name"] == "cluster.c.upstream_rq_time"


def test_quantiles_are_interpolated_and_end_at_the_last_finite_bound() -> None:
    values = dict(quantiles(Histogram((1.0, 5.0, INF), (1, 2, 1), 30.5, 4)))
    assert (values[0], values[25], values[50], values[75], values[100]) == (0.0, 1.0, 3.0, 5.0, 5.0)
    assert dict(quantiles(Histogram((1.0, INF), (0, 0), 0.0, 0)))[50] == 0.0

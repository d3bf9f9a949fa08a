"""Connections and TLS as sidecars have counted them."""

from mesh_cli.scenarios.statistics import Opened, opened

PAGE = """
# TYPE envoy_cluster_upstream_cx_total counter
envoy_cluster_upstream_cx_total{envoy_cluster_name="outbound|8380||order.default.svc.cluster.local"} 5
envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="outbound|8380||order.default.svc.cluster.local"} 1
envoy_cluster_ssl_handshake{envoy_cluster_name="outbound|8380||order.default.svc.cluster.local"} 4
envoy_cluster_upstream_cx_total{envoy_cluster_name="outbound|5432||postgres.default.svc.cluster.local"} 2
envoy_cluster_upstream_cx_total{envoy_cluster_name="outbound|80||idle.default.svc.cluster.local"} 0
envoy_cluster_upstream_cx_total{envoy_cluster_name="inbound|8380||"} 7
"""
OTHER = """
envoy_cluster_upstream_cx_total{envoy_cluster_name="outbound|8380|v1|order.default.svc.cluster.local"} 3
envoy_cluster_ssl_handshake{envoy_cluster_name="outbound|8380|v1|order.default.svc.cluster.local"} 2
"""


def test_what_stood_is_told_of_each_service_over_all_sidecars() -> None:
    assert list(opened([PAGE, OTHER])) == [Opened("order", 7, 6), Opened("postgres", 2, 0)]
    assert list(opened([])) == []

"""Gateways that hand the mesh's own TLS on: their chains, and the clusters that these lead to."""

from tests.unit.mesh_control.worlds import GATEWAY, compiled

OBJECTS = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: cross, namespace: edge}
spec: {servers: [{port: {number: 15443, name: tls, protocol: TLS}, hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints:
  - {address: 10.0.0.1, labels: {security.istio.io/tlsMode: istio}}
  - {address: 10.0.0.2}
"""
NAME = "outbound_.80_._.web.default.svc.cluster.local"


def test_a_cluster_by_name_has_the_hosts_that_take_the_meshs_tls() -> None:
    config = compiled(OBJECTS, GATEWAY)
    (chain,) = (c for c in config.listeners[0].filter_chains if c.match.server_names == (NAME,))
    (cluster,) = (cluster for cluster in config.clusters if cluster.name == NAME)
    (hosts,) = (found for found in config.endpoints if found.cluster_name == NAME)
    assert (cluster.tls, cluster.tls_matches, cluster.assignment_name) == (None, (), NAME)
    assert [str(host.address) for locality in hosts.localities for host in locality.endpoints] == ["10.0.0.1:80"]
    assert "istio" in chain.match.application_protocols
    assert config.missing() == ()

"""Where a cluster says that its gateway, its workloads and their sidecars are."""

from typing import Any

import pytest

from mesh_cli.scenarios.cluster import ClusterError, Places, gateway_url, places

NODE = {
    "status": {"addresses": [{"type": "Hostname", "address": "node1"}, {"type": "InternalIP", "address": "10.77.0.11"}]}
}


def service(*addresses: dict[str, str], node_port: int | None = None) -> dict[str, Any]:
    ports = [{"name": "status-port", "port": 15021}, {"name": "http2", "port": 80}]
    ports[1] |= {} if node_port is None else {"nodePort": node_port}
    return {"spec": {"ports": ports}, "status": {"loadBalancer": {"ingress": list(addresses)} if addresses else {}}}


def pod(name: str, app: str, *, sidecar: bool = True, native: bool = True, ready: str = "True") -> dict[str, Any]:
    own: list[dict[str, Any]] = [{"name": "application", "ports": [{"containerPort": 8080}]}]
    proxy = [{"name": "istio-proxy"}] if sidecar else []
    spec = {"containers": own, "initContainers": proxy} if native else {"containers": proxy + own}
    return {
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (service({"ip": "10.77.0.200"}, node_port=30080), "http://10.77.0.200:80"),
        (service({"hostname": "mesh.example"}), "http://mesh.example:80"),
        (service(node_port=30080), "http://10.77.0.11:30080"),
    ],
)
def test_the_gateway_is_at_its_external_address_or_at_a_port_of_nodes(found: dict[str, Any], expected: str) -> None:
    assert gateway_url(found, [NODE]) == expected


def test_a_gateway_without_an_address_is_told_with_the_mend() -> None:
    with pytest.raises(ClusterError, match="has no address yet; give it one, or name one by --gateway"):
        gateway_url(service(), [NODE])
    with pytest.raises(ClusterError, match="has no port 80"):
        gateway_url({"spec": {"ports": [{"port": 443}]}}, [NODE])


def test_pods_are_asked_by_the_api_server() -> None:
    found = places(
        "http://10.77.0.200:80",
        [
            pod("book-store-v2-b", "book-store", native=False),
            pod("book-store-v1-a", "book-store"),
            pod("book-store-v0-a", "book-store", ready="False"),
            pod("store-a", "store") | {"metadata": {"name": "store-a", "deletionTimestamp": "2026-11-28T00:00:00Z"}},
            pod("postgres-0", "postgres", sidecar=False),
        ],
    )
    pods = "/api/v1/namespaces/default/pods"
    assert found == Places(
        "http://10.77.0.200:80",
        f"{pods}/http:book-store-v1-a:8080/proxy",
        {name: f"{pods}/http:{name}:15090/proxy/stats/prometheus" for name in ("book-store-v2-b", "book-store-v1-a")},
    )


def test_without_workloads_there_is_nothing_behind_the_gateway() -> None:
    assert places("http://a:80", []) == Places("http://a:80")

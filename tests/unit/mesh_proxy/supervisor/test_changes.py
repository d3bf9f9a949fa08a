"""What configurations bring and take."""

from mesh_api.config import Cluster, ClusterType, Listener, ProxyConfig, SocketAddress
from mesh_proxy.supervisor.changes import Changes


def made(*clusters: str, timeout: float = 5.0, ports: tuple[int, ...] = ()) -> ProxyConfig:
    listeners = tuple(Listener(f"l{port}", SocketAddress("127.0.0.1", port), ()) for port in ports)
    return ProxyConfig(
        listeners=listeners,
        clusters=tuple(Cluster(name, ClusterType.STATIC, connect_timeout=timeout) for name in clusters),
    )


def test_what_is_new_other_and_gone_is_counted() -> None:
    changes = Changes()
    assert set(changes.counters.values()) == {0}
    changes.take(made("a", "b", ports=(1,)))
    changes.take(made("b", "c", timeout=6.0, ports=(1, 2)))
    changes.take(made("b", "c", timeout=6.0, ports=(1, 2)))
    assert changes.counters == {
        "cluster_manager.cluster_added": 3,
        "cluster_manager.cluster_modified": 1,
        "cluster_manager.cluster_removed": 1,
        "listener_manager.listener_added": 2,
        "listener_manager.listener_modified": 0,
        "listener_manager.listener_removed": 0,
    }
    assert changes.gauges() == {"cluster_manager.active_clusters": 2, "listener_manager.total_listeners_active": 2}

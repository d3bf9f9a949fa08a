"""The supervisor as a process, with a control plane over real gRPC and workers that move no traffic."""

import os
import re
import select
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from mesh_api.config import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    FilterChain,
    HttpConnectionManager,
    Listener,
    LocalityEndpoints,
    ProxyConfig,
    RouteConfiguration,
    RouterFilter,
    SocketAddress,
)
from mesh_api.xds.session import Nacked, Synced
from mesh_api.xds.type_urls import CLUSTER, LISTENER

pytestmark = pytest.mark.integration


def configuration(*more: str, port: int = 80) -> ProxyConfig:
    """One service ``a.b`` behind a listener, and further clusters without hosts."""
    hosts = LocalityEndpoints((Endpoint(SocketAddress("10.0.0.9", 80)),))
    chain = FilterChain(HttpConnectionManager("in", (RouterFilter(),), rds_name="80"))
    clusters = [Cluster("a.b", ClusterType.EDS), *(Cluster(name, ClusterType.STATIC) for name in more)]
    return ProxyConfig(
        listeners=(Listener("l", SocketAddress("127.0.0.1", port), (chain,)),),
        routes=(RouteConfiguration("80"),),
        clusters=tuple(sorted(clusters, key=lambda cluster: cluster.name)),
        endpoints=(ClusterLoadAssignment("a.b", (hosts,)),),
    )


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def clusters_of(proxy: Any) -> set[str]:
    text = (await proxy.get("/clusters"))[1]
    return {line.split("::")[0] for line in text.splitlines()}


async def test_configuration_reaches_the_workers_and_is_acknowledged(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any
) -> None:
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await proxy.logged("control plane: ")
    assert (await proxy.get("/healthz/ready", "ready"))[0] == 503
    assert (await proxy.get("/ready"))[0] == 503
    control_plane.push(configuration())
    assert (await control_plane.event(Synced)).version == "1"
    await proxy.logged("ready: 2 workers")
    assert await proxy.get("/healthz/ready", "ready") == (200, "LIVE\n")
    control_plane.push(configuration("c"))
    assert (await control_plane.event(Synced)).version == "2"
    assert await clusters_of(proxy) == {"a.b", "c"}
    control_plane.push(ProxyConfig())
    assert (await control_plane.event(Synced)).version == "3"
    await proxy.logged("control plane: no policy")


async def test_broken_resource_is_refused_by_name_and_the_last_good_stays(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any
) -> None:
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await control_plane.event(Synced)
    bad = cluster_pb2.Cluster(name="bad", upstream_config={"name": "envoy.clusters.mystery"}).SerializeToString()
    control_plane.push(configuration("c"), (CLUSTER, "bad", bad))
    refused = await control_plane.event(Nacked)
    assert (refused.type_url, refused.version) == (CLUSTER, "2")
    assert "cluster bad: upstream_config" in refused.message
    await proxy.logged("control plane: invalid: CDS: ")
    assert await clusters_of(proxy) == {"a.b"}
    assert (await proxy.get("/ready"))[0] == 200
    assert "cluster_manager.cds.update_rejected: 1\n" in (await proxy.get("/stats?filter=rejected"))[1]
    control_plane.push(configuration("c"))
    assert (await control_plane.event(Synced)).version == "3"
    await proxy.logged("control plane: current", times=2)


@pytest.mark.parametrize(("name", "reason"), [("refused", "does not want it"), ("poison", "ended while it applied")])
async def test_what_the_workers_refuse_is_refused(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, name: str, reason: str
) -> None:
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await control_plane.event(Synced)
    control_plane.push(configuration(name))
    assert reason in (await control_plane.event(Nacked)).message
    assert await clusters_of(proxy) == {"a.b"}
    control_plane.push(configuration("c"))
    assert (await control_plane.event(Synced)).version == "3"
    assert await clusters_of(proxy) == {"a.b", "c"}


async def test_without_the_control_plane_traffic_flows_also_after_a_restart(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, tmp_path: Path
) -> None:
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port, tmp_path / "state"))
    await control_plane.event(Synced)
    await proxy.logged("ready")
    await control_plane.stop()
    await proxy.logged("control plane: unreachable")
    assert (await proxy.get("/healthz/ready", "ready"))[0] == 200
    assert await proxy.stop() == 0

    again = await start_proxy(bootstrap_of(control_plane.port, tmp_path / "state"))
    await again.logged("starting from the last good configuration")
    await again.logged("ready: 2 workers")
    assert await clusters_of(again) == {"a.b"}
    await control_plane.start()
    control_plane.push(configuration("c"))
    assert (await control_plane.event(Synced)).version == "2"
    assert await clusters_of(again) == {"a.b", "c"}


async def test_damaged_last_good_is_ignored_and_the_proxy_waits(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, tmp_path: Path
) -> None:
    (tmp_path / "last-good.json").write_text("{")
    control_plane.push(configuration())
    await control_plane.stop()
    proxy = await start_proxy(bootstrap_of(control_plane.port, tmp_path))
    await proxy.logged("the last good configuration is not used")
    await proxy.logged("no configuration in force")
    assert (await proxy.get("/ready"))[0] == 503
    await control_plane.start()
    await proxy.logged("ready: 2 workers")


async def test_join_token_is_read_for_each_stream(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    token.chmod(0o600)
    control_plane.required_token = "new"
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port, token_file=str(token)))
    await proxy.logged("unreachable: UNAUTHENTICATED: a valid join token is required")
    token.write_text("new\n")
    await control_plane.event(Synced)
    assert control_plane.tokens[-1] == "Bearer new"


async def test_worker_that_dies_is_started_again(control_plane: Any, start_proxy: Any, bootstrap_of: Any) -> None:
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await proxy.logged("ready: 2 workers")
    victim = proxy.workers()[0]
    before = await proxy.get("/stats/prometheus", "stats")
    os.kill(victim, signal.SIGKILL)
    await proxy.logged("ended: signal 9")
    assert (await proxy.get("/ready"))[0] == 200
    await proxy.logged("is up", times=3)
    assert len(proxy.workers()) == 2
    assert victim not in proxy.workers()
    # What the dead one had counted is still part of the sum.
    pattern = r'envoy_cluster_upstream_rq_total\{envoy_cluster_name="a.b"\} (\d+)'
    values = [re.search(pattern, text) for text in (before[1], (await proxy.get("/stats/prometheus", "stats"))[1])]
    assert [match and match[1] for match in values] == ["2", "3"]


async def test_workers_end_with_the_supervisor(control_plane: Any, start_proxy: Any, bootstrap_of: Any) -> None:
    control_plane.push(configuration())
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await proxy.logged("ready")
    ends = [os.pidfd_open(pid) for pid in proxy.workers()]
    await proxy.stop(signal.SIGKILL)
    for end in ends:
        # Becomes readable when the process is gone.
        assert select.select([end], [], [], 30)[0]
        os.close(end)


async def test_orderly_end_and_notifications(
    control_plane: Any, start_proxy: Any, bootstrap_of: Any, tmp_path: Path
) -> None:
    control_plane.push(configuration())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        proxy = await start_proxy(bootstrap_of(control_plane.port), NOTIFY_SOCKET=str(tmp_path / "notify"))
        await proxy.logged("ready: 2 workers")
        workers = proxy.workers()
        assert await proxy.stop() == 0
        manager.setblocking(False)
        told = []
        while True:
            try:
                told.append(manager.recv(4096).decode())
            except BlockingIOError:
                break
    assert told.index("READY=1") < told.index("STOPPING=1")
    assert any(line.startswith("STATUS=LIVE; control plane: current") for line in told)
    assert not any(is_running(pid) for pid in workers)


async def test_log_file_is_opened_anew(control_plane: Any, start_proxy: Any, bootstrap_of: Any, tmp_path: Path) -> None:
    file = tmp_path / "proxy.log"
    proxy = await start_proxy(bootstrap_of(control_plane.port, log_path=str(file)))
    control_plane.push(configuration())
    await control_plane.event(Synced)
    file.rename(tmp_path / "proxy.log.1")
    proxy.process.send_signal(signal.SIGHUP)
    control_plane.push(configuration("c"))
    await control_plane.event(Synced)
    await proxy.stop()
    assert "configuration" in file.read_text()


async def test_admin_interface(control_plane: Any, start_proxy: Any, bootstrap_of: Any) -> None:
    control_plane.push(configuration(port=8080))
    proxy = await start_proxy(bootstrap_of(control_plane.port))
    await proxy.logged("ready: 2 workers")
    dump = {config["@type"].rpartition(".")[2]: config for config in (await proxy.json("/config_dump"))["configs"]}
    assert set(dump) == {"BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "RoutesConfigDump"}
    assert dump["ClustersConfigDump"]["dynamic_active_clusters"][0]["cluster"]["name"] == "a.b"
    (listener,) = (await proxy.json("/config_dump?resource=dynamic_listeners"))["configs"]
    assert listener["active_state"]["listener"]["@type"] == LISTENER
    assert (await proxy.json("/config_dump?resource=dynamic_listeners&name_regex=zzz"))["configs"] == []
    status = (await proxy.json("/clusters?format=json"))["cluster_statuses"][0]
    assert status["host_statuses"][0]["address"] == {"socket_address": {"address": "10.0.0.9", "port_value": 80}}
    assert {"name": "rq_total", "value": "10"} in status["host_statuses"][0]["stats"]
    assert (await proxy.json("/listeners?format=json"))["listener_statuses"][0]["name"] == "l"
    assert (await proxy.get("/listeners"))[1] == "l::127.0.0.1:8080\n"
    assert (await proxy.json("/server_info"))["state"] == "LIVE"
    assert (await proxy.json("/certs")) == {"certificates": []}
    assert (await proxy.get("/logging?level=debug", method="POST"))[1].endswith("mesh_proxy: debug\n")
    stats = await proxy.get("/stats?format=json&filter=membership")
    assert '"value": 1' in stats[1]
    assert (await proxy.get("/drain_listeners", method="POST"))[0] == 200
    assert await proxy.get("/ready") == (503, "DRAINING\n")
    assert (await proxy.get("/quitquitquit", method="POST"))[0] == 200
    assert await proxy.stop() == 0


REFUSED = [
    ("GET", "/drain_listeners", 405),
    ("GET", "/logging", 405),
    ("GET", "/quitquitquit", 405),
    ("GET", "/reset_counters", 405),
    ("POST", "/logging?level=loud", 400),
    ("GET", "/config_dump?resource=secrets", 404),
    ("GET", "/config_dump?mask=x", 400),
    ("GET", "/stats?filter=(", 400),
    ("GET", "/nothing", 404),
]


async def test_admin_refuses(start_proxy: Any, bootstrap_of: Any) -> None:
    proxy = await start_proxy(bootstrap_of(None))
    await proxy.logged("ready: 2 workers")
    for method, path, status in REFUSED:
        assert (method, path, (await proxy.get(path, method=method))[0]) == (method, path, status)


async def test_port_that_is_taken_ends_the_proxy(start_proxy: Any, bootstrap_of: Any) -> None:
    first = await start_proxy(bootstrap_of(None))
    await first.logged("ready")
    bootstrap = bootstrap_of(None)
    second = await start_proxy(bootstrap, taken=first)
    assert await second.process.wait() == 69
    await second.logged("cannot be opened")


async def test_static_configuration_that_the_workers_refuse_ends_the_proxy(start_proxy: Any, bootstrap_of: Any) -> None:
    bootstrap = bootstrap_of(None)
    bootstrap["static_resources"] = {"clusters": [{"name": "refused", "type": "STATIC"}]}
    proxy = await start_proxy(bootstrap)
    assert await proxy.process.wait() == 78
    await proxy.logged("listener refused: this worker does not want it")

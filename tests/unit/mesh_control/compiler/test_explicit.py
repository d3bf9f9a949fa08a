"""Sidecars without interception: explicit ports on loopback."""

from dataclasses import replace

from mesh_api.config import ClusterType
from mesh_control.compiler import compile_proxy, unknown_targets
from mesh_control.proxies import proxy_of
from tests.unit.mesh_control.worlds import ORDER, STORE, action, by_name, compiled, world

POSTGRES = "postgres.default.svc.cluster.local"
NONE = replace(
    STORE,
    metadata={
        "INTERCEPTION_MODE": "NONE",
        "EGRESS_PORTS": {
            f"{ORDER}:8380": 23001.0,
            f"{POSTGRES}:5432": 23002,
            "gone.default.svc.cluster.local:1": 23003,
        },
        "INGRESS_PORTS": {"8480": 22001},
    },
)


def test_listeners_are_bound_on_loopback() -> None:
    listeners = by_name(compiled(node=NONE).listeners)
    assert sorted(listeners) == ["127.0.0.1_23001", "127.0.0.1_23002", "127.0.0.1_8480"]
    assert all(listener.bind_to_port and not listener.use_original_dst for listener in listeners.values())
    assert listeners["127.0.0.1_23001"].filter_chains[0].filter.rds_name == f"{ORDER}:8380"
    assert listeners["127.0.0.1_23002"].filter_chains[0].filter.cluster == f"outbound|5432||{POSTGRES}"


def test_any_host_on_the_port_of_a_service_means_it() -> None:
    (table,) = compiled(node=NONE).routes
    (host,) = table.virtual_hosts
    assert (table.name, host.domains) == (f"{ORDER}:8380", ("*",))
    assert action(host.routes[0]).cluster == f"outbound|8380||{ORDER}"


def test_the_application_is_on_loopback() -> None:
    cluster = by_name(compiled(node=NONE).clusters)["inbound|22001||"]
    assert cluster.type is ClusterType.STATIC
    assert cluster.load_assignment is not None
    assert [str(e.address) for e in cluster.load_assignment.localities[0].endpoints] == ["127.0.0.1:22001"]


def test_a_port_for_a_service_that_is_not_there_is_told() -> None:
    assert unknown_targets(world(), proxy_of(NONE)) == ["gone.default.svc.cluster.local:1"]


def test_complete() -> None:
    assert compile_proxy(world(), proxy_of(NONE)).missing() == ()

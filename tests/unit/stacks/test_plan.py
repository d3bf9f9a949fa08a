"""Where each proxy stands, and what follows for Ansible, the control plane and the laptop."""

from pathlib import Path
from typing import Any

import pytest

from stacks import ansible_inventory, laptop, plan
from stacks.environment import Environment, parse

VALUES: dict[str, Any] = {
    "name": "x",
    "machines": {"nodes": [{"name": f"node{n}", "address": f"10.77.0.1{n}"} for n in (1, 2)]},
    "postgresql": {"machine": "node1"},
    "services": [{"name": "book-store", "ports": [{"port": 8080}]}, {"name": "store", "ports": [{"port": 8480}]}],
    "workloads": [
        {"name": "store", "service": "store", "program": "store", "machine": "node2", "database": True},
        {"name": "books", "service": "book-store", "program": "book-store", "machine": "node2", "version": "v2"},
    ],
}


@pytest.fixture
def environment() -> Environment:
    return parse(VALUES)


def test_proxies_of_one_machine_have_ports_of_their_own(environment: Environment) -> None:
    places = {
        proxy.name: (proxy.machine.name, proxy.ports.outbound, proxy.ports.admin) for proxy in plan.proxies(environment)
    }
    assert places == {
        "ingressgateway": ("node1", 15001, 15000),
        "store": ("node2", 15001, 15000),
        "books": ("node2", 15101, 15100),
    }


def test_node_ids_are_istios(environment: Environment) -> None:
    ids = [proxy.node_id for proxy in plan.proxies(environment)]
    assert ids[0] == "router~10.77.0.11~ingressgateway.istio-system~istio-system.svc.cluster.local"
    assert ids[1] == "sidecar~10.77.0.12~store.default~default.svc.cluster.local"


def test_the_mesh_inventory_names_the_database_without_a_sidecar(environment: Environment) -> None:
    inventory = plan.mesh_inventory(environment)
    database = next(entry for entry in inventory["workloads"] if entry["name"] == "postgres")
    assert (database["sidecar"], database["address"], database["ports"]) == (
        False,
        "10.77.0.11",
        {"tcp-postgres": 5432},
    )
    books = next(entry for entry in inventory["workloads"] if entry["name"] == "books")
    assert books["labels"] == {"app": "book-store", "version": "v2"}


def test_service_names_resolve_to_a_machine_that_carries_them(environment: Environment) -> None:
    names = plan.service_names(environment)
    assert "postgres.default.svc.cluster.local" in names["10.77.0.11"]
    assert {"store", "book-store", "book-store.default"} <= set(names["10.77.0.12"])


def test_redirect_rules_pair_each_user_with_its_proxy(environment: Environment) -> None:
    hosts = ansible_inventory.inventory(environment)["all"]["hosts"]
    assert hosts["node1"]["redirect_workloads"] == []
    assert [(w["user"], w["ports"], w["inbound_port"]) for w in hosts["node2"]["redirect_workloads"]] == [
        ("demo-store", [8480], 15006),
        ("demo-books", [8080], 15106),
    ]


def test_a_proxy_of_a_machine_is_known_by_a_certificate_and_the_control_plane_by_roots(
    environment: Environment,
) -> None:
    hosts = ansible_inventory.inventory(environment)["all"]["hosts"]
    (gateway,) = hosts["node1"]["mesh_proxy_instances"]
    assert gateway["identity"] == "spiffe://cluster.local/ns/istio-system/sa/ingressgateway"
    assert gateway["xds"] == {"address": "10.77.0.11", "port": 15012}
    identities = {}
    for proxy in hosts["node2"]["mesh_proxy_instances"]:
        own = proxy["metadata"]["MESHWRIGHT"]
        assert {"control_root_file", "token_file", "identity_dir"} <= own.keys()
        identities[proxy["name"]] = proxy["identity"]
    assert identities == {
        "store": "spiffe://cluster.local/ns/default/sa/store",
        "books": "spiffe://cluster.local/ns/default/sa/book-store",
    }
    accounts = {entry["name"]: entry["service_account"] for entry in plan.mesh_inventory(environment)["workloads"]}
    assert all(identities[name].endswith(f"/sa/{accounts[name]}") for name in identities)


def test_secrets_are_only_referred_to(environment: Environment) -> None:
    shared = ansible_inventory.variables(environment)
    assert "join_token" not in str(shared)
    assert shared["workload_database_url"].startswith("postgresql://program:{{ postgresql_url_password }}@")
    assert shared["postgresql_url_password"].startswith("{{ vault_postgresql_password")


def test_the_laptop_gives_every_process_its_own_ports() -> None:
    environment = parse(
        VALUES,
        {"machines": {"driver": "processes", "nodes": [{"name": "node1", "address": "127.0.0.1"}]}}
        | {"workloads": [w | {"machine": "node1"} for w in VALUES["workloads"]]},
    )
    store, books = environment.workloads
    ports = [
        *laptop.egress_ports(environment, store).values(),
        *laptop.egress_ports(environment, books).values(),
        *(f(environment, w) for f in (laptop.ingress_port, laptop.application_port) for w in (store, books)),
    ]
    assert len(set(ports)) == len(ports)
    processes = {
        process.name: process
        for process in laptop.processes(
            environment, Path("/s"), {"vault_join_token": "t", "vault_postgresql_password": "p"}
        )
    }
    assert list(processes) == [
        "control",
        "proxy-ingressgateway",
        "proxy-store",
        "proxy-books",
        "workload-store",
        "workload-books",
    ]
    egress = laptop.egress_ports(environment, store)["book-store.default.svc.cluster.local:8080"]
    assert processes["workload-store"].environment["BOOK_STORE_URL"] == f"http://127.0.0.1:{egress}"
    inventory = laptop.mesh_inventory(environment)
    assert inventory["workloads"][0]["ports"] == {"http": laptop.ingress_port(environment, store)}

"""Workloads on machines beside a cluster: what stands for them there, what their machine gets, and what is refused."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mesh_control.installation.control import EXTERNAL
from mesh_control.installation.values import Installation
from mesh_policy import load_documents
from stacks import ansible_inventory, cluster, cluster_machines, cluster_mesh, cluster_workloads
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import local, local_kubernetes

NODES = [*local_kubernetes.ENVIRONMENT.model_dump(mode="json")["machines"]["nodes"]]
ARCHIVE: dict[str, Any] = {"machine": "node4", "name": "archive", "service": "archive", "program": "book-store"}


def of(*entries: Mapping[str, Any], **mesh: Any) -> Environment:
    services = [service.model_dump(mode="json") for service in local_kubernetes.ENVIRONMENT.services]
    overrides: dict[str, Any] = {
        "machines": {"nodes": [*NODES, {"name": "node4", "address": "10.77.0.14"}]},
        "services": [*services, {"name": "archive", "namespace": "vault", "ports": [{"port": 8080}]}],
        "kubernetes": {"mesh": {"machines": list(entries), **mesh}},
    }
    return parse(local_kubernetes.ENVIRONMENT, overrides)


@pytest.fixture(scope="module")
def environment() -> Environment:
    return of(ARCHIVE)


def archive(environment: Environment) -> Any:
    return cluster_machines.of_machine(environment, "node4")


def test_a_machine_beside_the_cluster_becomes_no_node(environment: Environment) -> None:
    assert cluster.control_machines(environment) == ("node1",)
    assert cluster.workers(environment) == ("node2", "node3")
    groups = ansible_inventory.inventory(environment)["all"]["children"]
    assert list(groups["mesh_machines"]["hosts"]) == ["node4"]
    assert "mesh_machines" not in ansible_inventory.inventory(local.ENVIRONMENT)["all"]["children"]


def test_the_cluster_has_an_entry_that_the_service_chooses(environment: Environment) -> None:
    (entry,) = cluster_machines.own_objects(environment, archive(environment))
    assert entry["spec"] == {
        "address": "10.77.0.14",
        "labels": {"app": "archive", "version": "v1", "security.istio.io/tlsMode": "istio"},
        "serviceAccount": "archive",
        "ports": {"http": 8080},
    }
    service = cluster_machines.shared_objects(environment, archive(environment))[-1]
    assert service["spec"]["selector"].items() <= entry["spec"]["labels"].items()
    assert service["metadata"]["namespace"] == entry["metadata"]["namespace"] == "vault"
    assert load_documents(json.dumps(entry)) != []


def test_what_others_need_too_is_what_the_workloads_of_the_cluster_have(environment: Environment) -> None:
    shared = cluster_machines.shared_objects(environment, archive(environment))
    assert [one["kind"] for one in shared] == ["Namespace", "ServiceAccount", "Service"]
    theirs = cluster_workloads.manifests(environment)
    assert all(one in theirs for one in shared)


def test_an_account_of_its_own_goes_with_the_machine() -> None:
    environment = of(
        {"machine": "node4", "name": "clerk", "user": "clerk", "namespace": "vault", "labels": {"tier": "back"}}
    )
    entry = archive(environment)
    account, workload = cluster_machines.own_objects(environment, entry)
    assert (account["kind"], account["metadata"]["name"]) == ("ServiceAccount", "clerk")
    assert workload["spec"]["labels"] == {
        "app": "clerk",
        "tier": "back",
        "version": "v1",
        "security.istio.io/tlsMode": "istio",
    }
    assert "ports" not in workload["spec"]
    # Labels by which objects are removed that an inventory does not have any more.
    assert not cluster_workloads.OURS.items() <= account["metadata"]["labels"].items()
    host = ansible_inventory.inventory(environment)["all"]["hosts"]["node4"]
    assert host["redirect_workloads"] == [
        {"name": "clerk", "user": "clerk", "ports": [], "inbound_port": 15006, "outbound_port": 15001}
    ]
    assert (host["host_users"], host["workload_instances"]) == (["mesh-proxy"], [])


def test_the_machine_gets_a_proxy_of_the_cluster_s_mesh(environment: Environment) -> None:
    host = ansible_inventory.inventory(environment)["all"]["hosts"]["node4"]
    (proxy,) = host["mesh_proxy_instances"]
    assert proxy["identity"] == "spiffe://cluster.local/ns/vault/sa/archive"
    assert proxy["node_id"] == "sidecar~10.77.0.14~archive.vault~vault.svc.cluster.local"
    assert proxy["xds"] == {"address": "{{ mesh_machine_control_address }}", "port": 15012}
    assert proxy["metadata"]["SERVICE_ACCOUNT"] == "archive"
    assert proxy["metadata"]["CLUSTER_ID"] == Installation().cluster
    assert proxy["metadata"]["MESHWRIGHT"]["control_server_name"] == "istiod.istio-system.svc"
    assert host["host_units"] == ["mesh-proxy@archive.service", "workload-archive.service"]
    assert host["mesh_machine_control_service"] == f"istio-system/{EXTERNAL}"
    assert "kubernetes_address" not in host


def test_who_it_is_follows_the_mesh_s_trust_domain() -> None:
    environment = parse(
        of({**ARCHIVE, "service_account": "books"}), {"mesh": {"config": {"trustDomain": "shop.example"}}}
    )
    proxy = cluster_machines.proxy(environment, archive(environment))
    assert proxy.identity == "spiffe://shop.example/ns/vault/sa/books"
    assert proxy.metadata()["SERVICE_ACCOUNT"] == "books"


def test_the_control_plane_is_reached_from_outside_where_machines_need_it(environment: Environment) -> None:
    assert cluster_mesh.values(environment)["external"] == {}
    assert cluster_mesh.values(of(ARCHIVE, control_address="10.77.0.219"))["external"] == {"address": "10.77.0.219"}
    assert "external" not in cluster_mesh.values(local_kubernetes.ENVIRONMENT)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"machine": "node9"}, "archive.machine: no machine 'node9' (allowed: node1, node2, node3, node4)"),
        ({"service": "books"}, "archive.service: no service 'books' (allowed: store, order, "),
        ({"namespace": "default"}, "archive.namespace: default is not archive's (allowed: vault)"),
        ({"service": None}, "archive.service: is required where program is set, for its port"),
        ({"program": None}, "archive.user: is required where program is unset (allowed: the user of your program)"),
        ({"user": "bob"}, "archive.user: book-store has a user of its own (allowed: unset)"),
        (
            {"program": None, "user": "bob", "settings": {"A": "b"}},
            "archive.settings: are the demo program's, and program is unset",
        ),
        ({"name": "store"}, ": name 'store' stands twice"),
    ],
)
def test_a_wrong_entry_is_told_in_a_line(changes: Mapping[str, Any], expected: str) -> None:
    with pytest.raises(InvalidEnvironmentError) as refused:
        of({**ARCHIVE, **changes})
    (line,) = [line for line in str(refused.value).splitlines() if "kubernetes.mesh.machines" in line]
    separator = "" if expected.startswith(":") else "."
    assert line.startswith(f"environment.kubernetes.mesh.machines{separator}{expected}")


def test_one_machine_has_one_workload_and_is_no_control_plane() -> None:
    with pytest.raises(InvalidEnvironmentError, match="machines: machine 'node4' stands twice"):
        of(ARCHIVE, {**ARCHIVE, "name": "second"})
    with pytest.raises(InvalidEnvironmentError, match=r"archive.machine: node1 is of the cluster's control plane"):
        parse(of({**ARCHIVE, "machine": "node1"}), {"kubernetes": {"control_machines": ["node1"]}})


def test_there_must_be_a_way_to_the_control_plane(environment: Environment) -> None:
    with pytest.raises(InvalidEnvironmentError, match=r"machines: need kubernetes.address_pool"):
        parse(environment, {"kubernetes": {"address_pool": []}})
    with pytest.raises(InvalidEnvironmentError, match=r"none of a cluster's \(allowed: with platform: kubernetes\)"):
        parse(local.ENVIRONMENT, {"kubernetes": {"mesh": {"machines": [{**ARCHIVE, "service": "store"}]}}})

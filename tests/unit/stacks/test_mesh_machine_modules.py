"""The modules by which a machine joins the mesh of a cluster: the ways that it is told, and the routes that it is given."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.support.modules import ROOT, ansible_module


@pytest.fixture(scope="module")
def ways() -> ModuleType:
    return ansible_module("mesh_machine", "cluster_ways")


@pytest.fixture(scope="module")
def routes() -> ModuleType:
    return ansible_module("mesh_machine", "pod_routes")


def node(address: str, *parts: str) -> dict[str, Any]:
    addresses = [{"type": "Hostname", "address": "node"}, {"type": "InternalIP", "address": address}]
    spec = {"podCIDR": parts[0], "podCIDRs": list(parts)} if parts else {}
    return {"spec": spec, "status": {"addresses": addresses}}


def service(name: str, namespace: str, address: str = "", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": address},
        "status": {"loadBalancer": status},
    }


def test_each_node_leads_to_its_part_of_the_pods_network(ways: ModuleType) -> None:
    nodes = [
        node("10.77.0.13", "fd00::/64", "10.244.2.0/24"),
        node("10.77.0.12", "10.244.1.0/24"),
        node("10.77.0.15"),  # it has none yet
        node("fd00::7", "10.244.7.0/24"),
    ]
    assert ways.routes(nodes) == [
        {"to": "10.244.1.0/24", "via": "10.77.0.12"},
        {"to": "10.244.2.0/24", "via": "10.77.0.13"},
    ]


def test_services_with_an_address_have_their_names_and_those_near_the_short_one(ways: ModuleType) -> None:
    services = [
        service("store", "default", "10.96.0.7"),
        service("api", "shop", "10.96.0.8"),
        service("headless", "default", "None"),
        service("alias", "default"),
        service("six", "default", "fd00::1"),
    ]
    assert ways.names(services, "default") == {
        "10.96.0.7": ["store.default.svc.cluster.local", "store.default.svc", "store.default", "store"],
        "10.96.0.8": ["api.shop.svc.cluster.local", "api.shop.svc", "api.shop"],
    }


def test_the_control_plane_is_at_the_address_of_its_service(ways: ModuleType) -> None:
    found = [service("x", "istio-system", ingress=[{"hostname": "h"}, {"ip": "10.77.0.200"}])]
    assert ways.control(found, "istio-system/x") == "10.77.0.200"
    with pytest.raises(ways.MissingError, match=r"there is no Service istio-system/y, .* run cluster/mesh.yml"):
        ways.control(found, "istio-system/y")
    with pytest.raises(ways.MissingError, match="has no address from outside yet; something must give"):
        ways.control([service("x", "istio-system")], "istio-system/x")


def test_routes_are_changed_one_by_one_and_those_that_are_right_stay(routes: ModuleType) -> None:
    before = routes.parsed(
        '[{"dst":"10.244.1.0/24","gateway":"10.77.0.12","dev":"eth0"},{"dst":"10.244.2.0/24","gateway":"10.77.0.13"},'
        '{"dst":"10.244.3.0/24","gateway":"10.77.0.14"}]'
    )
    after = {"10.244.1.0/24": "10.77.0.12", "10.244.2.0/24": "10.77.0.19", "10.244.4.0/24": "10.77.0.20"}
    assert routes.steps(before, after) == [
        ("replace", "10.244.2.0/24", "via", "10.77.0.19"),
        ("replace", "10.244.4.0/24", "via", "10.77.0.20"),
        ("del", "10.244.3.0/24", "via", "10.77.0.14"),
    ]
    assert routes.steps(after, after) == []
    assert routes.parsed("") == {}


def test_what_is_there_is_told_by_its_name_alone() -> None:
    module = ansible_module("mesh_machine", "missing_objects")
    namespace = {"kind": "Namespace", "metadata": {"name": "shop"}}
    account = {"kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": "shop"}}
    there = {**account, "metadata": {**account["metadata"], "labels": {"of": "others"}}}  # type: ignore[dict-item]
    wanted = [namespace, account]
    assert module.missing(wanted, "") == wanted
    assert module.missing(wanted, json.dumps(there)) == [namespace]
    assert module.missing(wanted, json.dumps({"kind": "List", "items": [there, namespace]})) == []


def test_units_that_go_with_a_machine_are_found_where_they_are(tmp_path: Path) -> None:
    leftovers = ansible_module("host", "leftovers")
    unit = tmp_path / "etc/systemd/system/mesh-routes.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    further = {"mesh-routes.service": ["/etc/meshwright/routes"], "mesh-redirect.service": []}
    assert leftovers.present(tmp_path, further) == {"mesh-routes.service": [tmp_path / "etc/meshwright/routes", unit]}
    assert leftovers.present(tmp_path) == {}


def test_tokens_are_for_the_authority_alone_short_lived_and_in_no_log() -> None:
    (made,) = yaml.safe_load((ROOT / "roles/mesh_proxy/tasks/tokens_cluster.yml").read_text())
    assert {"--audience={{ mesh_proxy_token_audience }}", "--duration=10m"} <= set(
        made["ansible.builtin.command"]["argv"]
    )
    assert made["no_log"] is True
    tasks = yaml.safe_load((ROOT / "roles/mesh_proxy/tasks/main.yml").read_text())
    (laid,) = [task for task in tasks if ".token" in str(task.get("ansible.builtin.copy", ""))]
    assert (laid["no_log"], laid["diff"], laid["ansible.builtin.copy"]["mode"]) == (True, False, "0400")
    assert laid["ansible.builtin.copy"]["owner"] == "mesh-proxy"

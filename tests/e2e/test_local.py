"""From nothing to a mesh on three machines, and what is promised of it, in the order in which people meet it."""

import json
from collections.abc import Iterator

import pytest
from support.stacks import ROOT, Stack, leftovers, missing, missing_machines

REASON = missing() or missing_machines()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
USER = "6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b"
SHOP = "store.services.local"


class Environment:
    """The stack and how long its first ``up`` took."""

    def __init__(self) -> None:
        self.stack = Stack("local")
        self.seconds = 0.0


@pytest.fixture(scope="module")
def local() -> Iterator[Environment]:
    environment = Environment()
    try:
        environment.seconds = environment.stack.up()
        yield environment
    finally:
        environment.stack.down()
    assert leftovers("local") == []


def test_every_proxy_has_taken_its_configuration(local: Environment) -> None:
    status = json.loads(local.stack.mesh("status", "--output", "json").stdout)
    assert len(status["proxies"]) == 7
    assert all(proxy["synced"] for proxy in status["proxies"].values())
    assert status["missing"] == []


def test_a_purchase_a_list_a_warranty_and_a_refund_pass_through_the_sidecars(local: Environment) -> None:
    stack, base = local.stack, f"/api/v1/store/{USER}"
    bought = stack.ask("POST", f"{base}/purchase", SHOP, {"model": "Lego 8070", "size": "M"})
    assert (bought.status, bought.fields["server"]) == (201, "istio-envoy")
    order = bought.fields["location"].rpartition("/")[2]
    listed = json.loads(stack.ask("GET", f"{base}/orders", SHOP).body)
    assert order in [item["orderUid"] for item in listed]
    warranty = stack.ask("POST", f"{base}/{order}/warranty", SHOP, {"reason": "a brick is missing"})
    assert (warranty.status, json.loads(warranty.body)["decision"]) == (200, "RETURN")
    assert stack.ask("DELETE", f"{base}/{order}/refund", SHOP).status == 204
    # The third machine's sidecars saw it: the calls between the workloads were intercepted.
    numbers = stack.ask("GET", "/stats/prometheus", "node3", at="10.77.0.13:15090").body
    inbound = [line for line in numbers.splitlines() if "inbound|8280||" in line and "upstream_rq_total" in line]
    assert inbound
    assert float(inbound[0].rpartition(" ")[2]) > 0


@pytest.mark.parametrize("scenario", ["routing", "canary", "timeout", "circuit-breaker"])
def test_a_scenario_is_seen_through_the_gateway(local: Environment, scenario: str) -> None:
    shown = local.stack.demo(scenario)
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_a_second_up_changes_nothing_and_is_quick(local: Environment) -> None:
    local.stack.pulumi("preview", "--expect-no-changes")
    assert "unchanged" in local.stack.run("tools/stack", "up", "local").stdout


def test_no_secret_stands_in_the_state(local: Environment) -> None:
    state = local.stack.pulumi("stack", "export").stdout
    secrets = local.stack.run(
        str(ROOT / ".venv/bin/python"),
        "-c",
        "import json; from stacks import vault; print(json.dumps(vault.load(vault.ROOT, 'local')))",
    )
    for value in json.loads(secrets.stdout).values():
        assert value not in state


def test_traffic_goes_on_without_the_control_plane_and_after_a_restart_of_the_proxy(local: Environment) -> None:
    stack = local.stack
    stack.on("node1", "systemctl", "stop", "mesh-control")
    try:
        stack.on("node1", "systemctl", "restart", "mesh-proxy@ingressgateway")
        stack.on("node2", "systemctl", "restart", "mesh-proxy@book-store-v1")
        assert stack.ask("GET", "/api/v1/ping", "book-store.local").status == 200
    finally:
        stack.on("node1", "systemctl", "start", "mesh-control")
    assert stack.mesh("wait").returncode == 0


def test_the_control_plane_survives_a_kill(local: Environment) -> None:
    stack = local.stack
    before = stack.mesh("policies", "get", "--owner", "local").stdout
    stack.on("node1", "systemctl", "kill", "--signal=KILL", "mesh-control")
    stack.on("node1", "systemctl", "restart", "mesh-control")
    assert stack.mesh("policies", "get", "--owner", "local").stdout == before
    assert stack.mesh("wait").returncode == 0


def test_what_was_changed_behind_its_back_is_found_and_mended(local: Environment) -> None:
    stack = local.stack
    stack.mesh("policies", "delete", "--owner", "local", "--wait", "5")
    stack.on("node3", "systemctl", "poweroff", check=False)
    stack.on("node2", "rm", "-f", "/etc/meshwright/workload/store.env")
    found = stack.pulumi("refresh", "--yes", "--skip-preview").stdout
    assert "updated" in found
    stack.up()
    assert stack.ask("GET", "/api/v1/ping", "book-store.local").status == 200
    assert stack.ask("GET", f"/api/v1/store/{USER}/orders", SHOP).status == 200
    stack.pulumi("preview", "--expect-no-changes")


def test_policies_that_are_wrong_change_nothing(local: Environment) -> None:
    stack = local.stack
    before = stack.mesh("policies", "get", "--owner", "local").stdout
    wrong = before.replace("subset: v1", "subset: v7")
    control = stack.outputs()["control"]
    place = control["place"]
    ssh = ["ssh", "-o", "BatchMode=yes", *place["arguments"], f"{place['user']}@{place['address']}", "sudo"]
    command = [control["command"], "policies", "apply", "--owner", "local", "--socket", control["socket"]]
    refused = stack.run(*ssh, *command, stdin=wrong, check=False)
    assert refused.returncode == 1
    assert "subset 'v7' of book-store.default.svc.cluster.local does not exist" in refused.stderr
    assert stack.mesh("policies", "get", "--owner", "local").stdout == before

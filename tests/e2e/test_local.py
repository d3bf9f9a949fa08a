"""From nothing to a mesh on three machines, and what is promised of it, in the order in which people meet it."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import secret_search
from support.stacks import ROOT, Stack, leftovers, missing, missing_machines, not_compiled, watched_processes

REASON = missing() or missing_machines()
PLAIN = not_compiled()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
USER = "6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b"
SHOP = "store.services.local"
NODES = ("node1", "node2", "node3")
SERVICES = ("store", "order", "warehouse", "warranty", "book-store")


class Environment:
    """The stack, and what its commands said."""

    def __init__(self) -> None:
        self.stack = Stack("local")
        self.said: list[str] = []
        self.command_lines: set[str] = set()


@pytest.fixture(scope="module")
def local() -> Iterator[Environment]:
    """Brought up in three goes: the first is killed, the second interrupted, and the third ends well."""
    environment = Environment()
    stack = environment.stack
    try:
        with watched_processes(environment.command_lines):
            environment.said.append(stack.interrupted_up("node1 creating", signal.SIGKILL))
            environment.said.append(stack.interrupted_up("node1: host : Have a group", signal.SIGINT))
            environment.said.append(stack.run("tools/stack", "up", "local").stdout)
        yield environment
    finally:
        stack.down()
    assert leftovers("local") == []


def test_an_up_that_was_cut_off_is_gone_on_with(local: Environment) -> None:
    _killed, interrupted, last = local.said
    assert "interrupted" in interrupted or "did not end well" in interrupted
    assert "errored" not in last


@pytest.mark.parametrize("machine", ["node1", "node2", "node3"])
def test_a_machine_is_what_its_settings_say(local: Environment, machine: str) -> None:
    stack = local.stack
    assert stack.on(machine, "hostname").strip() == machine
    assert stack.on(machine, "nproc").strip() == "2"
    total = int(stack.on(machine, "grep", "MemTotal", "/proc/meminfo").split()[1])
    assert total == 2048 * 1024
    assert stack.on(machine, "systemctl", "is-system-running").strip() == "running"
    assert "no security boundary" in "".join(local.said)


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


@pytest.mark.parametrize("scenario", ["routing", "canary", "timeout", "circuit-breaker", "authentication"])
def test_a_scenario_is_seen_through_the_gateway(local: Environment, scenario: str) -> None:
    shown = local.stack.demo(scenario)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    if scenario == "authentication":  # which looks at sidecars' counters only where it is told of them
        assert "all others by TLS" in shown.stdout


def test_the_timeout_is_seen_under_the_load_of_yandex_tank(local: Environment, tmp_path: Path) -> None:
    stack = local.stack
    tank = stack.run("tools/env", "yandextank").stdout.splitlines()[-1]
    shutil.copytree(ROOT / "examples" / "load-test", tmp_path, dirs_exist_ok=True)
    stack.pulumi("config", "set", "--path", "environment.scenario", "timeout")
    try:
        stack.up()
        profile = json.dumps({"bfg": {"load_profile": {"schedule": "const(20, 10s)"}}})
        command = [*stack.outputs()["enter"], f"{tank}/bin/yandex-tank", "-c", "load.yaml", "-p", profile]
        shot = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert shot.returncode == 0, shot.stdout + shot.stderr
    finally:
        stack.pulumi("config", "set", "--path", "environment.scenario", "steady")
        stack.up()
    (results,) = tmp_path.glob("logs/*/bfgout.log")
    shots = [line.split("\t") for line in results.read_text().splitlines()]
    statuses = Counter(shot[-1] for shot in shots)
    assert set(statuses) == {"200", "504"}
    assert 0.1 < statuses["504"] / len(shots) < 0.3
    slow = [int(shot[2]) / 1e6 for shot in shots if shot[-1] == "504"]
    assert all(14.5 < seconds < 20 for seconds in slow)


@pytest.mark.parametrize(
    ("inventory", "hosts"), [("static.yml", ["node1", "node2", "node3"]), ("pulumi_stack.yml", ["node2"])]
)
def test_ansible_alone_finds_nothing_to_do(local: Environment, inventory: str, hosts: list[str]) -> None:
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", f"inventories/local/{inventory}"]
    played = local.stack.run(*command, "--vault-password-file=.vault_pass", "--limit", ",".join(hosts), "mesh.yml")
    recap = played.stdout.rpartition("PLAY RECAP")[2]
    assert [line.split()[0] for line in recap.splitlines() if " changed=0 " in line] == hosts


def test_a_second_up_changes_nothing_and_is_quick(local: Environment) -> None:
    local.stack.pulumi("preview", "--expect-no-changes")
    assert "unchanged" in local.stack.run("tools/stack", "up", "local").stdout


@pytest.mark.skipif(PLAIN != "", reason=PLAIN)
def test_workers_are_compiled(local: Environment) -> None:
    maps = local.stack.on("node1", "sh", "-c", "'cat /proc/$(pgrep -o -f [m]esh_proxy.worker)/maps'")
    assert "mesh_proxy__mypyc" in maps


def secrets_of(stack: Stack) -> list[str]:
    """Everything that is secret in the environment: what its vault has, tokens, and private keys."""
    known = stack.run(
        str(ROOT / ".venv/bin/python"),
        "-c",
        "import json; from stacks import vault; print(json.dumps(vault.load(vault.ROOT, 'local')))",
    )
    tokens = [
        token for node in NODES for token in stack.on(node, "sh", "-c", "'cat /etc/meshwright/proxy/*.token'").split()
    ]
    keys = [
        stack.on(node, "sh", "-c", "'cat /var/lib/meshwright/proxy/*/identity/identity.pem'").split("\n")[1]
        for node in NODES
    ]
    assert len(tokens) == 7
    return [*json.loads(known.stdout).values(), *tokens, *keys]


def test_no_secret_stands_in_state_output_or_process_lists(local: Environment) -> None:
    state = local.stack.pulumi("stack", "export").stdout
    journals = "".join(local.stack.on(node, "journalctl", "--no-pager") for node in NODES)
    processes = "".join(local.stack.on(node, "ps", "-eww", "-o", "args") for node in NODES)
    seen = [state, journals, processes, *local.said, *local.command_lines]
    for value in secrets_of(local.stack):
        assert not [text[:200] for text in seen if value in text]


def test_no_secret_stands_where_everyone_may_read(local: Environment) -> None:
    """On each machine, and on the one from which they were made."""
    secrets = secrets_of(local.stack)
    program = shlex.quote(Path(secret_search.__file__).read_text())
    for node in NODES:
        asked = json.dumps({"secrets": secrets, "roots": ["/"]})
        assert json.loads(local.stack.on(node, "python3", "-c", program, stdin=asked)) == [], node
        # It would be found.
        planted = "echo " + secrets[0] + " > /run/planted && chmod 0644 /run/planted"
        local.stack.on(node, "sh", stdin=planted)
        try:
            assert json.loads(local.stack.on(node, "python3", "-c", program, stdin=asked)) == ["/run/planted"], node
        finally:
            local.stack.on(node, "rm", "/run/planted")
    here = json.dumps({"secrets": secrets, "roots": [str(ROOT / ".meshwright"), tempfile.gettempdir(), "/var/log"]})
    assert json.loads(local.stack.run(sys.executable, secret_search.__file__, stdin=here).stdout) == []


def test_configuration_is_served_by_mutual_tls_alone_and_keys_are_for_their_owner(local: Environment) -> None:
    stack = local.stack
    listening = stack.on("node1", "ss", "-Hltn")
    assert ":15012 " in listening
    assert ":15010 " not in listening
    certificates = json.loads(stack.mesh("ca", "certificates", "--output", "json").stdout)
    assert {c["identity"] for c in certificates if c["proof"] != "control plane"} == {
        "spiffe://cluster.local/ns/istio-system/sa/ingressgateway",
        *(f"spiffe://cluster.local/ns/default/sa/{name}" for name in SERVICES),
    }
    for node in ("node1", "node2", "node3"):
        find = r"find /etc/meshwright /var/lib/meshwright ( -name *.pem -o -name *.token -o -name *.key ) -perm /0077"
        open_files = stack.on(node, *map(shlex.quote, find.split())).split()
        assert open_files == ["/etc/meshwright/proxy/roots.pem"]  # no secret


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: warehouse, namespace: default}
spec:
  selector: {matchLabels: {app: warehouse}}
  rules: [{from: [{source: {principals: ["cluster.local/ns/default/sa/order", "cluster.local/ns/default/sa/warranty"]}}]}]
"""


def test_workloads_speak_mutual_tls_and_who_does_not_is_shut_out(local: Environment) -> None:
    stack = local.stack
    warehouse = "10.77.0.13:8280"  # asked from outside, where there is no sidecar
    assert stack.ask("GET", "/", "warehouse", at=warehouse).status == 404
    stack.apply("strict", STRICT)
    try:
        with pytest.raises(AssertionError, match=r"RemoteDisconnected|ConnectionResetError"):
            stack.ask("GET", "/", "warehouse", at=warehouse)
        bought = stack.ask("POST", f"/api/v1/store/{USER}/purchase", SHOP, {"model": "Lego 8070", "size": "M"})
        assert bought.status == 201  # by way of the database, which has no sidecar
    finally:
        stack.mesh("policies", "delete", "--owner", "strict")


SERVE_BY_IPV6 = """
import socket
server = socket.socket(socket.AF_INET6)
server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
server.bind(("::", 8280))
server.listen()
while True:
    server.accept()[0].close()
"""
DIAL_BY_IPV6 = """
import socket, sys
try:
    socket.create_connection(("fd00:77::13", int(sys.argv[1])), 5)
    print("connected")
except OSError as error:
    print(type(error).__name__)
"""


def dialled(stack: Stack, machine: str, user: str, port: int) -> str:
    """How a connection to node3 by IPv6 ends that a user of a machine opens."""
    command = ("/usr/bin/python3", "-c", shlex.quote(DIAL_BY_IPV6), str(port))
    return stack.on(machine, "runuser", "-u", user, "--", *command).strip()


def test_nothing_goes_past_a_sidecar_by_ipv6(local: Environment) -> None:
    stack = local.stack
    addresses = {"node2": "fd00:77::12/64", "node3": "fd00:77::13/64"}
    for machine, address in addresses.items():
        stack.on(machine, "ip", "address", "add", address, "dev", "eth0", "nodad")
    stack.on("node3", "systemd-run", "--unit", "by-ipv6", "/usr/bin/python3", "-c", shlex.quote(SERVE_BY_IPV6))
    try:
        stack.on("node3", "sh", "-c", "'until ss -6ltn | grep -q :8280; do sleep 0.1; done'")
        assert dialled(stack, "node3", "root", 8280) == "connected"
        assert dialled(stack, "node2", "root", 8280) == "ConnectionRefusedError"  # to the port of a workload
        assert dialled(stack, "node2", "root", 22) == "connected"
        assert dialled(stack, "node2", "demo-order", 22) == "ConnectionRefusedError"  # by a workload's user
    finally:
        stack.on("node3", "systemctl", "stop", "by-ipv6")
        for machine, address in addresses.items():
            stack.on(machine, "ip", "address", "delete", address, "dev", "eth0")


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
    refused = stack.apply("local", wrong, check=False)
    assert refused.returncode == 1
    assert "subset 'v7' of book-store.default.svc.cluster.local does not exist" in refused.stderr
    assert stack.mesh("policies", "get", "--owner", "local").stdout == before

"""Ansible alone on machines that exist: what check mode says comes true, on clean, deployed and drifted hosts."""

import shlex
import subprocess
from collections.abc import Iterator

import pytest
from support.bare_machines import BareMachines, bare_machines, difference
from support.stacks import ROOT, Stack, leftovers, missing, missing_machines

from stacks.playbooks import PlaybookError

REASON = missing() or missing_machines()
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]


@pytest.fixture(scope="module")
def bare() -> Iterator[BareMachines]:
    with bare_machines("bare") as machines:
        yield machines
    assert leftovers("bare") == []


def test_a_taken_port_and_a_machine_that_is_away_are_told_before_anything_is_changed(bare: BareMachines) -> None:
    holder = ["systemd-run", "--unit=holder", "python3", "-m", "http.server", "80"]
    bare.on("node1", *holder)
    nodes = [
        node.model_copy(update={"address": "10.77.0.99"}) if node.name == "node3" else node
        for node in bare.environment.machines.nodes
    ]
    moved = bare.environment.model_copy(
        update={"machines": bare.environment.machines.model_copy(update={"nodes": tuple(nodes)})}
    )
    bare.connections["node3"]["ansible_host"] = "10.77.0.99"
    try:
        bare.on("node1", "sh", "-c", "'until ss -ltn | grep -q :80; do sleep 0.1; done'")
        with pytest.raises(PlaybookError) as refused:
            bare.play(environment=moved)
    finally:
        bare.connections["node3"]["ansible_host"] = "10.77.0.13"
        bare.on("node1", "systemctl", "stop", "holder")
    message = str(refused.value)
    assert "node1 | port 80 is held by python3" in message
    assert "stop it, or set mesh.gateway.http_port" in message
    assert "node3 | does not answer:" in message
    assert "start it, or correct its address" in message
    assert bare.on("node2", "sh", "-c", "'ls -d /etc/meshwright 2>/dev/null || true'") == ""


def test_what_check_mode_foresees_on_clean_hosts_comes_true(bare: BareMachines) -> None:
    foreseen = bare.play(check=True)
    assert bare.on("node2", "sh", "-c", "'ls -d /etc/meshwright 2>/dev/null || true'") == ""
    done = bare.play()
    assert difference(foreseen, done) == ([], [])


def test_deployed_hosts_need_nothing(bare: BareMachines) -> None:
    assert bare.play(check=True).changes == []
    assert bare.play().changes == []


DRIFT = {
    "node1": [
        "systemctl stop mesh-control",
        "echo drift >> /etc/meshwright/control.yml",
        "runuser -u postgres -- psql -qc 'ALTER ROLE program NOLOGIN'",
    ],
    "node2": [
        "nft flush chain ip meshwright inbound",
        "chmod 0644 /etc/meshwright/proxy/order.yml",
        "sed -i /order/d /etc/hosts",
    ],
    "node3": [
        "systemctl disable --now workload-warranty",
        "rm /opt/meshwright/proxy/current/bin/mesh-proxy",
    ],
}
"""What somebody did by hand, in the shell of each machine."""

UNITS = "service : Run the units, restarted where their files are newer"
MENDED = [
    "node1: mesh_control : Write the settings",
    "node1: postgresql : Have the database and its role",
    f"node1: {UNITS}",
    "node2: host : Let the names of services resolve",
    "node2: mesh_proxy : Write the bootstrap of each proxy",
    "node2: redirect : Have exactly these rules in force",
    f"node2: {UNITS}",
    "node3: package : Install the environment from the archive",
    f"node3: {UNITS}",
    f"node3: {UNITS}",
]
"""A proxy of node2 restarts for its bootstrap, those of node3 for their software."""


def test_drifted_hosts_are_told_as_they_are_and_mended(bare: BareMachines) -> None:
    for machine, commands in DRIFT.items():
        for command in commands:
            bare.on(machine, "sh", "-c", shlex.quote(command))
    foreseen = bare.play(check=True)
    assert sorted(foreseen.changes) == MENDED
    assert difference(foreseen, bare.play()) == ([], [])


def test_what_moved_away_leaves_nothing(bare: BareMachines) -> None:
    """The first workload of a machine goes, so the next takes over the ports of its proxy; two change places.

    The stack below moves them back.
    """
    places = {"book-store-v1": "node3", "book-store-v2": "node2", "warranty": "node2"}
    workloads = [w.model_copy(update={"machine": places.get(w.name, w.machine)}) for w in bare.environment.workloads]
    moved = bare.environment.model_copy(update={"workloads": tuple(w for w in workloads if w.name != "store")})
    removed = "host : Remove what proxies and workloads left that are here no longer"
    assert {f"node2: {removed}", f"node3: {removed}"} <= set(bare.play(environment=moved).changes)
    units = bare.on("node2", "systemctl", "list-units", "--all", "--plain", "--no-legend", "mesh-proxy@*", "workload-*")
    kept = ["book-store-v2", "order", "warranty"]
    assert sorted(line.split()[0] for line in units.splitlines()) == [
        *(f"mesh-proxy@{name}.service" for name in kept),
        *(f"workload-{name}.service" for name in kept),
    ]
    assert bare.on("node2", "systemctl", "is-active", *(f"workload-{name}" for name in kept)).split() == ["active"] * 3
    left = bare.on("node2", "sh", "-c", "'ls /etc/meshwright/* /var/lib/meshwright/proxy; cut -d: -f1 /etc/passwd'")
    assert not {"store.yml", "store.env", "store.database", "store", "demo-store"} & set(left.split())


def test_the_stack_static_takes_the_same_machines_over(bare: BareMachines) -> None:
    stack = Stack("static", enter=("nsenter", "--net=/run/netns/mw-bare"))
    try:
        stack.up()
        assert stack.ask("GET", "/api/v1/ping", "book-store.local").status == 200
        stack.pulumi("preview", "--expect-no-changes")
    finally:
        stack.down()
    assert leftovers("static") == []
    assert bare.on("node1", "systemctl", "is-active", "mesh-control").strip() == "active"


def test_the_vault_password_is_named_where_it_is_missing(bare: BareMachines) -> None:
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "inventories/local/static.yml"]
    command += ["--vault-password-file=.vault_pass_that_is_not_there", "mesh.yml", "--check"]
    refused = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert ".vault_pass_that_is_not_there" in refused.stderr

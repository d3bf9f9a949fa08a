"""Machines that nothing was installed on, made for a test and gone afterwards."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stacks import ansible_inventory, playbooks, vault
from stacks.environment import Environment
from stacks.environments import local
from stacks.layers.installed import PARTS
from stacks.layers.machines import ansible_connection, specifications, state_directory
from stacks.machines import NetworkSpec, driver
from tests.support.ports import free_port


class BareMachines:
    """The machines of an environment that answer SSH, with what Ansible needs to reach them."""

    def __init__(
        self, environment: Environment, connections: dict[str, dict[str, Any]], start: Callable[[str], object]
    ) -> None:
        self.environment = environment
        self.connections = connections
        self.start = start
        """Has a machine of that name run again that was switched off; it answers SSH then."""
        self.secrets = vault.load(vault.ROOT, local.ENVIRONMENT.name)
        self.variables: dict[str, Any] = {}
        """Added to those of all hosts."""
        self.extra: dict[str, str] = {}
        """Given on the command line (``-e``)."""

    def inventory(self, environment: Environment | None = None) -> str:
        """The inventory as JSON."""
        made = ansible_inventory.inventory(environment or self.environment, self.connections)
        made["all"]["vars"] |= self.variables
        return json.dumps(made)

    def play(
        self, *, check: bool = False, environment: Environment | None = None, playbook: str = playbooks.MESH
    ) -> playbooks.Outcome:
        """Run a whole playbook."""
        tags, given = PARTS.get(playbook, ()), {**self.secrets, **self.extra}
        return playbooks.run(self.inventory(environment), given, tags, check=check, playbook=playbook)

    def on(self, machine: str, *command: str) -> str:
        """What a command, run as root on a machine, prints."""
        connection = self.connections[machine]
        key = connection["ansible_ssh_private_key_file"]
        ssh = f"ssh -o BatchMode=yes {connection['ansible_ssh_common_args']} -i {key}"
        done = subprocess.run(
            [*shlex.split(ssh), f"{connection['ansible_user']}@{connection['ansible_host']}", "sudo", *command],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def difference(foreseen: playbooks.Outcome, done: playbooks.Outcome) -> tuple[list[str], list[str]]:
    """What was foreseen and not done, and what was done and not foreseen."""
    before, after = Counter(foreseen.changes), Counter(done.changes)
    return sorted((before - after).elements()), sorted((after - before).elements())


@contextmanager
def bare_machines(name: str, environment: Environment = local.ENVIRONMENT) -> Iterator[BareMachines]:
    """The machines of an environment under another name, in networks of their own."""
    # Two environments cannot have the same way in.
    machines = environment.machines.model_copy(update={"entrance_port": free_port()})
    environment = environment.model_copy(update={"name": name, "machines": machines})
    key = vault.ROOT / environment.machines.ssh_private_key_file
    vault.ensure(vault.ROOT, local.ENVIRONMENT.name, key)
    subprocess.run([str(vault.ROOT / "tools" / "wheelhouse")], stdout=subprocess.DEVNULL, check=True)
    made = driver("namespaces", state_directory(vault.ROOT))
    specs = specifications(environment, Path(f"{key}.pub").read_text().strip())
    try:
        made.ensure_network(NetworkSpec(name, str(environment.machines.network)))
        states = [made.ensure(spec).to_values() for spec in specs]
        connections = {state["name"]: ansible_connection(state, str(key)) for state in states}
        known = {spec.name: spec for spec in specs}
        yield BareMachines(environment, connections, lambda name: made.ensure(known[name]))
    finally:
        for spec in specs:
            made.delete(name, spec.name)
        made.delete_network(name)

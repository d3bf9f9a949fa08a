"""Machines that nothing was installed on, made for a test and gone afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stacks import ansible_inventory, playbooks, vault
from stacks.environment import Environment
from stacks.environments import local
from stacks.layers.machines import ansible_connection, specifications, state_directory
from stacks.machines import NetworkSpec, driver

PARTS = ("hosts", "mesh", "workloads")


class BareMachines:
    """The machines of an environment that answer SSH, with what Ansible needs to reach them."""

    def __init__(self, environment: Environment, connections: dict[str, dict[str, Any]]) -> None:
        self.environment = environment
        self.connections = connections
        self.secrets = vault.load(vault.ROOT, local.ENVIRONMENT.name)

    def inventory(self, environment: Environment | None = None) -> str:
        """The inventory as JSON."""
        return json.dumps(ansible_inventory.inventory(environment or self.environment, self.connections))

    def play(self, *, check: bool = False, environment: Environment | None = None) -> playbooks.Outcome:
        """Run the whole playbook."""
        return playbooks.run(self.inventory(environment), self.secrets, PARTS, check=check)


@contextmanager
def bare_machines(name: str) -> Iterator[BareMachines]:
    """The three machines of the environment ``local`` under another name, in networks of their own."""
    environment = local.ENVIRONMENT.model_copy(update={"name": name})
    key = vault.ROOT / environment.machines.ssh_private_key_file
    vault.ensure(vault.ROOT, local.ENVIRONMENT.name, key)
    subprocess.run([str(vault.ROOT / "tools" / "wheelhouse")], stdout=subprocess.DEVNULL, check=True)
    made = driver("namespaces", state_directory(vault.ROOT))
    specs = specifications(environment, Path(f"{key}.pub").read_text().strip())
    try:
        made.ensure_network(NetworkSpec(name, str(environment.machines.network)))
        states = [made.ensure(spec).to_values() for spec in specs]
        yield BareMachines(environment, {state["name"]: ansible_connection(state, str(key)) for state in states})
    finally:
        for spec in specs:
            made.delete(name, spec.name)
        made.delete_network(name)

"""Machines: the network, and the machines in it, by the environment's driver."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pulumi

from stacks import digest
from stacks.environment import Environment
from stacks.machines import MachineSpec, driver
from stacks.machines.driver import check
from stacks.providers.machine import Machine, Network

Values = dict[str, Any]


def state_directory(root: Path) -> Path:
    """Where machines are kept: the system's place for root, else the project's own."""
    return Path("/var/lib/meshwright/machines") if os.geteuid() == 0 else root / ".meshwright" / "machines"


def specifications(environment: Environment, public_key: str) -> list[MachineSpec]:
    """What each machine is to be. Pure."""
    machines = environment.machines
    return [
        MachineSpec(
            environment=environment.name,
            name=node.name,
            address=node.address,
            cidr=str(machines.network),
            public_key=public_key,
            user=machines.ssh_user,
            ssh_port=node.ssh_port,
            cores=machines.cores,
            memory_mib=machines.memory_mib,
            suite=machines.suite,
            mirror=machines.mirror,
            host_key=node.host_key,
            entrance_port=machines.entrance_port or 0,
        )
        for node in machines.nodes
    ]


def place(state: Values, key: str) -> Values:
    """A machine as :func:`stacks.remote.connect` takes it."""
    arguments = [*state["ssh_arguments"], "-i", key]
    return {
        "kind": "ssh",
        "name": state["name"],
        "address": state["address"],
        "port": int(state["ssh_port"]),
        "user": state["user"],
        "arguments": arguments,
        # A machine that was made anew has another, and none of the policies that its predecessor held.
        "host_key": state["host_key"],
    }


class Machines(pulumi.ComponentResource):
    """All machines. ``places`` says by name how commands reach them, ``connections`` the same in Ansible's words.

    ``identity`` changes when a machine is made anew, at the same address and with nothing on it.
    """

    def __init__(self, environment: Environment, *, root: Path, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("meshwright:index:Machines", "machines", None, opts)
        key = root / environment.machines.ssh_private_key_file
        chosen, state = environment.machines.driver, state_directory(root)
        specs = specifications(environment, key.with_name(key.name + ".pub").read_text().strip())
        check(driver(chosen, state), specs)
        network = Network(
            "network",
            environment=environment.name,
            cidr=str(environment.machines.network),
            driver=chosen,
            state=str(state),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.machines = [
            Machine(
                spec.name,
                spec=asdict(spec),
                driver=chosen,
                state_directory=str(state),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[network]),
            )
            for spec in specs
        ]
        states = pulumi.Output.all(*(machine.state for machine in self.machines))
        self.places = states.apply(lambda found: {state["name"]: place(state, str(key)) for state in found})
        self.connections = states.apply(lambda found: {s["name"]: ansible_connection(s, str(key)) for s in found})
        self.identity = states.apply(lambda found: digest.of_texts(state["host_key"] for state in found))
        self.register_outputs({"machines": [spec.name for spec in specs]})


def ansible_connection(state: Values, key: str) -> Values:
    """Ansible's connection variables for a machine."""
    return {
        "ansible_host": state["address"],
        "ansible_port": int(state["ssh_port"]),
        "ansible_user": state["user"],
        "ansible_ssh_private_key_file": key,
        "ansible_ssh_common_args": shlex.join(state["ssh_arguments"]),
    }

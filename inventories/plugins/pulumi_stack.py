# SPDX-License-Identifier: Apache-2.0
"""Ansible inventory plugin: the machines of a Pulumi stack, as its outputs tell."""

from __future__ import annotations

import json
import os
import subprocess

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.template import trust_as_template

DOCUMENTATION = r"""
name: pulumi_stack
short_description: The machines of a Pulumi stack
description:
  - Reads the output C(inventory) of a stack of this project, which holds hosts, groups and the variables of every role.
  - Secrets stand in it only as references to the vault that lies beside the inventory file.
  - A file for it is named C(pulumi_stack.yml).
options:
  plugin:
    description: Names this plugin.
    required: true
    choices: [pulumi_stack]
  stack:
    description: Name of the stack.
    required: true
    type: str
"""

EXAMPLES = r"""
plugin: pulumi_stack
stack: local
"""


def trusted(value):
    """The value with every string allowed to be a template: the stack is ours, and refers to the vault so."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return value


class InventoryModule(BaseInventoryPlugin):
    """See the module's docstring."""

    NAME = "pulumi_stack"

    def verify_file(self, path):
        """Whether the file is for this plugin."""
        return super().verify_file(path) and os.path.basename(path) in ("pulumi_stack.yml", "pulumi_stack.yaml")

    def parse(self, inventory, loader, path, cache=True):
        """Fill the inventory from the stack's outputs."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        everything = self._output(self.get_option("stack"), path)["all"]
        for name, value in everything["vars"].items():
            inventory.set_variable("all", name, trusted(value))
        for host, variables in everything["hosts"].items():
            inventory.add_host(host)
            for name, value in variables.items():
                inventory.set_variable(host, name, trusted(value))
        for group, members in everything["children"].items():
            inventory.add_group(group)
            for host in members["hosts"]:
                inventory.add_child(group, host)

    @staticmethod
    def _output(stack, path):
        root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        command = [
            os.path.join(root, "tools", "pulumi"),
            "stack",
            "output",
            "inventory",
            "--show-secrets",
            "--stack",
            stack,
        ]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AnsibleParserError(f"{path}: the stack {stack} has no inventory to give: {done.stderr.strip()}")
        return json.loads(done.stdout)

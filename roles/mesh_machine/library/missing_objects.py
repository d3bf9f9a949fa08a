#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which objects a cluster has not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: missing_objects
short_description: Tell which objects are not in a cluster
description:
  - Looks for each by its kind, namespace and name, and at nothing in it. Changes nothing.
  - What is there may have come by another way, and is its owner's to change.
options:
  objects:
    description: The objects.
    type: list
    elements: dict
    required: true
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look whether there is a namespace
  missing_objects:
    objects: [{apiVersion: v1, kind: Namespace, metadata: {name: shop}}]
"""

RETURN = r"""
missing:
  description: Those that are not there, in their order.
  type: list
  elements: dict
  returned: always
"""

import json
import subprocess

from ansible.module_utils.basic import AnsibleModule


def key(value):
    """By this an object is known."""
    metadata = value["metadata"]
    return value["kind"], metadata.get("namespace", ""), metadata["name"]


def missing(wanted, answer):
    """The objects that are not in what ``kubectl get --output=json`` has answered: nothing, one object, or a list of them."""
    found = json.loads(answer) if answer.strip() else {"items": []}
    there = {key(item) for item in found.get("items", [found])}
    return [value for value in wanted if key(value) not in there]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "objects": {"type": "list", "elements": "dict", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    wanted = module.params["objects"]
    if not wanted:
        module.exit_json(changed=False, missing=[])
    command = ["kubectl", f"--kubeconfig={module.params['kubeconfig']}", "get", "--ignore-not-found", "--filename=-"]
    manifests = "\n---\n".join(map(json.dumps, wanted))
    done = subprocess.run([*command, "--output=json"], input=manifests.encode(), capture_output=True, check=False)
    if done.returncode:
        module.fail_json(msg=f"kubectl get: {done.stderr.decode(errors='replace').strip()[-1500:]}")
    module.exit_json(changed=False, missing=missing(wanted, done.stdout.decode()))


if __name__ == "__main__":
    main()

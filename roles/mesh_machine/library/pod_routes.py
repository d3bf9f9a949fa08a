#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the routes of a machine to pods are the ones that are asked for."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_routes
short_description: Keep the routes to a cluster's pods
description:
  - Compares the routes of the kernel's main table that have the protocol with those wanted, one by one; others are nobody's
    business. Knows of routes that somebody took away, which the unit that has them at boot does not.
options:
  routes:
    description: The network (C(to)) and the address that leads there (C(via)) of each.
    type: list
    elements: dict
    required: true
  protocol:
    description: Number by which they are told from others.
    type: int
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the way to the pods of a node
  pod_routes:
    routes: [{to: 10.244.1.0/24, via: 10.77.0.12}]
    protocol: 109
"""

RETURN = r""" # """

import json
import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(module, *arguments):
    """What ``ip`` prints; its complaint is the module's failure."""
    done = subprocess.run(["ip", "-4", *arguments], capture_output=True, env={"PATH": PATH}, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        module.fail_json(
            msg=f"ip {' '.join(arguments)}: {said}; the machine must be on the network of the cluster's nodes"
        )
    return done.stdout.decode()


def parsed(listed):
    """Network to the address that leads there, of ``ip -json route``."""
    return {route["dst"]: route.get("gateway", "") for route in json.loads(listed or "[]")}


def steps(before, after):
    """The arguments of ``ip`` that make the one of the other: what is wanted first, so that no way is missing in between."""
    wanted = [("replace", to, "via", via) for to, via in after.items() if before.get(to) != via]
    return [*wanted, *(("del", to, "via", via) for to, via in before.items() if to not in after)]


def shown(routes):
    """For the difference."""
    return "".join(f"{to} via {via}\n" for to, via in sorted(routes.items()))


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "routes": {"type": "list", "elements": "dict", "required": True},
            "protocol": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    after = {route["to"]: route["via"] for route in module.params["routes"]}
    protocol = str(module.params["protocol"])
    if shutil.which("ip", path=PATH) is None and module.check_mode:  # a task before would have installed it
        module.exit_json(changed=bool(after), diff={"before": "", "after": shown(after)})
    before = parsed(run(module, "-json", "route", "show", "table", "main", "proto", protocol))
    todo = steps(before, after)
    if not module.check_mode:
        for step in todo:
            run(module, "route", *step, "proto", protocol)
    module.exit_json(changed=bool(todo), diff={"before": shown(before), "after": shown(after)})


if __name__ == "__main__":
    main()

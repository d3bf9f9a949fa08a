#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the versions of a cluster and its nodes, and whether it can be brought to another. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_versions
short_description: Tell the versions of a cluster, and refuse those that it cannot be brought to
description:
  - Fails for a version that is older than what runs, more than one minor version newer, or not among those that the roles are
    for, and while a node is not ready.
options:
  wanted:
    description: The version that is wanted (v1.34.2).
    type: str
    required: true
  series:
    description: Minor versions that the roles are for.
    type: list
    elements: str
    required: true
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
  seconds:
    description: How long a node may take to be ready.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look whether the cluster can have that version
  cluster_versions:
    wanted: v1.34.2
    series: ["1.33", "1.34"]
"""

RETURN = r"""
cluster:
  description: Version of the cluster, by its own word.
  type: str
  returned: always
nodes:
  description: Node to the version of its kubelet.
  type: dict
  returned: always
"""

import json
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import Host, settings

PAUSE = 2
VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")


def numbers(version):
    """``v1.34.2`` to (1, 34, 2). Raises :class:`ValueError`."""
    found = VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is no version (as v1.34.2 is)")
    return tuple(map(int, found.groups()))


def refusal(wanted, series, cluster, nodes):
    """Why a cluster cannot be brought to a version; empty when it can."""
    to, runs = numbers(wanted), {name: numbers(version) for name, version in {"the cluster": cluster, **nodes}.items()}
    if f"{to[0]}.{to[1]}" not in series:
        known = " and ".join(series)
        return f"the roles are for Kubernetes {known}, and not for {wanted}; set kubernetes_version to one of these"
    newer = [f"{name} runs {nodes.get(name, cluster)}" for name, version in runs.items() if version > to]
    if newer:
        return (
            f"{', '.join(newer)}, and Kubernetes does not go back to {wanted}; set kubernetes_version to that or newer"
        )
    first = min(runs.values())
    if (to[0], to[1] - 1) > first[:2]:
        between = f"{first[0]}.{first[1] + 1}"
        return f"v{'.'.join(map(str, first))} runs, and minor versions are taken one after another: {between} before {wanted}"
    return ""


def read(told):
    """Node to its version, and the nodes that are not ready, of what ``kubectl get nodes`` says."""
    versions, unready = {}, []
    for node in json.loads(told)["items"]:
        name = node["metadata"]["name"]
        versions[name] = node["status"]["nodeInfo"]["kubeletVersion"]
        ready = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}.get("Ready")
        unready += [] if ready == "True" else [name]
    return versions, unready


def ask(host, seconds):
    """Versions of the nodes, and those that are not ready after a while. Raises :class:`ValueError`."""
    deadline = time.monotonic() + seconds
    while True:
        code, answer = host.kubectl("admin.conf", "get", "nodes", "--output=json")
        versions, unready = ({}, []) if code else read(answer)
        if (not code and not unready) or time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
    if code:
        raise ValueError(f"the API does not answer: {answer}")
    return versions, unready


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "wanted": {"type": "str", "required": True},
            "series": {"type": "list", "elements": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    parameters, host = module.params, Host()
    try:
        cluster = settings(host).get("kubernetesVersion", "")
        nodes, unready = ask(host, parameters["seconds"])
        why = refusal(parameters["wanted"], parameters["series"], cluster, nodes)
    except ValueError as error:
        module.fail_json(msg=str(error))
    if not why and unready:
        why = f"{', '.join(unready)} not ready: mend that first, or take the machine out (cluster/remove.yml)"
    if why:
        module.fail_json(msg=why)
    module.exit_json(changed=False, cluster=cluster, nodes=nodes)


if __name__ == "__main__":
    main()

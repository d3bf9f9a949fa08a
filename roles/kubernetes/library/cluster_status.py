#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: how a cluster does, as one machine of its control plane sees it. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_status
short_description: Tell how a cluster does
description:
  - Asks this machine's own API server, whoever has the address of the API, and etcd in this machine's pod.
options:
  name:
    description: Name of this machine's node.
    type: str
    required: true
  address:
    description: HOST:PORT of this machine's API server.
    type: str
    required: true
  virtual_address:
    description: Address that one machine holds at a time; empty for none.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Ask the machine
  cluster_status:
    name: node1
    address: 10.0.0.11:6443
"""

RETURN = r"""
answers:
  description: Whether this machine's API server is ready; why not is in C(why).
  type: bool
  returned: always
holds:
  description: Whether it holds the address of the API.
  type: bool
  returned: always
nodes:
  description: Each node with its version, whether it is ready, and whether it takes pods.
  type: list
  elements: dict
  returned: when it answers
members:
  description: Names of etcd's members, and whether each answers.
  type: dict
  returned: when it answers
certificate:
  description: Which of this machine's certificates ends first, and the days until then.
  type: dict
  returned: when it answers
"""

import json
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.etcd_pod import EtcdError, etcdctl
from ansible.module_utils.static_pods import ready

LOGIN = "/etc/kubernetes/admin.conf"
CONTROL = "node-role.kubernetes.io/control-plane"


def run(*command):
    """Standard output; empty where it fails."""
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode() if not done.returncode else ""


def node(told):
    """What is said of a node, of what the API tells."""
    conditions = {one["type"]: one["status"] for one in told["status"].get("conditions", ())}
    return {
        "name": told["metadata"]["name"],
        "control": CONTROL in told["metadata"].get("labels", {}),
        "version": told["status"]["nodeInfo"]["kubeletVersion"],
        "ready": conditions.get("Ready") == "True",
        "schedulable": not told["spec"].get("unschedulable", False),
    }


def holds(addresses, virtual):
    """Whether one of the machine's addresses, as ``ip -json`` tells them, is the one that moves."""
    return any(one.get("local") == virtual for link in addresses for one in link.get("addr_info", ()))


def members(name):
    """Name of each member to whether it answers."""
    try:
        told = json.loads(etcdctl(LOGIN, name, "member", "list", "--write-out=json", tries=1)).get("members", ())
    except EtcdError:
        return {}
    found = {}
    for member in told:
        urls = ",".join(member.get("clientURLs", ()))
        try:
            etcdctl(LOGIN, name, "endpoint", "health", f"--endpoints={urls}", tries=1)
            found[member.get("name") or "without a name"] = bool(urls)
        except EtcdError:
            found[member.get("name") or "without a name"] = False
    return found


def first_end():
    """The certificate that ends first."""
    told = json.loads(run("kubeadm", "certs", "check-expiration", "--output=json") or "{}").get("certificates", ())
    there = [one for one in told if not one.get("missing")]
    if not there:
        return {}
    one = min(there, key=lambda each: each["residualTime"])
    return {"name": one["name"], "days": int(one["residualTime"] // 86400)}


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "virtual_address": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    name, virtual = module.params["name"], module.params["virtual_address"]
    found = {"holds": holds(json.loads(run("ip", "-json", "-4", "address", "show") or "[]"), virtual)}
    try:
        why = ready(module.params["address"])
    except OSError as error:
        why = f"there is no kubectl ({error.strerror})"
    found |= {"answers": not why, "why": why[-500:]}
    if not why:
        server = f"--server=https://{module.params['address']}"
        told = run("kubectl", f"--kubeconfig={LOGIN}", server, "get", "nodes", "--output=json")
        found["nodes"] = [node(one) for one in json.loads(told or '{"items": []}')["items"]]
        found["members"] = members(name)
        found["certificate"] = first_end()
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()

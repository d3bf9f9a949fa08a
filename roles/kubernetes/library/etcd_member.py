#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a machine that is no member of a cluster's etcd any more."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Have etcd without a member
description:
  - Runs where the cluster's login is, and asks etcd in the pod of that machine. A member that does not answer any more is
    taken out all the same, so that the others are a majority of those that are there.
options:
  name:
    description: Name of the member's node.
    type: str
    required: true
  address:
    description: Its address; a member that has never begun has no name yet.
    type: str
    required: true
  through:
    description: Name of the node whose pod is asked.
    type: str
    required: true
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have etcd without the machine
  etcd_member:
    name: node1
    address: 10.0.0.11
    through: node2
"""

RETURN = r"""
members:
  description: The members that were there.
  type: list
  elements: str
  returned: always
"""

import json
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.etcd_pod import EtcdError, etcdctl


def found(told, name, address):
    """The numbers of a machine's members among those that etcd tells."""
    return [
        member["ID"]
        for member in told.get("members", ())
        if member.get("name") == name or address in {urlsplit(url).hostname for url in member.get("peerURLs", ())}
    ]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "through": {"type": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    login, through = module.params["kubeconfig"], module.params["through"]
    try:
        told = json.loads(etcdctl(login, through, "member", "list", "--write-out=json"))
        members = [member.get("name") or "without a name" for member in told.get("members", ())]
        leaving = found(told, module.params["name"], module.params["address"])
        for number in () if module.check_mode else leaving:
            etcdctl(login, through, "member", "remove", f"{number:x}")
    except EtcdError as error:
        module.fail_json(msg=str(error))
    diff = {"before": f"{module.params['name']}: a member\n" if leaving else "", "after": ""}
    module.exit_json(changed=bool(leaving), members=members, diff=diff)


if __name__ == "__main__":
    main()

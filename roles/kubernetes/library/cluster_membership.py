#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: refuses a host that is another cluster's, and settings that its cluster cannot take. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_membership
short_description: Refuse hosts of other clusters, and settings that a cluster cannot take any more
description:
  - Fails for a host that belongs to a cluster at another address, and for settings that differ from those which its cluster
    has for its whole life, as they would be written and never be in force.
options:
  endpoint:
    description: HOST:PORT of the API, as the settings have it.
    type: str
    required: true
  fixed:
    description: Settings of the cluster (names of kubeadm's fields to values) that it keeps from its beginning.
    type: dict
    default: {}
  stopped:
    description: Whether a control plane may be stopped, half-way through a backup's return.
    type: bool
    default: false
  tell:
    description: Whether problems are told and not failed for, so that those of all hosts can be shown together.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look whose the host is
  cluster_membership:
    endpoint: 10.0.0.11:6443
    fixed: {podSubnet: 10.244.0.0/16}
"""

RETURN = r"""
problems:
  description: What stands in the way, and the mend.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import (
    Host,
    NodeError,
    nothing_of_value,
    refuse_address,
    refuse_another,
    refuse_changes,
    refuse_stopped,
)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "fixed": {"type": "dict", "default": {}},
            "stopped": {"type": "bool", "default": False},
            "tell": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    host = Host()
    try:
        refuse_address(module.params["endpoint"])
        refuse_another(host, module.params["endpoint"])
        if not module.params["stopped"]:
            refuse_stopped(host)
        if not nothing_of_value(host):
            refuse_changes(host, module.params["fixed"])
    except NodeError as error:
        if not module.params["tell"]:
            module.fail_json(msg=str(error))
        what, _, mend = str(error).rpartition("; ")
        module.exit_json(changed=False, problems=[{"what": what, "mend": mend}])
    module.exit_json(changed=False, problems=[])


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the first machine of a control plane, whole."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Have the first machine of a control plane
description:
  - Looks at the host's files and into the API for every part that C(kubeadm init) makes, and runs it when one is missing. A
    run that was cut off is gone on with, whatever it has left.
  - A host that belongs to a cluster at another address is refused.
options:
  config:
    description: File with the settings of kubeadm.
    type: path
    required: true
  endpoint:
    description: HOST:PORT of the API, as the settings have it.
    type: str
    required: true
  name:
    description: Name of the node.
    type: str
    required: true
  seconds:
    description: How long it may take.
    type: int
    default: 600
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Begin the control plane
  kubeadm_init:
    config: /etc/kubernetes/meshwright-init.yml
    endpoint: 10.0.0.11:6443
    name: node1
"""

RETURN = r"""
missing:
  description: What was not there.
  type: list
  elements: str
  returned: always
database:
  description: Whether the host has a database of a cluster.
  type: bool
  returned: always
"""

import os
import shutil
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import (
    Host,
    NodeError,
    kubeadm,
    missing_files,
    missing_objects,
    nothing_of_value,
    refuse_another,
)

BOOT_SECONDS = 60
"""How long a control plane whose files are whole may take to answer: the machine may have just booted."""


def missing(host, name):
    """What is not there; asked again while the API server does not answer and a kubelet runs that may bring it up."""
    found = missing_files(host)
    if found:
        return found
    kubelet = subprocess.run(["systemctl", "is-active", "--quiet", "kubelet.service"], check=False)
    deadline = time.monotonic() + (0 if kubelet.returncode else BOOT_SECONDS)
    while True:
        found = missing_objects(host, name)
        if found != ["the API server"] or time.monotonic() > deadline:
            return found
        time.sleep(1)


def clear(host):
    """Remove what a run has left that had not come to a database: half a certificate would stop the next."""
    for name in ("pki", "manifests"):
        shutil.rmtree(host.path(name), ignore_errors=True)
    for name in ("admin.conf", "super-admin.conf", "controller-manager.conf", "kubelet.conf", "scheduler.conf"):
        if os.path.exists(host.path(name)):
            os.unlink(host.path(name))


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "config": {"type": "path", "required": True},
            "endpoint": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    host, name = Host(), module.params["name"]
    database = not nothing_of_value(host)
    try:
        refuse_another(host, module.params["endpoint"])
        clean = module.check_mode and shutil.which("kubectl") is None
        found = missing_files(host) if clean else missing(host, name)
        if found and not module.check_mode:
            if nothing_of_value(host):
                clear(host)
            command = ["init", f"--config={module.params['config']}", "--skip-token-print"]
            kubeadm(command, module.params["endpoint"], module.params["seconds"])
            left = missing(host, name)
            if left:
                module.fail_json(msg=f"kubeadm init has ended, and these are still missing: {', '.join(left)}")
    except NodeError as error:
        module.fail_json(msg=str(error))
    after = "a control plane\n" if found else ""
    module.exit_json(changed=bool(found), missing=found, database=database, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a machine that belongs to a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Have a machine in a cluster
description:
  - A machine belongs to the cluster when its kubelet's own login is for it and finds the node there; one of the control plane
    when its files are whole and its API server answers as well. Otherwise C(kubeadm join) runs, also where an earlier run was
    cut off.
  - A host that belongs to a cluster at another address is refused.
options:
  settings:
    description: Settings of kubeadm with the token; not needed in check mode. Never written where others may read them.
    type: str
    default: ""
  endpoint:
    description: HOST:PORT of the API, as the settings have it.
    type: str
    required: true
  name:
    description: Name of the node.
    type: str
    required: true
  control:
    description: Whether it is a machine of the control plane.
    type: bool
    default: false
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
- name: Ask whether it has joined
  kubeadm_join:
    endpoint: 10.0.0.11:6443
    name: node2
  check_mode: true
"""

RETURN = r"""
missing:
  description: What was not there.
  type: list
  elements: str
  returned: always
"""

import os
import shutil
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import (
    Host,
    NodeError,
    kubeadm,
    missing_files,
    missing_objects,
    refuse_another,
)

REGISTER_SECONDS = 90
PROMOTED = "can only promote a learner member"
"""What etcd says to a kubeadm that asks again for what has been done: the first answer came too late for it."""


def missing(host, name, control):
    """What is not there of a machine that belongs to the cluster."""
    if not host.has("kubelet.conf"):
        return ["kubelet.conf"]
    if control:
        return missing_files(host) or missing_objects(host, name)
    code, answer = host.kubectl("kubelet.conf", "get", f"node/{name}", "--output=name")
    if code and "not found" not in answer and "Unauthorized" not in answer:
        raise NodeError(f"the API server at {host.server('kubelet.conf')} does not answer the node: {answer}")
    return [f"node/{name}"] if code else []


def registered(host, name, control):
    """What is not there a while after joining: a kubelet that has just got its login says who it is a moment later."""
    deadline = time.monotonic() + REGISTER_SECONDS
    while True:
        found = missing(host, name, control)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(1)


def join(settings, endpoint, seconds):
    """Run kubeadm with settings that are nobody else's to read."""
    directory = tempfile.mkdtemp(prefix="meshwright-join-")  # 0700
    try:
        file = os.path.join(directory, "join.yml")
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as opened:
            opened.write(settings)
        try:
            kubeadm(["join", f"--config={file}"], endpoint, seconds)
        except NodeError as error:
            if PROMOTED not in str(error):
                raise
            kubeadm(["join", f"--config={file}"], endpoint, seconds)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "settings": {"type": "str", "default": "", "no_log": True},
            "endpoint": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "control": {"type": "bool", "default": False},
            "seconds": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    host, name, control = Host(), module.params["name"], module.params["control"]
    try:
        refuse_another(host, module.params["endpoint"])
        found = missing(host, name, control)
        if found and not module.check_mode:
            if not module.params["settings"]:
                module.fail_json(msg="settings: a machine that has not joined needs them")
            join(module.params["settings"], module.params["endpoint"], module.params["seconds"])
            left = registered(host, name, control)
            if left:
                module.fail_json(msg=f"kubeadm join has ended, and these are still missing: {', '.join(left)}")
    except NodeError as error:
        module.fail_json(msg=str(error))
    after = f"node {name}\n" if found else ""
    module.exit_json(changed=bool(found), missing=found, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()

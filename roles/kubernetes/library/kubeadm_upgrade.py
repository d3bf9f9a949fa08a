#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a machine of a cluster as another version of kubeadm has it, but for its kubelet's program."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Have a machine as a version of kubeadm has it
description:
  - Runs C(kubeadm upgrade apply) on the first machine of a control plane, while the cluster is of another version, and
    C(kubeadm upgrade node) on all others whose control plane or kubelet are. What is there already is not done again, so a
    run that was cut off is gone on with.
  - The kubelet's program is not its matter; the node is to be drained before that is another.
options:
  version:
    description: The version (v1.34.2), which kubeadm has as well.
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
  endpoint:
    description: HOST:PORT of the API.
    type: str
    required: true
  address:
    description: HOST:PORT of this machine's own API server, where it has one.
    type: str
    default: ""
  seconds:
    description: How long it may take.
    type: int
    default: 900
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the control plane of the machine in another version
  kubeadm_upgrade:
    version: v1.34.2
    name: node1
    control: true
    endpoint: 10.0.0.10:6443
    address: 10.0.0.11:6443
"""

RETURN = r"""
kubelet:
  description: Version of the kubelet that runs.
  type: str
  returned: always
old:
  description: What was of another version.
  type: list
  elements: str
  returned: always
"""

import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import MANIFESTS, Host, NodeError, kubeadm, settings, version_of
from ansible.module_utils.static_pods import PodError, wait_ready

PROGRAMS = tuple(name.removesuffix(".yaml") for name in MANIFESTS if name != "etcd.yaml")
COPIES = "tmp"
"""Where kubeadm keeps what was there before, the database among it."""
PATIENCE, PAUSE = 60, 2


def kubelet(host, name):
    """Version of the kubelet that runs; asked for a while. Raises :class:`NodeError`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        query = "--output=jsonpath={.status.nodeInfo.kubeletVersion}"
        code, answer = host.kubectl("kubelet.conf", "get", f"node/{name}", query)
        if not code:
            return answer
        if time.monotonic() > deadline:
            raise NodeError(f"the API server does not answer the node: {answer}")
        time.sleep(PAUSE)


def old_programs(host, version):
    """The programs of its control plane that are of another version."""
    found = []
    for name in PROGRAMS:
        with open(host.path(f"manifests/{name}.yaml")) as file:
            if version_of(name, file.read()) != version:
                found.append(name)
    return found


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "version": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "control": {"type": "bool", "default": False},
            "endpoint": {"type": "str", "required": True},
            "address": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    host, parameters = Host(), module.params
    version, control = parameters["version"], parameters["control"]
    try:
        runs = kubelet(host, parameters["name"])
        old = old_programs(host, version) if control else []
        first = control and settings(host).get("kubernetesVersion") != version
        old += ["cluster"] if first else []
        old += ["kubelet"] if runs != version else []
        if old and not module.check_mode:
            command = ["upgrade", "apply", version, "--yes"] if first else ["upgrade", "node"]
            # A job is no better sign than nodes that are ready, and has a quarter of a minute on a busy machine.
            kubeadm(command, parameters["endpoint"], parameters["seconds"], "CreateJob")
            if control:
                wait_ready(parameters["address"], parameters["seconds"])
            shutil.rmtree(host.path(COPIES), ignore_errors=True)
            left = old_programs(host, version) if control else []
            if left:
                module.fail_json(msg=f"kubeadm upgrade has ended, and these are of another version: {', '.join(left)}")
    except (NodeError, PodError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": "".join(f"{one}\n" for one in old), "after": f"{version}\n" if old else ""}
    module.exit_json(changed=bool(old), kubelet=runs, old=old, diff=diff)


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main()

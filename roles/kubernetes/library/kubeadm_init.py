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
  - A host that belongs to a cluster at another address is refused, and so are settings that a cluster cannot take any more:
    they would be written and never be in force.
options:
  fixed:
    description: Settings of the cluster (names of kubeadm's fields to values) that it keeps from its beginning.
    type: dict
    default: {}
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
    fixed: {podSubnet: 10.244.0.0/16}
"""

RETURN = r"""
missing:
  description: What was not there.
  type: list
  elements: str
  returned: always
"""

import os
import re
import shutil
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import (
    LEFT,
    Host,
    NodeError,
    kubeadm,
    missing_files,
    missing_objects,
    nothing_of_value,
    refuse_another,
)

MANIFESTS = {
    "podSubnet": ("kube-controller-manager.yaml", r"--cluster-cidr=(\S+)"),
    "serviceSubnet": ("kube-apiserver.yaml", r"--service-cluster-ip-range=(\S+)"),
    "kubernetesVersion": ("kube-apiserver.yaml", r"image: \S+/kube-apiserver:(\S+)"),
}
"""Where the manifests have a setting."""
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


def settings(host):
    """Names of kubeadm's fields to values, as the cluster has them: by its own word, or by manifests while it says none."""
    code, answer = host.kubectl(
        "admin.conf", "--namespace=kube-system", "get", "configmap/kubeadm-config",
        "--output=jsonpath={.data.ClusterConfiguration}",
    )  # fmt: skip
    if not code:
        return dict(re.findall(r"^\s*(\w+):\s*[\"']?([^\s\"']+)[\"']?\s*$", answer, re.MULTILINE))
    found = {}
    for name, (manifest, pattern) in MANIFESTS.items():
        if host.has(f"manifests/{manifest}"):
            with open(host.path(f"manifests/{manifest}")) as file:
                said = re.search(pattern, file.read())
            found |= {name: said[1]} if said else {}
    return found


def refuse_changes(host, wanted):
    """Raise :class:`NodeError` where the cluster has other settings than those wanted."""
    found = settings(host)
    wrong = [
        f"{name} {found[name]} and not {value}" for name, value in wanted.items() if found.get(name, value) != value
    ]
    if wrong:
        raise NodeError(
            f"the cluster has {', '.join(wrong)}; these settings are for its whole life: set them as they are, or make "
            "another cluster"
        )


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
            "fixed": {"type": "dict", "default": {}},
            "endpoint": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    host, name = Host(), module.params["name"]
    try:
        refuse_another(host, module.params["endpoint"])
        clean = module.check_mode and shutil.which("kubectl") is None
        found = missing_files(host) if clean else missing(host, name)
        if not nothing_of_value(host):
            refuse_changes(host, module.params["fixed"])
        if found and not module.check_mode:
            if nothing_of_value(host):
                clear(host)
            command = ["init", f"--config={module.params['config']}", "--skip-token-print"]
            kubeadm([*command, f"--ignore-preflight-errors={','.join(LEFT)}"], module.params["seconds"])
            left = missing(host, name)
            if left:
                module.fail_json(msg=f"kubeadm init has ended, and these are still missing: {', '.join(left)}")
    except NodeError as error:
        module.fail_json(msg=str(error))
    after = "a control plane\n" if found else ""
    module.exit_json(changed=bool(found), missing=found, diff={"before": "", "after": after})


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: nothing of ours is in a cluster that is no longer wanted there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_leftovers
short_description: Remove objects of ours that are no longer wanted
description:
  - Looks for objects with certain labels that are not among those asked for, and removes them.
  - Claims of volumes are never looked for, so data outlives its database.
options:
  selector:
    description: Labels of what is ours, as kubectl takes them.
    type: str
    required: true
  objects:
    description: What is to stay, each as KIND/NAMESPACE/NAME.
    type: list
    elements: str
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
- name: Keep one service and nothing else
  cluster_leftovers:
    selector: app.kubernetes.io/managed-by=meshwright,app.kubernetes.io/part-of=demo
    objects: [Service/default/store]
"""

RETURN = r"""
removed:
  description: Objects that were (or would be) removed.
  type: list
  elements: str
  returned: always
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_kubectl import kubectl

KINDS = ("deployments.apps", "statefulsets.apps", "services", "serviceaccounts", "secrets")
"""In the order in which they go: nothing runs any more whose Service or password is taken away."""
FORM = '{range .items[*]}{.kind}{"/"}{.metadata.namespace}{"/"}{.metadata.name}{"\\n"}{end}'
"""Names alone: no value of a Secret is read."""


def left(listed, wanted):
    """Those of a listing that are not wanted, in its order."""
    return [line for line in listed.splitlines() if line and line not in wanted]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "selector": {"type": "str", "required": True},
            "objects": {"type": "list", "elements": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    selector, kubeconfig = module.params["selector"], module.params["kubeconfig"]
    if module.check_mode and (shutil.which("kubectl") is None or not os.path.exists(kubeconfig)):  # a clean host
        module.exit_json(changed=False, removed=[])
    found = []
    for kind in KINDS:
        code, listed, complaint = kubectl(
            kubeconfig, "get", kind, "--all-namespaces", f"--selector={selector}", f"--output=jsonpath={FORM}"
        )
        if code:
            module.fail_json(msg=f"kubectl get {kind}: {complaint[-1500:]}")
        found += left(listed, module.params["objects"])
    for each in found if not module.check_mode else ():
        kind, namespace, name = each.split("/")
        code, _output, complaint = kubectl(
            kubeconfig, "delete", f"--namespace={namespace}", "--ignore-not-found", "--timeout=120s", f"{kind}/{name}"
        )
        if code:
            module.fail_json(msg=f"kubectl delete {each}: {complaint[-1500:]}", removed=found)
    diff = {"before": "".join(f"{each}\n" for each in found), "after": ""}
    module.exit_json(changed=bool(found), removed=found, diff=diff)


if __name__ == "__main__":
    main()

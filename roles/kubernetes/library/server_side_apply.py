#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: objects in a cluster as their manifests say, by server-side apply."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_side_apply
short_description: Have objects in a cluster as their manifests say
description:
  - The server itself says what would change (a dry run), so fields that it fills in, or that others own, are no difference.
  - There is one field manager, C(meshwright), whichever way the objects come.
  - Objects that are to be C(absent) are gone when it ends, with what is theirs.
options:
  manifests:
    description: The objects, as YAML.
    type: str
    required: true
  state:
    description: Whether the cluster is to have them.
    type: str
    choices: [present, absent]
    default: present
  condition:
    description: Condition of each object that is waited for when something has changed, as objects that follow need it.
    type: str
    default: ""
  seconds:
    description: How long that may take.
    type: int
    default: 60
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
- name: Have a namespace
  server_side_apply:
    manifests: |
      apiVersion: v1
      kind: Namespace
      metadata: {name: shop}

- name: Have a kind of objects
  server_side_apply:
    manifests: "{{ lookup('file', 'widgets.yml') }}"
    condition: Established
"""

RETURN = r"""
changed_objects:
  description: Files of the server's dry run that differ, each named after its object; of absent ones, their names.
  type: list
  elements: str
  returned: always
"""

import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_kubectl import kubectl

FROM_INPUT = "--filename=-"
OPTIONS = ("--server-side", "--force-conflicts", "--field-manager=meshwright", FROM_INPUT)
NEW = re.compile(r'namespaces "[^"]+" not found|no matches for kind')
"""What the server says of an object whose namespace or kind comes with the same manifests."""
AWAY = re.compile(r"connection refused|i/o timeout|no route to host")
OBJECT = re.compile(r"^diff .*/([^/\s]+)$", re.MULTILINE)


def have(module, manifests, kubeconfig):
    """Have the objects; the result."""
    code, difference, complaint = kubectl(kubeconfig, "diff", *OPTIONS, manifests=manifests)
    new = code > 0 and NEW.search(complaint) is not None
    if code and module.check_mode and AWAY.search(complaint):
        return unknown(module, manifests)
    if code > 1 and not new:
        module.fail_json(msg=f"kubectl diff: {complaint[-1500:]}")
    changed = sorted(set(OBJECT.findall(difference)))
    if (changed or new) and not module.check_mode:
        steps = [("apply", *OPTIONS)]
        if module.params["condition"]:
            wait = (f"--for=condition={module.params['condition']}", f"--timeout={module.params['seconds']}s")
            steps.append(("wait", *wait, FROM_INPUT))
        for step in steps:
            code, _output, complaint = kubectl(kubeconfig, *step, manifests=manifests)
            if code:
                module.fail_json(msg=f"kubectl {step[0]}: {complaint[-1500:]}", changed_objects=changed)
    told = {"before": "", "after": manifests} if new else {"prepared": difference}
    return {"changed": bool(changed) or new, "changed_objects": changed, "diff": told}


def remove(module, manifests, kubeconfig):
    """Have none of them; the result. Objects of a kind that the cluster has not are none of its objects."""
    code, found, complaint = kubectl(
        kubeconfig, "get", "--ignore-not-found", "--output=name", FROM_INPUT, manifests=manifests
    )
    if code and module.check_mode and AWAY.search(complaint):
        return unknown(module, "")
    if code and not NEW.search(complaint):
        module.fail_json(msg=f"kubectl get: {complaint[-1500:]}")
    names = found.split()
    if names and not module.check_mode:
        code, _output, complaint = kubectl(kubeconfig, "delete", "--ignore-not-found", FROM_INPUT, manifests=manifests)
        if code and not NEW.search(complaint):
            module.fail_json(msg=f"kubectl delete: {complaint[-1500:]}", changed_objects=names)
    return {
        "changed": bool(names),
        "changed_objects": names,
        "diff": {"before": "".join(f"{name}\n" for name in names), "after": ""},
    }


def unknown(module, manifests):
    """The result of a check where the cluster cannot be asked."""
    module.warn("the API server does not answer, so what it has cannot be compared; all is taken for new")
    return {"changed": bool(manifests), "changed_objects": [], "diff": {"before": "", "after": manifests}}


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "manifests": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "condition": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    manifests, kubeconfig = module.params["manifests"], module.params["kubeconfig"]
    wanted = module.params["state"] == "present"
    if module.check_mode and (shutil.which("kubectl") is None or not os.path.exists(kubeconfig)):  # a clean host
        after = manifests if wanted else ""
        module.exit_json(changed=wanted, changed_objects=[], diff={"before": "", "after": after})
    module.exit_json(**(have if wanted else remove)(module, manifests, kubeconfig))


if __name__ == "__main__":
    main()

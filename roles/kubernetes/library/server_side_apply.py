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
options:
  manifests:
    description: The objects, as YAML.
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
- name: Have a namespace
  server_side_apply:
    manifests: |
      apiVersion: v1
      kind: Namespace
      metadata: {name: shop}
"""

RETURN = r"""
changed_objects:
  description: Files of the server's dry run that differ, each named after its object.
  type: list
  elements: str
  returned: always
"""

import os
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

OPTIONS = ("--server-side", "--force-conflicts", "--field-manager=meshwright", "--filename=-")
NEW = re.compile(r'namespaces "[^"]+" not found|no matches for kind')
"""What the server says of an object whose namespace or kind comes with the same manifests."""
AWAY = re.compile(r"connection refused|i/o timeout|no route to host")
OBJECT = re.compile(r"^diff .*/([^/\s]+)$", re.MULTILINE)


def kubectl(kubeconfig, verb, manifests):
    """Exit code, output and complaint."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", verb, *OPTIONS]
    environment = dict(os.environ, LC_ALL="C", KUBECTL_EXTERNAL_DIFF="diff -u -N -r")
    done = subprocess.run(command, input=manifests.encode(), capture_output=True, check=False, env=environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace").strip()


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "manifests": {"type": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    manifests, kubeconfig = module.params["manifests"], module.params["kubeconfig"]
    if module.check_mode and (shutil.which("kubectl") is None or not os.path.exists(kubeconfig)):  # a clean host
        module.exit_json(changed=True, changed_objects=[], diff={"before": "", "after": manifests})
    code, difference, complaint = kubectl(kubeconfig, "diff", manifests)
    new = code > 0 and NEW.search(complaint) is not None
    if code and module.check_mode and AWAY.search(complaint):
        module.warn("the API server does not answer, so what it has cannot be compared; all is taken for new")
        module.exit_json(changed=True, changed_objects=[], diff={"before": "", "after": manifests})
    if code > 1 and not new:
        module.fail_json(msg=f"kubectl diff: {complaint[-1500:]}")
    changed = sorted(set(OBJECT.findall(difference)))
    if (changed or new) and not module.check_mode:
        code, _output, complaint = kubectl(kubeconfig, "apply", manifests)
        if code:
            module.fail_json(msg=f"kubectl apply: {complaint[-1500:]}", changed_objects=changed)
    told = {"before": "", "after": manifests} if new else {"prepared": difference}
    module.exit_json(changed=bool(changed) or new, changed_objects=changed, diff=told)


if __name__ == "__main__":
    main()

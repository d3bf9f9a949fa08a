#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a machine needs to join a cluster, for a quarter of an hour."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
short_description: Make or end a token to join a cluster with
description:
  - Makes a token that expires by itself, and says by which key the cluster's authority is known. With O(certificates), the
    certificates of the control plane are put into the cluster, under a key, for those who join it as well.
  - A token is no state of the host, so nothing is told as a change.
options:
  state:
    description: Whether there is to be one.
    type: str
    choices: [present, absent]
    default: present
  token:
    description: The token that is to end.
    type: str
    default: ""
  minutes:
    description: How long it is good for.
    type: int
    default: 15
  certificates:
    description: Whether machines of the control plane join.
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
- name: Make a token
  kubeadm_token:
  no_log: true
  register: kubernetes_token
"""

RETURN = r"""
token:
  description: The token.
  type: str
  returned: when state is present, outside check mode
authority:
  description: The hash of the authority's public key (sha256:...).
  type: str
  returned: when state is present, outside check mode
certificate_key:
  description: The key of the certificates; empty without O(certificates).
  type: str
  returned: when state is present, outside check mode
"""

import os
import re
import shutil
import subprocess
import tempfile

from ansible.module_utils.basic import AnsibleModule

JOIN = re.compile(r"--token (\S+) --discovery-token-ca-cert-hash (sha256:[0-9a-f]{64})")
KEY = re.compile(r"^[0-9a-f]{64}$", re.MULTILINE)


def kubeadm(module, *arguments):
    """Its standard output."""
    done = subprocess.run(["kubeadm", *arguments], capture_output=True, check=False)
    if done.returncode:
        module.fail_json(
            msg=f"kubeadm {' '.join(arguments[:2])}: {done.stderr.decode(errors='replace').strip()[-1500:]}"
        )
    return done.stdout.decode()


def read(pattern, output, what):
    """What kubeadm said. Raises :class:`ValueError` when it does not stand in its output."""
    found = pattern.search(output)
    if found is None:
        raise ValueError(f"kubeadm has said no {what}")
    return found


def certificate_key(module):
    """Puts the control plane's certificates into the cluster, and says their key."""
    version = kubeadm(module, "version", "--output=short").strip()
    directory = tempfile.mkdtemp(prefix="meshwright-token-")
    try:
        # Without a version kubeadm asks the internet for the newest.
        file = os.path.join(directory, "version.yml")
        with open(file, "w") as opened:
            opened.write(
                f"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: {version}\n"
            )
        said = kubeadm(module, "init", "phase", "upload-certs", "--upload-certs", f"--config={file}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return read(KEY, said, "certificate key")[0]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "token": {"type": "str", "default": "", "no_log": True},
            "minutes": {"type": "int", "default": 15},
            "certificates": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False)
    if module.params["state"] == "absent":
        # By its first part, which is no secret: a process's arguments are everybody's to read.
        kubeadm(module, "token", "delete", module.params["token"].partition(".")[0])
        module.exit_json(changed=False)
    try:
        made = kubeadm(module, "token", "create", f"--ttl={module.params['minutes']}m", "--print-join-command")
        token, authority = read(JOIN, made, "token").groups()
        key = certificate_key(module) if module.params["certificates"] else ""
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, token=token, authority=authority, certificate_key=key)


if __name__ == "__main__":
    main()

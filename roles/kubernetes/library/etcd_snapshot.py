#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a consistent copy of a cluster's database, with what tells whose it is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Take a copy of a cluster's database
description:
  - Runs on a machine of the control plane. etcd writes a snapshot while it works; with its SHA-256, the cluster's name, the
    fingerprint of its authority and its version it goes into an archive (tar, gzip) that only root can read.
  - What the archive tells is what C(cluster_backup) checks. It holds every Secret of the cluster.
options:
  path:
    description: Where the archive is to be, in a directory of its own, which is made.
    type: path
    required: true
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  name:
    description: Name of this machine's node.
    type: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Take a copy of the database
  etcd_snapshot:
    path: /var/lib/meshwright/backup/cluster.tar.gz
    cluster: local
    name: node1
"""

RETURN = r"""
told:
  description: What the archive says of itself.
  type: dict
  returned: outside check mode
"""

import datetime
import hashlib
import io
import json
import os
import tarfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.etcd_pod import EtcdError, etcdctl
from ansible.module_utils.node_state import Host, settings

LOGIN, DATA, AUTHORITY = "/etc/kubernetes/admin.conf", "/var/lib/etcd", "/etc/kubernetes/pki/ca.crt"
SNAPSHOT = "meshwright-snapshot.db"


def digest(path):
    """SHA-256 of a file, in hexadecimal."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def pack(snapshot, told, path):
    """Write the archive: what it tells first, then the snapshot."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.chmod(os.path.dirname(path), 0o700)
    text = json.dumps(told, indent=2).encode()
    entry = tarfile.TarInfo("backup.json")
    entry.size, entry.mode = len(text), 0o600
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "wb") as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
        archive.addfile(entry, io.BytesIO(text))
        archive.add(snapshot, arcname="snapshot.db", filter=private)


def private(entry):
    """A file of the archive as root's alone."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def take(parameters):
    """Take the snapshot and write the archive; what the archive tells."""
    snapshot = os.path.join(DATA, SNAPSHOT)  # the one place that the pod and the machine share
    try:
        etcdctl(LOGIN, parameters["name"], "snapshot", "save", snapshot)
        os.chmod(snapshot, 0o600)
        told = {
            "cluster": parameters["cluster"],
            "authority": digest(AUTHORITY),
            "kubernetes": settings(Host())["kubernetesVersion"],
            "made": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),  # noqa: UP017
            "sha256": digest(snapshot),
            "size": os.path.getsize(snapshot),
        }
        pack(snapshot, told, parameters["path"])
    finally:
        for left in (snapshot, f"{snapshot}.part"):
            if os.path.exists(left):
                os.unlink(left)
    return told


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={name: {"type": kind, "required": True} for name, kind in
                       (("path", "path"), ("cluster", "str"), ("name", "str"))},
        supports_check_mode=True,
    )  # fmt: skip
    if module.check_mode:
        module.exit_json(changed=False)
    try:
        told = take(module.params)
    except EtcdError as error:
        module.fail_json(msg=str(error))
    # A copy is no change of the cluster; the archive is gone when it has been fetched.
    module.exit_json(changed=False, told=told)


if __name__ == "__main__":
    main()

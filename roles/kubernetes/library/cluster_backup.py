#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: looks, on the controller, whether an archive is a whole backup of a cluster, and unpacks it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_backup
short_description: Look whether an archive is a whole backup of a cluster, and unpack its snapshot
description:
  - Fails for an archive that is damaged, incomplete, or of another cluster, before anything of a cluster is changed.
options:
  archive:
    description: The archive of C(etcd_snapshot), as it was before it was encrypted.
    type: path
    required: true
  cluster:
    description: Name of the cluster that it is to be of.
    type: str
    required: true
  authorities:
    description: Machine to the SHA-256 of the authority that it has (pki/ca.crt).
    type: dict
    required: true
  version:
    description: Version of Kubernetes that the cluster runs.
    type: str
    required: true
  snapshot:
    description: Where the snapshot is written.
    type: path
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look at the backup
  cluster_backup:
    archive: /tmp/x/backup.tar.gz
    cluster: local
    authorities: {node1: 0123...}
    version: v1.34.2
    snapshot: /tmp/x/snapshot.db
  delegate_to: localhost
"""

RETURN = r"""
told:
  description: What the archive says of itself.
  type: dict
  returned: always
"""

import hashlib
import json
import os
import tarfile

from ansible.module_utils.basic import AnsibleModule

TELLS = ("cluster", "authority", "kubernetes", "made", "sha256", "size")
LARGEST = 1 << 16
"""Octets of what an archive says of itself."""


class BackupError(ValueError):
    """The archive is no backup of this cluster, and why."""


def read(path):
    """What an archive says of itself. Raises :class:`BackupError`."""
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            entry = archive.next()
            if entry is None or entry.name != "backup.json" or entry.size > LARGEST:
                raise BackupError("it does not begin with backup.json")
            told = json.load(archive.extractfile(entry))
    except (tarfile.TarError, OSError, EOFError, ValueError, TypeError) as error:
        raise BackupError(f"it is damaged or no backup ({error})") from None
    if not isinstance(told, dict) or not set(TELLS) <= set(told):
        raise BackupError("backup.json has not all of " + ", ".join(TELLS))
    return told


def refuse(told, cluster, authorities, version):
    """Raise :class:`BackupError` for a backup that is another cluster's, or of another version."""
    if told["cluster"] != cluster:
        raise BackupError(f"it is of the cluster {told['cluster']}, and not of {cluster}")
    others = sorted(name for name, authority in authorities.items() if authority != told["authority"])
    if others:
        raise BackupError(
            f"it is of another cluster of the name {cluster}: the authority of {', '.join(others)} is another; machines that "
            "were made anew cannot take it"
        )
    if minor(told["kubernetes"]) != minor(version):
        raise BackupError(f"it is of Kubernetes {told['kubernetes']}, and the cluster runs {version}")


def minor(version):
    """``v1.34.2`` to ``1.34``."""
    return version.removeprefix("v").rpartition(".")[0]


def unpack(path, told, target):
    """Write the snapshot, whole and as it was. Raises :class:`BackupError`."""
    found, size = hashlib.sha256(), 0
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            entry = next((one for one in archive if one.name == "snapshot.db" and one.isfile()), None)
            if entry is None:
                raise BackupError("it has no snapshot.db")
            source = archive.extractfile(entry)
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                while block := source.read(1 << 20):
                    found.update(block)
                    size += file.write(block)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BackupError(f"it is damaged ({error})") from None
    if found.hexdigest() != told["sha256"] or size != told["size"]:
        raise BackupError("it is damaged: the snapshot is not the one that was taken (SHA-256)")


def main():
    """Entry point."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "archive": {"type": "path", "required": True},
            "cluster": text,
            "authorities": {"type": "dict", "required": True},
            "version": text,
            "snapshot": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        told = read(parameters["archive"])
        refuse(told, parameters["cluster"], parameters["authorities"], parameters["version"])
        unpack(parameters["archive"], told, parameters["snapshot"])
    except BackupError as error:
        module.fail_json(msg=f"the backup cannot be put back: {error}")
    module.exit_json(changed=False, told=told)


if __name__ == "__main__":
    main()

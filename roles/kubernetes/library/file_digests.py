#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: which files of a host are not those that are wanted. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_digests
short_description: Find the files that are not those wanted
description:
  - Compares the content of programs, their owner and mode (root's, 0755), in one step for all, so that large files are sent
    to a host only where they are to replace others.
options:
  files:
    description: The files, each a path and the SHA-256 of its content; whatever else it says is handed back.
    type: list
    elements: dict
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Ask which programs are missing
  file_digests:
    files:
      - {path: /usr/local/bin/kubelet, sha256: 0123...}
"""

RETURN = r"""
different:
  description: Those that are not there, or are others, as they were asked for.
  type: list
  elements: dict
  returned: always
"""

import hashlib
import os
import stat

from ansible.module_utils.basic import AnsibleModule

MODE, BLOCK = 0o755, 1 << 20


def wanted(path, sha256):
    """Whether the file is there, root's, for everybody to run, and has that content."""
    if not os.path.isfile(path):
        return False
    found = os.stat(path)
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (0, 0, MODE):
        return False
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest() == sha256


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={"files": {"type": "list", "elements": "dict", "required": True}}, supports_check_mode=True
    )
    for number, file in enumerate(module.params["files"]):
        if not {"path", "sha256"} <= set(file):
            module.fail_json(msg=f"files[{number}]: path and sha256 are required")
    different = [file for file in module.params["files"] if not wanted(file["path"], file["sha256"])]
    module.exit_json(changed=False, different=different)


if __name__ == "__main__":
    main()

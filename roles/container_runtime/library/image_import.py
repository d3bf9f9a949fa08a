#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: images in containerd's store, from archives on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_import
short_description: Have images in containerd's store
description:
  - Compares the digest under each name with the one asked for, and imports the archives of those that are not there, or are
    another. Archives of images that are there need not be.
options:
  images:
    description: The images.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its whole name, as the kubelet asks for it.
        type: str
        required: true
      digest:
        description: Its digest (sha256:...).
        type: str
        required: true
      archive:
        description: An archive in the OCI image layout that has it.
        type: path
        required: true
  namespace:
    description: Namespace of containerd; k8s.io is the one that the kubelet looks into.
    type: str
    default: k8s.io
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the pause image
  image_import:
    images:
      - name: registry.k8s.io/pause:3.10.1
        digest: sha256:0123...
        archive: /var/lib/meshwright/images/pause.tar
"""

RETURN = r"""
missing:
  description: Images, as they were asked for, that were (or would be) imported.
  type: list
  elements: dict
  returned: always
"""

import os
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule


def ctr(namespace, *arguments):
    """Standard output of ``ctr``. Raises :class:`RuntimeError` with its complaint."""
    done = subprocess.run(["ctr", "--namespace", namespace, *arguments], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ctr {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()


def known(listing):
    """Name to digest, of what ``ctr images list`` prints: a heading, then NAME TYPE DIGEST SIZE ... by columns."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def missing(wanted, found):
    """The images that are not there, or are others."""
    return [image for image in wanted if found.get(image["name"]) != image["digest"]]


def difference(wanted, found):
    """The names with their digests, before and after."""
    before = "".join(f"{image['name']} {found[image['name']]}\n" for image in wanted if image["name"] in found)
    return {"before": before, "after": "".join(f"{image['name']} {image['digest']}\n" for image in wanted)}


def main():
    """Entry point."""
    image = {
        "name": {"type": "str", "required": True},
        "digest": {"type": "str", "required": True},
        "archive": {"type": "path", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "dict", "required": True, "options": image},
            "namespace": {"type": "str", "default": "k8s.io"},
        },
        supports_check_mode=True,
    )
    wanted, namespace = module.params["images"], module.params["namespace"]
    os.environ["LC_ALL"] = "C"
    if shutil.which("ctr") is None and module.check_mode:  # a clean host: containerd would have been installed before
        module.exit_json(changed=bool(wanted), missing=wanted, diff=difference(wanted, {}))
    try:
        found = known(ctr(namespace, "images", "list"))
        todo = missing(wanted, found)
        if not module.check_mode:
            for one in todo:
                if not os.path.exists(one["archive"]):
                    module.fail_json(msg=f"image {one['name']}: its archive {one['archive']} is not on the host")
                ctr(namespace, "images", "import", one["archive"])
            left = missing(todo, known(ctr(namespace, "images", "list"))) if todo else []
            if left:
                module.fail_json(
                    msg=f"{left[0]['archive']} has no image {left[0]['name']} with the digest {left[0]['digest']}"
                )
    except RuntimeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(todo), missing=todo, diff=difference(todo, found))


if __name__ == "__main__":
    main()

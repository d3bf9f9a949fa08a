#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a Python environment made of the wheels of one archive, and nothing else."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wheel_environment
short_description: Keep a Python environment installed from an archive of wheels
description:
  - Builds C(path/DIGEST) from the archive, tries it, and then switches the link C(path/current) to it in one step.
  - Says changed only when what is installed differs from what is asked for; installed files of the packages named in
    O(verify) are compared by their hashes, so an edited file is found and mended.
  - A failure halfway leaves the old environment in force and can be run again.
options:
  path:
    description: Directory of the environments; the one in force is C(path/current).
    type: path
    required: true
  archive:
    description: Tar file on the host that holds wheels at its top.
    type: path
    required: true
  requirements:
    description: What to install, in pip's notation.
    type: list
    elements: str
    required: true
  verify:
    description: Distributions whose files are compared with their recorded hashes.
    type: list
    elements: str
    default: []
  python:
    description: Interpreter that makes the environment.
    type: path
    default: /usr/bin/python3
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Install the proxy
  wheel_environment:
    path: /opt/meshwright/proxy
    archive: /opt/meshwright/wheels.tar
    requirements: [meshwright]
    verify: [meshwright]
"""

RETURN = r"""
digest:
  description: Name of the environment, made of the wheels and the requirements.
  type: str
  returned: always
reasons:
  description: Why the environment is (or would be) made anew; empty when nothing changes.
  type: list
  elements: str
  returned: always
"""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from ansible.module_utils.basic import AnsibleModule


def wheel_digests(archive):
    """File name of each wheel in the archive to the SHA-256 of its bytes."""
    digests = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".whl"):
                digests[os.path.basename(member.name)] = hashlib.sha256(tar.extractfile(member).read()).hexdigest()
    return digests


def environment_digest(wheels, requirements, python):
    """A short name for what is asked for."""
    text = json.dumps([sorted(wheels.items()), sorted(requirements), python])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changed_files(environment, distribution):
    """Files of an installed distribution that are missing or differ from its own record, relative to site-packages."""
    name = distribution.replace("-", "_").lower()
    found = []
    records = list(pathlib.Path(environment).glob(f"lib/python*/site-packages/{name}-*.dist-info/RECORD"))
    if not records:
        return [f"{distribution} is not installed"]
    site = records[0].parent.parent
    for line in records[0].read_text().splitlines():
        file, algorithm_hash, _size = line.rsplit(",", 2)
        if not algorithm_hash:
            continue
        algorithm, expected = algorithm_hash.split("=", 1)
        target = site / file
        if not target.is_file():
            found.append(f"{file} is missing")
            continue
        digest = hashlib.new(algorithm, target.read_bytes()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected:
            found.append(f"{file} was edited")
    return found


def reasons_to_build(path, digest, verify):
    """Why the environment in force is not the one asked for; empty when it is."""
    current = os.path.join(path, "current")
    if not os.path.islink(current):
        return ["nothing is installed"]
    installed = os.path.basename(os.path.realpath(current))
    if installed != digest:
        return [f"{installed} is installed, {digest} is asked for"]
    if not os.access(os.path.join(current, "bin", "python"), os.X_OK):
        return ["the environment has no working interpreter"]
    return [reason for name in verify for reason in changed_files(current, name)]


def build(module, digest, wheels):
    """Make ``path/digest`` from the archive."""
    path, python = module.params["path"], module.params["python"]
    os.makedirs(path, mode=0o755, exist_ok=True)
    target = os.path.join(path, digest)
    shutil.rmtree(target, ignore_errors=True)
    wheelhouse = tempfile.mkdtemp(prefix=".wheels-", dir=path)
    try:
        with tarfile.open(module.params["archive"]) as tar:
            for member in tar:
                name = os.path.basename(member.name)
                if name in wheels:
                    with open(os.path.join(wheelhouse, name), "wb") as file:
                        shutil.copyfileobj(tar.extractfile(member), file)
        run(module, [python, "-m", "venv", target])
        install = [os.path.join(target, "bin", "python"), "-m", "pip", "install", "--quiet", "--no-index"]
        install += ["--disable-pip-version-check", "--no-cache-dir", "--find-links", wheelhouse]
        run(module, install + module.params["requirements"])
        run(module, [os.path.join(target, "bin", "python"), "-m", "pip", "check"])
    except Exception:
        shutil.rmtree(target, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(wheelhouse, ignore_errors=True)


def run(module, command):
    """Run a command; its failure is the module's, with its output."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} ended with {done.returncode}: {done.stdout.decode()[-2000:]}")


def switch(path, digest):
    """Put ``path/digest`` in force and remove the others."""
    link = os.path.join(path, f".current-{digest}")
    if os.path.lexists(link):
        os.unlink(link)
    os.symlink(digest, link)
    os.replace(link, os.path.join(path, "current"))
    for entry in os.scandir(path):
        if entry.name not in (digest, "current") and not entry.is_symlink():
            shutil.rmtree(entry.path, ignore_errors=True)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "archive": {"type": "path", "required": True},
            "requirements": {"type": "list", "elements": "str", "required": True},
            "verify": {"type": "list", "elements": "str", "default": []},
            "python": {"type": "path", "default": "/usr/bin/python3"},
        },
        supports_check_mode=True,
    )
    path, archive = module.params["path"], module.params["archive"]
    if not os.path.isfile(archive):
        if module.check_mode:  # on a clean host the archive would have been copied by the task before
            diff = {"before": "", "after": "\n".join(module.params["requirements"]) + "\n", "after_header": path}
            module.exit_json(changed=True, digest="", reasons=["nothing is installed"], diff=diff)
        module.fail_json(msg=f"archive {archive} does not exist; copy it to the host first")
    wheels = wheel_digests(archive)
    if not wheels:
        module.fail_json(msg=f"archive {archive} holds no wheel; make it with `make wheel`")
    digest = environment_digest(wheels, module.params["requirements"], module.params["python"])
    reasons = reasons_to_build(path, digest, module.params["verify"])
    if reasons and not module.check_mode:
        try:
            build(module, digest, wheels)
        except (RuntimeError, OSError) as error:
            module.fail_json(msg=f"the environment in {path} could not be made: {error}", reasons=reasons)
        switch(path, digest)
    installed = os.path.basename(os.path.realpath(os.path.join(path, "current"))) if not reasons else ""
    diff = {"before": "\n".join(reasons) + "\n" if reasons else installed, "after": digest if reasons else installed}
    module.exit_json(changed=bool(reasons), digest=digest, reasons=reasons, diff=diff)


if __name__ == "__main__":
    main()

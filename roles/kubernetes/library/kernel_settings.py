#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: modules and settings of the kernel, now and after a boot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Have modules and settings of the kernel
description:
  - Writes them where systemd reads them at a boot, and has them in force now, in one step, so that a file that is right never
    hides a kernel that is not.
  - Of a setting that only a module brings, the module is loaded first.
options:
  name:
    description: Name of the files, without an ending.
    type: str
    required: true
  modules:
    description: Modules; those that are built into the kernel count as loaded.
    type: list
    elements: str
    default: []
  settings:
    description: Names, with dots, to values.
    type: dict
    default: {}
  root:
    description: Where the host's files are.
    type: path
    default: /
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Forward packets
  kernel_settings:
    name: 90-router
    settings: {net.ipv4.ip_forward: "1"}
"""

RETURN = r"""
wrong:
  description: Files, modules and settings that were (or would be) mended.
  type: list
  elements: str
  returned: always
"""

import os
import pathlib
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule


class Kernel:
    """Its modules and settings as files."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def loaded(self, name):
        """Whether a module is loaded or built in; those without parameters show in no directory when they are built in."""
        return (self.root / "sys/module" / name).is_dir()

    def setting(self, name):
        """The value in force; none where the kernel has no such setting."""
        file = self.root / "proc/sys" / name.replace(".", "/")
        return file.read_text().strip() if file.exists() else None

    def set(self, name, value):
        (self.root / "proc/sys" / name.replace(".", "/")).write_text(value)


def files(root, name, modules, settings):
    """Path to content."""
    made = {}
    if modules:
        made[pathlib.Path(root, "etc/modules-load.d", f"{name}.conf")] = "".join(f"{one}\n" for one in modules)
    if settings:
        lines = (f"{key} = {value}\n" for key, value in sorted(settings.items()))
        made[pathlib.Path(root, "etc/sysctl.d", f"{name}.conf")] = "".join(lines)
    return made


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "modules": {"type": "list", "elements": "str", "default": []},
            "settings": {"type": "dict", "default": {}},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    kernel = Kernel(parameters["root"])
    settings = {name: str(value) for name, value in parameters["settings"].items()}
    wanted = files(parameters["root"], parameters["name"], parameters["modules"], settings)
    stale = {path: text for path, text in wanted.items() if not path.exists() or path.read_text() != text}
    wrong = {name: kernel.setting(name) for name, value in settings.items() if kernel.setting(name) != value}
    absent = [name for name in parameters["modules"] if not kernel.loaded(name)] if wrong or stale else []
    if not module.check_mode:
        for path, text in stale.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
        # One that is built in, or that a container's host has, cannot be loaded and is there all the same.
        for name in absent if shutil.which("modprobe") else ():
            subprocess.run(["modprobe", "--quiet", name], check=False)
        for name in wrong:
            if kernel.setting(name) is None:
                module.fail_json(msg=f"the kernel has no setting {name}; load the module that brings it on the host")
            try:
                kernel.set(name, settings[name])
            except OSError as error:
                module.fail_json(msg=f"{name} cannot be set to {settings[name]}: {error.strerror}")
    found = [*map(str, stale), *sorted(wrong)]
    before = "".join(f"{name} = {value}\n" for name, value in sorted(wrong.items()))
    after = "".join(stale.values()) + "".join(f"{name} = {settings[name]}\n" for name in sorted(wrong))
    module.exit_json(changed=bool(found), wrong=found, diff={"before": before, "after": after})


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main()

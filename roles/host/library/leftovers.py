#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: nothing of the mesh runs on a host that is no longer wanted there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: leftovers
short_description: Remove what proxies, workloads and a control plane left that moved away
description:
  - Looks for units of ours on the host that are not among those asked for, stops them, and removes their files, their
    state and the users of workloads. What a control plane was told (its policies) and databases stay.
  - A workload's unit counts as ours when its first line says so. The file by which a unit is found goes last, so a run
    that was cut off is gone on with by the next.
options:
  units:
    description: Units that are to stay.
    type: list
    elements: str
    required: true
  further:
    description: Further units of ours, where there is one of that name, with the files that go with it.
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
- name: Keep one proxy and nothing else
  leftovers:
    units: [mesh-proxy@ingressgateway.service]
"""

RETURN = r"""
removed:
  description: Units that were (or would be) removed.
  type: list
  elements: str
  returned: always
"""

import os
import pathlib
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

UNITS = "etc/systemd/system"
CONTROL = "mesh-control.service"
OURS = "# Written by Meshwright"


def present(root, further=()):
    """Unit to the files that are its own, the one by which it is found last. ``further`` is others to their files."""
    units, settings = root / UNITS, root / "etc/meshwright"
    found = {}
    if (units / CONTROL).exists():
        names = ("control.yml", "inventory.yml", "mesh.yml")
        found[CONTROL] = [*(settings / name for name in names), units / CONTROL]
    for bootstrap in settings.glob("proxy/*.yml"):
        state = root / "var/lib/meshwright/proxy" / bootstrap.stem
        found[f"mesh-proxy@{bootstrap.stem}.service"] = [state, bootstrap.with_suffix(".token"), bootstrap]
    for unit in units.glob("workload-*.service"):
        if unit.read_text(errors="replace").startswith(OURS):
            own = settings / "workload" / unit.stem[len("workload-") :]
            found[unit.name] = [own.with_name(f"{own.name}.env"), own.with_name(f"{own.name}.database"), unit]
    for name in further:
        if (units / name).exists():
            found[name] = [*(root / path.lstrip("/") for path in further[name]), units / name]
    return found


def user_of(unit, files):
    """The user of a workload; none for the other units, whose users are shared or own what stays."""
    if not unit.startswith("workload-"):
        return ""
    said = re.search(r"^User=(\S+)$", files[-1].read_text(errors="replace"), re.MULTILINE)
    return said[1] if said else ""


def run(module, command, known=(0,)):
    """Run a command; an unknown end is the module's failure."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode not in known:
        module.fail_json(msg=f"{' '.join(command)}: {done.stdout.decode(errors='replace').strip()}")


def remove(module, found):
    """Stop the units together, then remove what is theirs."""
    # A workload before its proxy: it never sends without it.
    for kind in ("workload-", "mesh-"):
        units = [unit for unit in found if unit.startswith(kind)]
        if units:
            run(module, ["systemctl", "disable", "--now", "--quiet", *units])
    for unit, files in found.items():
        user = user_of(unit, files)
        if user:
            run(module, ["userdel", user], known=(0, 6))  # 6: there is none
        for path in files:
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    run(module, ["systemctl", "daemon-reload"])
    subprocess.run(["systemctl", "reset-failed", *found], stderr=subprocess.DEVNULL, check=False)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "further": {"type": "dict", "default": {}},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    os.environ["LC_ALL"] = "C"
    wanted, root = module.params["units"], pathlib.Path(module.params["root"])
    there = present(root, module.params["further"])
    found = {unit: files for unit, files in there.items() if unit not in wanted}
    if found and not module.check_mode:
        remove(module, found)
    diff = {"before": "".join(f"{unit}\n" for unit in sorted(found)), "after": ""}
    module.exit_json(changed=bool(found), removed=sorted(found), diff=diff)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: systemd units that run what their files say."""

from __future__ import annotations

DOCUMENTATION = r"""
module: systemd_units
short_description: Keep systemd units enabled, running, and no older than their files
description:
  - Units that stop, start or restart do so together, so several slow ones take as long as one.
  - Whether a unit must restart is read from the host itself (a file is newer than the unit's start), so a run that was
    cut off between writing a file and restarting is mended by the next.
  - A unit that does not come up fails with the end of its journal.
options:
  units:
    description: The units.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Full name of the unit.
        type: str
        required: true
      files:
        description: Files that it reads when it starts; a symbolic link counts by itself.
        type: list
        elements: path
        default: []
      touched:
        description: Whether a task before has changed one of the files; in check mode nothing else can tell.
        type: bool
        default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Run the control plane
  systemd_units:
    units:
      - name: mesh-control.service
        files: [/etc/meshwright/control.yml]
"""

RETURN = r"""
actions:
  description: What was (or would be) done to each unit that was not as it should be.
  type: dict
  returned: always
"""

import datetime
import os
import subprocess

from ansible.module_utils.basic import AnsibleModule

PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "InactiveExitTimestamp")
NOT_ENABLED = ("", "disabled", "bad")
JOURNAL_LINES = 12


def systemctl(*arguments):
    """Exit code and standard output of ``systemctl``, its messages in C's locale."""
    done = subprocess.run(
        ["systemctl", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(os.environ, LC_ALL="C"),
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def states(names):
    """Unit name to its properties; a unit that systemd does not know has the load state ``not-found``."""
    _code, out = systemctl("show", "--timestamp=us+utc", f"--property={','.join(PROPERTIES)}", *names)
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in out.split("\n\n")]
    return dict(zip(names, blocks))  # noqa: B905 (the host's Python may be older than strict)


def started(state):
    """When the unit began to start, in seconds since the epoch; 0 when it never did."""
    try:
        when = datetime.datetime.strptime(state.get("InactiveExitTimestamp", ""), "%a %Y-%m-%d %H:%M:%S.%f UTC")
    except ValueError:
        return 0.0
    return when.replace(tzinfo=datetime.UTC).timestamp()


def newer_files(files, since):
    """The files that changed after that time."""
    return [file for file in files if os.path.lexists(file) and os.lstat(file).st_ctime > since]


def actions(unit, state):
    """What has to be done to a unit, as a list of ``enable``, ``start``, ``restart``."""
    found = []
    if state.get("UnitFileState", "") in NOT_ENABLED:
        found.append("enable")
    if state.get("ActiveState") != "active":
        found.append("start")
    elif unit["touched"] or newer_files(unit["files"], started(state)):
        found.append("restart")
    return found


def described(name, doings):
    """A unit as it is and as it is to be, for the diff."""
    before = "disabled" if "enable" in doings else "enabled"
    before += ", not running" if "start" in doings else ", runs on old files" if "restart" in doings else ", runs"
    return f"{name}: {before}\n", f"{name}: enabled, runs\n"


def complaint(names):
    """Why units do not run: the end of the journal of each."""
    parts = []
    for name, state in states(names).items():
        if state.get("ActiveState") != "active":
            journal = subprocess.run(
                ["journalctl", "--no-pager", "--output=cat", f"--lines={JOURNAL_LINES}", f"--unit={name}"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            parts.append(f"{name} is {state.get('ActiveState')}; the end of its journal:\n{journal.stdout.decode()}")
    return "\n".join(parts)


def carry_out(module, todo):
    """Enable, stop and start, each for all units at once: one may take the port that another had."""
    for verb, reasons in (("enable", ["enable"]), ("stop", ["restart"]), ("start", ["start", "restart"])):
        names = [name for name, doings in todo.items() if set(reasons) & set(doings)]
        if not names:
            continue
        if verb == "start":
            systemctl("reset-failed", *names)
        code, out = systemctl(verb, *names)
        if code:
            module.fail_json(msg=f"cannot {verb} {', '.join(names)}: {complaint(names) or out}", actions=todo)


def main():
    """Entry point."""
    unit = {
        "name": {"type": "str", "required": True},
        "files": {"type": "list", "elements": "path", "default": []},
        "touched": {"type": "bool", "default": False},
    }
    module = AnsibleModule(
        argument_spec={"units": {"type": "list", "elements": "dict", "required": True, "options": unit}},
        supports_check_mode=True,
    )
    units = {unit["name"]: unit for unit in module.params["units"]}
    found = states(list(units)) if units else {}
    stale = any(
        state.get("NeedDaemonReload") == "yes" or state.get("LoadState") != "loaded" for state in found.values()
    )
    if stale and not module.check_mode:
        systemctl("daemon-reload")
        found = states(list(units))
    todo = {name: actions(units[name], state) for name, state in found.items()}
    todo = {name: doings for name, doings in todo.items() if doings}
    if not module.check_mode:
        carry_out(module, todo)
    texts = [described(name, doings) for name, doings in todo.items()]
    diff = {"before": "".join(text[0] for text in texts), "after": "".join(text[1] for text in texts)}
    module.exit_json(changed=bool(todo), actions=todo, diff=diff)


if __name__ == "__main__":
    main()

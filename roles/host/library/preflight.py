#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what keeps a host from carrying its part of the mesh. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Find what keeps a host from carrying its part of the mesh
description:
  - Returns every problem with its mend and fails on none, so that the problems of all hosts can be shown together.
options:
  ports:
    description:
      - TCP ports that the host needs free, or held by the unit that is to hold them, or by another of the mesh, which
        gives up a port that is no longer its own.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port.
        type: int
        required: true
      unit:
        description: The unit that is to hold it; a shell pattern.
        type: str
        default: ""
      program:
        description: The program that is to hold it, where it is in no unit of its own; a shell pattern over 15 letters.
        type: str
        default: ""
      setting:
        description: Where to choose another one; empty where there is no choice.
        type: str
        default: ""
  memory_mib:
    description: Memory that the host needs.
    type: int
    default: 0
  cores:
    description: Processor cores that the host needs.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Look for what stands in the way
  preflight:
    ports:
      - {port: 15012, unit: mesh-control.service, setting: mesh.xds_port}
"""

RETURN = r"""
problems:
  description: What stands in the way, and the mend.
  type: list
  elements: dict
  returned: always
"""

import fnmatch
import os
import sys

from ansible.module_utils.basic import AnsibleModule

LISTEN = "0A"
OURS = ("mesh-control.service", "mesh-proxy@*.service", "workload-*.service")
OLDEST_PYTHON = (3, 11)


def os_release(path="/etc/os-release"):
    """The fields of ``os-release``."""
    try:
        with open(path) as file:
            lines = [line.strip() for line in file if "=" in line]
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, value in (line.split("=", 1) for line in lines)}


def platform_problems(release, systemd, python):
    """What is wrong with the system itself."""
    found = []
    if "debian" not in [release.get("ID", ""), *release.get("ID_LIKE", "").split()]:
        name = release.get("PRETTY_NAME", "an unknown system")
        found.append({"what": f"runs {name}", "mend": "use Debian 12 or newer, or Ubuntu 24.04 or newer"})
    if not systemd:
        found.append({"what": "is not run by systemd", "mend": "boot it with systemd"})
    if python < OLDEST_PYTHON:
        shown = ".".join(map(str, python))
        found.append({"what": f"has Python {shown}", "mend": "use a release with Python 3.11 or newer"})
    return found


def size_problems(memory_kib, cores, need_mib, need_cores):
    """What the host has too little of."""
    found = []
    if memory_kib < need_mib * 1024:
        what = f"has {memory_kib // 1024} MiB of memory"
        found.append({"what": what, "mend": f"give it {need_mib} MiB or more, or another part of the environment"})
    if cores < need_cores:
        what = f"has {cores} processor core{'' if cores == 1 else 's'}"
        found.append({"what": what, "mend": f"give it {need_cores} or more, or another part of the environment"})
    return found


def memory_kib(path="/proc/meminfo"):
    """The memory of the host."""
    with open(path) as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemTotal:"))


def listeners():
    """Port to the inodes of the sockets that listen on it."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as file:
            for line in list(file)[1:]:
                fields = line.split()
                if fields[3] == LISTEN:
                    found.setdefault(int(fields[1].rsplit(":", 1)[1], 16), set()).add(fields[9])
    return found


def links(pid):
    """What the descriptors of a process are; one that is closed meanwhile hides none of the others."""
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{descriptor}")
        except OSError:
            continue


def holders(inodes):
    """Socket inode to ``(process id, name, unit)`` of a process that holds it; needs root to see those of others."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            held = {link[8:-1] for link in links(pid) if link.startswith("socket:[")} & inodes
            if held:
                with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/cgroup") as cgroup:
                    name, unit = comm.read().strip(), cgroup.read().splitlines()[-1].rsplit("/", 1)[-1]
                    found.update(dict.fromkeys(held, (int(pid), name, unit)))
        except OSError:  # the process has ended meanwhile
            continue
    return found


def port_problems(wanted, listening, owners):
    """Ports that somebody else holds."""
    found = []
    for need in wanted:
        for inode in sorted(listening.get(need["port"], ())):
            pid, name, unit = owners.get(inode, (0, "an unknown process", ""))
            ours = unit and any(fnmatch.fnmatchcase(unit, pattern) for pattern in (need["unit"], *OURS))
            if not ours and not fnmatch.fnmatchcase(name, need["program"]):
                held = f"port {need['port']} is held by {name} (process {pid}{', ' + unit if unit else ''})"
                other = f", or set {need['setting']}" if need["setting"] else ""
                mend = f"stop it{other}; {need['unit'] or need['program']} needs the port"
                found.append({"what": held, "mend": mend})
                break
    return found


def main():
    """Entry point."""
    port = {"port": {"type": "int", "required": True}}
    port |= {name: {"type": "str", "default": ""} for name in ("unit", "program", "setting")}
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "dict", "default": [], "options": port},
            "memory_mib": {"type": "int", "default": 0},
            "cores": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    problems = platform_problems(os_release(), os.path.isdir("/run/systemd/system"), tuple(sys.version_info[:2]))
    cores = len(os.sched_getaffinity(0))
    problems += size_problems(memory_kib(), cores, module.params["memory_mib"], module.params["cores"])
    listening = listeners()
    wanted = module.params["ports"]
    inodes = {inode for need in wanted for inode in listening.get(need["port"], ())}
    problems += port_problems(wanted, listening, holders(inodes) if inodes else {})
    module.exit_json(changed=False, problems=problems)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a host that is no part of a cluster any more, with nothing left of one."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: Have nothing of a cluster on a host
description:
  - Lets C(kubeadm reset) end the pods, then removes what it leaves, and the files by which a host becomes a part of a
    cluster. etcd is not asked to do without the host (see C(etcd_member)): a cluster that ends has nobody to ask.
  - Only what this role, kubeadm, kubelet, kube-proxy, flannel and the pods' network have made is removed; other rules, links
    and files stay as they are. containerd stays with its images.
options:
  files:
    description: Files and directories of this role, removed last.
    type: list
    elements: path
    default: []
  data:
    description: Directories of what workloads have kept on the host; they go with all that is in them, each part of it told.
    type: list
    elements: path
    default: []
  directories:
    description: Directories that go when nothing is left in them.
    type: list
    elements: path
    default: []
  pod_network:
    description: Network of the pods; routes to parts of it go.
    type: str
    default: ""
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
- name: Have nothing of a cluster
  kubeadm_reset:
    files: [/etc/systemd/system/kubelet.service]
"""

RETURN = r"""
removed:
  description: What was (or would be) removed.
  type: list
  elements: str
  returned: always
"""

import ipaddress
import json
import os
import pathlib
import re
import shutil

from ansible.module_utils.basic import AnsibleModule

STATE = (
    "etc/kubernetes", "var/lib/kubelet", "var/lib/etcd", "var/lib/cni", "run/flannel",
    "etc/cni/net.d/10-containerd-net.conflist",
)  # fmt: skip
"""Files and directories of the cluster itself; those that are mount points are emptied."""
LINKS = ("cni0", "flannel.1")
TABLES = ("kube-proxy", "flannel-ipv4", "flannel-ipv6")
"""nftables' tables of those programs."""
CHAIN = re.compile(r"^:(KUBE-\S+|CNI-\S+) ")
"""Their chains among those of iptables."""
ADDRESS_UNIT = "kubernetes-address.service"
"""Holds the address of the API."""
SOCKET = "unix:///run/containerd/containerd.sock"


class Host:
    """What of a cluster is on it."""

    def __init__(self, module):
        self._module = module
        self.root = pathlib.Path(module.params["root"])

    def run(self, *command, known=(0,), data=None):
        """Standard output; an unknown end is the module's failure."""
        code, output, complaint = self._module.run_command(list(command), data=data)
        if code not in known:
            self._module.fail_json(msg=f"{' '.join(command)}: {(complaint or output).strip()[-1500:]}")
        return output

    def files(self, names):
        """Which of these are there, and hold something."""
        paths = [self.root / name.lstrip("/") for name in names]
        return [path for path in paths if os.path.lexists(path) and not (path.is_dir() and not any(path.iterdir()))]

    def kept(self):
        """What workloads have kept."""
        paths = [self.root / name.lstrip("/") for name in self._module.params["data"]]
        return [entry for path in paths if path.is_dir() for entry in sorted(path.iterdir())]

    def empty(self):
        """Directories in which nothing is left."""
        paths = [self.root / name.lstrip("/") for name in self._module.params["directories"]]
        return [path for path in paths if path.is_dir() and not any(path.iterdir())]

    def mounts(self, path):
        """Where something is mounted below a path."""
        return below((self.root / "proc/self/mountinfo").read_text(), path)

    def links(self):
        return [name for name in LINKS if (self.root / "sys/class/net" / name).exists()]

    def routes(self):
        """Those to the pods of other machines."""
        network = self._module.params["pod_network"]
        if not network:
            return []
        told = json.loads(self.run("ip", "-json", "-4", "route", "show") or "[]")
        return [one["dst"] for one in told if within(one["dst"], network)]

    def tables(self):
        if shutil.which("nft") is None:
            return []
        told = json.loads(self.run("nft", "--json", "list", "tables") or "{}").get("nftables", [])
        found = [one["table"] for one in told if "table" in one]
        return [f"{table['family']} {table['name']}" for table in found if table["name"] in TABLES]

    def rules(self):
        """Program to its rules, where chains of the cluster are among them."""
        found = {}
        for program in ("iptables", "ip6tables"):
            if shutil.which(f"{program}-save") is None:
                continue
            text = self.run(f"{program}-save")
            if any(CHAIN.match(line) for line in text.splitlines()):
                found[program] = text
        return found


def within(destination, network):
    """Whether a route leads to a part of a network."""
    try:
        return ipaddress.ip_network(destination).subnet_of(ipaddress.ip_network(network))
    except ValueError:  # "default"
        return False


def without_chains(text):
    """Rules as ``iptables-save`` prints them, without the cluster's chains and what leads to them."""
    lines = text.splitlines()
    chains = {found[1] for found in map(CHAIN.match, lines) if found}

    def kept(line):
        return not (CHAIN.match(line) or chains & set(re.findall(r"(?<=-A |-j )\S+|(?<=-g )\S+", line)))

    return "\n".join(filter(kept, lines)) + "\n"


def below(mountinfo, path):
    """The places below a path where something is mounted, the deepest first (proc(5): the fifth field, escaped)."""
    fields = (line.split()[4] for line in mountinfo.splitlines())
    places = (re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field) for field in fields)
    return sorted({place for place in places if place.startswith(f"{path}/")}, key=len, reverse=True)


def remove(path, inside=False):
    """Remove a file or directory, or (``inside``) what a directory holds."""
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            remove(entry)
        if not inside:
            path.rmdir()
    else:
        path.unlink()


def reset(host, ours):
    """Take it all away, what names the rest last."""
    host.run("systemctl", "disable", "--now", "--quiet", ADDRESS_UNIT, known=(0, 1, 5))
    if shutil.which("kubeadm"):
        skipped = "--skip-phases=remove-etcd-member"
        host.run("kubeadm", "reset", "--force", f"--cri-socket={SOCKET}", "--cleanup-tmp-dir", skipped)
    host.run("systemctl", "disable", "--now", "--quiet", "kubelet.service", known=(0, 1, 5))
    for program, text in host.rules().items():
        host.run(f"{program}-restore", data=without_chains(text))
    for table in host.tables():
        host.run("nft", "delete", "table", *table.split())
    for link in host.links():
        host.run("ip", "link", "delete", link)
    for route in host.routes():
        host.run("ip", "route", "delete", route)
    for path in (*host.files(STATE), *host.kept(), *host.files(ours)):
        for place in host.mounts(path):  # of pods' volumes: what is in them is not the cluster's to remove
            host.run("umount", place)
        remove(path, os.path.ismount(path))
    for path in host.empty():
        path.rmdir()
    host.run("systemctl", "daemon-reload")


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "path", "default": []},
            "data": {"type": "list", "elements": "path", "default": []},
            "directories": {"type": "list", "elements": "path", "default": []},
            "pod_network": {"type": "str", "default": ""},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    host, ours = Host(module), module.params["files"]
    found = [*map(str, host.files(STATE)), *host.links(), *host.tables(), *map(str, host.files(ours))]
    found += [*map(str, host.kept()), *map(str, host.empty())]
    found += [f"route to {route}" for route in host.routes()]
    found += [f"chains of {program}" for program in host.rules()]
    if found and not module.check_mode:
        reset(host, ours)
    module.exit_json(
        changed=bool(found), removed=found, diff={"before": "".join(f"{one}\n" for one in found), "after": ""}
    )


if __name__ == "__main__":
    main()

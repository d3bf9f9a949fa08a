#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a machine of a control plane with the database of a backup, step by step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Have a machine of a control plane with the database of a backup
description:
  - The states follow each other, each on every machine before the next, since members with different pasts are no cluster.
    With C(stopped) the control plane has ended. With C(restored) its database is that of the snapshot, as a member of a new
    etcd of all these machines; what was there before is kept aside. With C(started) the control plane runs again, its API
    answers, and what was kept aside is gone.
  - Whoever watched the API before is told that its past is gone, so nobody goes on with what the snapshot does not know.
  - With C(asked) it tells what is there, and changes nothing.
options:
  state:
    description: What is to be.
    type: str
    choices: [asked, stopped, restored, started]
    required: true
  snapshot:
    description: The snapshot on this machine; for O(state=restored).
    type: path
    default: ""
  name:
    description: Name of this machine's node.
    type: str
    required: true
  members:
    description: Names of the nodes of all members to their addresses; for O(state=restored).
    type: dict
    default: {}
  token:
    description: Name of the new etcd, which keeps members of others out; for O(state=restored).
    type: str
    default: ""
  address:
    description: HOST:PORT of this machine's API server; for O(state=started).
    type: str
    default: ""
  seconds:
    description: How long a step may take.
    type: int
    default: 240
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the database of the backup
  etcd_restore:
    state: restored
    snapshot: /var/lib/meshwright/restore/snapshot.db
    name: node1
    members: {node1: 10.0.0.11}
    token: restored-0123
"""

RETURN = r"""
authority:
  description: SHA-256 of the authority's certificate; empty where there is none.
  type: str
  returned: when state is asked
version:
  description: Version of the API server, by its file.
  type: str
  returned: when state is asked
"""

import hashlib
import os
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.node_state import Host, version_of
from ansible.module_utils.static_pods import MANIFESTS, STOPPED, PodError, running, start, stop, stopped, wait_ready

DATA = "/var/lib/etcd"
MEMBER, FRESH, BEFORE = (os.path.join(DATA, name) for name in ("member", "restored", "before-restore"))
BUMP = 1_000_000_000
"""Revisions to go forward: more than any cluster makes between a backup and its return."""
PEER_PORT = 2380


def manifest(host, name):
    """The text of a file of the control plane, wherever it stands; empty without one."""
    for place in (STOPPED, MANIFESTS):
        if host.has(f"{place}/{name}.yaml"):
            with open(host.path(f"{place}/{name}.yaml")) as file:
                return file.read()
    return ""


def asked(host):
    """Whose the machine is, and what runs there."""
    authority = ""
    if host.has("pki/ca.crt"):
        with open(host.path("pki/ca.crt"), "rb") as file:
            authority = hashlib.sha256(file.read()).hexdigest()
    return {"authority": authority, "version": version_of("kube-apiserver", manifest(host, "kube-apiserver"))}


def command(image, parameters, container):
    """How etcd's own program makes a member of a snapshot, in a container of etcd's image."""
    members = parameters["members"]
    cluster = ",".join(f"{name}=https://{address}:{PEER_PORT}" for name, address in sorted(members.items()))
    snapshot = parameters["snapshot"]
    return [
        "ctr", "--namespace", "k8s.io", "run", "--rm",
        f"--mount=type=bind,src={DATA},dst={DATA},options=rbind:rw",
        f"--mount=type=bind,src={os.path.dirname(snapshot)},dst=/backup,options=rbind:ro",
        image, container,
        "etcdutl", "snapshot", "restore", f"/backup/{os.path.basename(snapshot)}", f"--data-dir={FRESH}",
        f"--name={parameters['name']}", f"--initial-cluster={cluster}",
        f"--initial-advertise-peer-urls=https://{members[parameters['name']]}:{PEER_PORT}",
        f"--initial-cluster-token={parameters['token']}", f"--bump-revision={BUMP}", "--mark-compacted",
    ]  # fmt: skip


def restore(host, parameters):
    """Put the snapshot in the database's place. Raises :class:`PodError`."""
    found = re.search(r"image: (\S+)", manifest(host, "etcd"))
    if found is None:
        raise PodError("the machine has no etcd of kubeadm's (manifests/etcd.yaml); run kubernetes.yml first")
    if any(processes for processes in running().values()):
        raise PodError("the control plane still runs")
    shutil.rmtree(FRESH, ignore_errors=True)
    done = subprocess.run(
        command(found[1], parameters, f"meshwright-restore-{os.getpid()}"), capture_output=True, check=False
    )
    if done.returncode or not os.path.isdir(f"{FRESH}/member"):
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-1500:]
        raise PodError(f"etcdutl snapshot restore: {said}")
    if os.path.isdir(MEMBER):
        # Of several restores that were cut off, the first has put aside what ran.
        shutil.rmtree(MEMBER) if os.path.isdir(BEFORE) else os.rename(MEMBER, BEFORE)
    os.rename(f"{FRESH}/member", MEMBER)
    shutil.rmtree(FRESH)


def begin(parameters):
    """Have it run again, and remove what was put aside. Raises :class:`PodError`."""
    start()
    wait_ready(parameters["address"], parameters["seconds"])
    shutil.rmtree(BEFORE, ignore_errors=True)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["asked", "stopped", "restored", "started"], "required": True},
            "snapshot": {"type": "path", "default": ""},
            "name": {"type": "str", "required": True},
            "members": {"type": "dict", "default": {}},
            "token": {"type": "str", "default": "", "no_log": False},
            "address": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 240},
        },
        supports_check_mode=True,
    )
    host, parameters = Host(), module.params
    state = parameters["state"]
    if state == "asked":
        module.exit_json(changed=False, **asked(host))
    ran = any(running().values())
    changed = ran or not stopped() if state == "stopped" else True
    try:
        if not module.check_mode:
            if state == "stopped":
                stop(parameters["seconds"])
            elif state == "restored":
                restore(host, parameters)
            else:
                begin(parameters)
    except (PodError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed, diff={"before": "", "after": f"the control plane is {state}\n" if changed else ""}
    )


if __name__ == "__main__":
    main()

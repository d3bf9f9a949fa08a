#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: a node of a cluster that carries no pods, carries some again, or is a part of it no longer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_node
short_description: Have a node drained, in use again, or no longer
description:
  - Runs where the cluster's login is. A node that is C(drained) takes no new pods, and those that a controller will begin
    elsewhere have left it, as their disruption budgets allow; pods of daemon sets stay. Of a node that does not answer, pods
    are not waited for. One that is C(schedulable) again is so where O(reason) is why it was drained; what somebody else has
    taken out of use stays so.
  - Volumes whose data is on the node alone would be lost with it, so a node that leaves and has such is refused, unless that
    is said. One that is drained for a while (O(reason)) keeps them.
options:
  name:
    description: Name of the node.
    type: str
    required: true
  state:
    description: What is to be.
    type: str
    choices: [drained, schedulable, absent]
    required: true
  lose_volumes:
    description: Whether the node's own volumes may be lost.
    type: bool
    default: false
  reason:
    description: Why it is drained for a while; noted at the node, where a later run with O(state=schedulable) looks.
    type: str
    default: ""
  seconds:
    description: How long pods may take to leave.
    type: int
    default: 300
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have no pods on the machine
  cluster_node:
    name: node3
    state: drained
"""

RETURN = r"""
found:
  description: What the node was (absent, schedulable, drained).
  type: str
  returned: always
"""

import json
import re
import time

from ansible.module_utils.basic import AnsibleModule

NOTE = "meshwright.dev/drained-for"
"""Annotation of a node that was drained for a while."""
AWAY = re.compile(
    r"connection refused|i/o timeout|no route to host|unexpected EOF|connection reset|TLS handshake|etcdserver: |"
    r"ServiceUnavailable|server was unable|request timed out|the server is currently unable"
)
"""What is said while the API's address moves, or its server begins anew."""
PATIENCE, PAUSE = 60, 2
"""Seconds that it may take, and between two questions."""


class Cluster:
    """``kubectl`` on one node."""

    def __init__(self, module):
        self._run = module.run_command
        self._login = f"--kubeconfig={module.params['kubeconfig']}"
        self.name = module.params["name"]

    def kubectl(self, *arguments):
        """Standard output. Raises :class:`RuntimeError` with its complaint."""
        deadline = time.monotonic() + PATIENCE
        while True:
            code, output, complaint = self._run(["kubectl", self._login, *arguments])
            if not code or not AWAY.search(complaint) or time.monotonic() > deadline:
                break
            time.sleep(PAUSE)
        if code:
            raise RuntimeError(f"kubectl {arguments[0]} {self.name}: {complaint.strip()[-1500:]}")
        return output

    def found(self):
        """What the node is."""
        told = self.kubectl("get", f"node/{self.name}", "--ignore-not-found", "--output=json").strip()
        if not told:
            return "absent"
        if not json.loads(told)["spec"].get("unschedulable"):
            return "schedulable"
        selected = f"--field-selector=spec.nodeName={self.name}"
        pods = json.loads(self.kubectl("get", "pods", "--all-namespaces", selected, "--output=json"))["items"]
        return "unschedulable" if any(map(leaves, pods)) else "drained"

    def volumes(self):
        """Volumes whose data is on the node and nowhere else, by those who claim them."""
        listed = json.loads(self.kubectl("get", "persistentvolumes", "--output=json"))["items"]
        return [claimed(volume) for volume in listed if bound_to(volume, self.name)]

    def noted(self):
        """Why it was drained for a while; empty where nobody says so."""
        told = self.kubectl("get", f"node/{self.name}", "--output=json")
        return json.loads(told)["metadata"].get("annotations", {}).get(NOTE, "")

    def drain(self, found, seconds, reason):
        """Have pods elsewhere. Only who takes it out of use notes why."""
        if reason and found == "schedulable":
            self.kubectl("annotate", f"node/{self.name}", f"{NOTE}={reason}", "--overwrite")
        options = ["--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s"]
        options += [] if self.answers() else ["--force", "--grace-period=0", "--skip-wait-for-delete-timeout=1"]
        self.kubectl("drain", self.name, *options)

    def use(self):
        """Have it take pods again."""
        self.kubectl("uncordon", self.name)
        self.kubectl("annotate", f"node/{self.name}", f"{NOTE}-")

    def answers(self):
        """Whether its kubelet does."""
        told = self.kubectl("get", f"node/{self.name}", "--output=json")
        conditions = json.loads(told)["status"].get("conditions", ())
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def leaves(pod):
    """Whether a pod is one that a drain makes leave: not those of daemon sets, of files on the node, or at their end."""
    owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", ())}
    ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    return not ended and not owners & {"DaemonSet", "Node"}


def bound_to(volume, node):
    """Whether a volume can be reached from one node alone, and it is this one."""
    terms = volume["spec"].get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", ())
    hosts = [
        set(rule.get("values", ()))
        for term in terms
        for rule in term.get("matchExpressions", ())
        if rule["key"] == "kubernetes.io/hostname" and rule["operator"] == "In"
    ]
    return bool(hosts) and all(named == {node} for named in hosts)


def claimed(volume):
    """Who claims a volume (NAMESPACE/NAME), else its own name."""
    claim = volume["spec"].get("claimRef")
    return f"{claim['namespace']}/{claim['name']}" if claim else volume["metadata"]["name"]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "schedulable", "absent"], "required": True},
            "lose_volumes": {"type": "bool", "default": False},
            "reason": {"type": "str", "default": ""},
            "seconds": {"type": "int", "default": 300},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    cluster, state, reason = Cluster(module), module.params["state"], module.params["reason"]
    try:
        found = cluster.found()
        changed = found not in ("absent", state)
        kept = module.params["lose_volumes"] or reason
        volumes = cluster.volumes() if found != "absent" and not kept else []
        if volumes:
            module.fail_json(
                msg=f"{cluster.name} alone has the data of {', '.join(sorted(volumes))}, which would be lost: move it and "
                "delete these claims, or say -e volumes=lost"
            )
        if state == "schedulable" and changed:
            changed = cluster.noted() == reason != ""
        if changed and not module.check_mode:
            if state == "absent":
                cluster.kubectl("delete", f"node/{cluster.name}", "--wait=true")
            elif state == "schedulable":
                cluster.use()
            else:
                cluster.drain(found, module.params["seconds"], reason)
    except RuntimeError as error:
        module.fail_json(msg=str(error))
    diff = {"before": f"{cluster.name}: {found}\n", "after": f"{cluster.name}: {state if changed else found}\n"}
    module.exit_json(changed=changed, found=found, diff=diff)


if __name__ == "__main__":
    main()

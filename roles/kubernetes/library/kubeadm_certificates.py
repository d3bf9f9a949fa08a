#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: certificates of a machine of the control plane that do not end soon, and programs that use them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_certificates
short_description: Have certificates of a control plane that do not end soon
description:
  - Lets C(kubeadm certs) tell when each ends, and renew all of them where one ends soon.
  - Programs of the control plane that began before their certificates did are begun anew, and waited for; a run that was cut
    off between the two is gone on with.
  - Of the kubelet's own certificate it tells the end; the kubelet renews it itself. Authorities are not renewed.
options:
  days:
    description: Certificates are renewed of which one ends in fewer days.
    type: int
    default: 90
  force:
    description: Renew them however long they are good for.
    type: bool
    default: false
  address:
    description: HOST:PORT of this machine's API server.
    type: str
    required: true
  seconds:
    description: How long the programs may take to be ready again.
    type: int
    default: 180
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have certificates for a quarter of a year at least
  kubeadm_certificates:
    address: 10.0.0.11:6443
"""

RETURN = r"""
certificates:
  description: Each with its name, when it ends, and the days until then.
  type: list
  elements: dict
  returned: always
renewed:
  description: Whether they were (or would be) renewed.
  type: bool
  returned: always
restarted:
  description: The programs that were (or would be) begun anew.
  type: list
  elements: str
  returned: always
"""

import datetime
import json
import os
import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.static_pods import READS, PodError, restart, stale, wait_ready

KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"
DAY = 86400


def run(*command):
    """Standard output. Raises :class:`PodError`."""
    done = subprocess.run(command, capture_output=True, check=False, env=dict(os.environ, LC_ALL="C"))
    if done.returncode:
        raise PodError(f"{' '.join(command[:3])}: {done.stderr.decode(errors='replace').strip()[-1500:]}")
    return done.stdout.decode()


def read(told, now):
    """The certificates and authorities of what kubeadm tells, each as a name, an end and the days until then."""

    def row(one):
        ends = datetime.datetime.fromisoformat(one["expirationDate"].replace("Z", "+00:00"))
        return {
            "name": one["name"],
            "ends": ends.strftime("%Y-%m-%d"),
            "days": int((ends - now).total_seconds() // DAY),
        }

    def rows(of):
        there = [one for one in told.get(of, ()) if not (one.get("missing") or one.get("externallyManaged"))]
        return [row(one) for one in there]

    return rows("certificates"), rows("certificateAuthorities")


def kubelet_row(now, file=KUBELET):
    """The kubelet's own; none where there is none."""
    if not os.path.exists(file):
        return []
    said = run("openssl", "x509", "-noout", "-enddate", "-in", file).strip().partition("=")[2]
    ends = datetime.datetime.strptime(said, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=datetime.timezone.utc)  # noqa: UP017
    days = int((ends - now).total_seconds() // DAY)
    return [{"name": "kubelet (renewed by itself)", "ends": ends.strftime("%Y-%m-%d"), "days": days}]


def told(rows):
    """Lines for the diff."""
    return "".join(f"{row['name']}: until {row['ends']} ({row['days']} days)\n" for row in rows)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "days": {"type": "int", "default": 90},
            "force": {"type": "bool", "default": False},
            "address": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    parameters, now = module.params, datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017
    try:
        certificates, authorities = read(json.loads(run("kubeadm", "certs", "check-expiration", "--output=json")), now)
        for one in authorities:
            if one["days"] < parameters["days"]:
                module.warn(f"the authority {one['name']} ends on {one['ends']}, and kubeadm does not renew it")
        due = parameters["force"] or any(row["days"] < parameters["days"] for row in certificates)
        old = list(READS) if due else stale()
        if not module.check_mode:
            if due:
                run("kubeadm", "certs", "renew", "all")
            restart(stale())
            if old:
                wait_ready(parameters["address"], parameters["seconds"])
        rows = [*certificates, *kubelet_row(now)]
    except PodError as error:
        module.fail_json(msg=str(error))
    diff = {"before": told(rows) if due else "", "after": f"renewed; begun anew: {', '.join(old)}\n" if old else ""}
    module.exit_json(changed=bool(due or old), certificates=rows, renewed=due, restarted=old, diff=diff)


if __name__ == "__main__":
    main()

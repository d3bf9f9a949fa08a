#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: kubelets that show certificates of their cluster, for names and addresses that are theirs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_certificates
short_description: Have kubelets show certificates of their cluster
description:
  - Requests for such certificates are approved that a machine's own login has made, and that are for the machine's name and
    address alone; others are left as they are. Then every kubelet is dialled until it shows a certificate of the cluster's
    authority for its machine's address.
  - Kubelets ask with the setting C(serverTLSBootstrap), and again before a certificate ends.
options:
  machines:
    description: Name of each node to its address.
    type: dict
    required: true
  holders:
    description: Those of them that hold a certificate, which is believed while their kubelet does not answer.
    type: list
    elements: str
    default: []
  seconds:
    description: How long it may take until they show them.
    type: int
    default: 60
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
  authority:
    description: The cluster's authority.
    type: path
    default: /etc/kubernetes/pki/ca.crt
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author: Meshwright
"""

EXAMPLES = r"""
- name: Have the machines' kubelets show certificates of the cluster
  kubelet_certificates:
    machines: {node1: 10.0.0.11, node2: 10.0.0.12}
"""

RETURN = r"""
without:
  description: Machines whose kubelets showed none.
  type: list
  elements: str
  returned: always
"""

import json
import os
import socket
import ssl
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.cluster_kubectl import kubectl

PORT, DIAL_SECONDS = 10250, 5
SIGNER = "kubernetes.io/kubelet-serving"


def shows(address, authority):
    """Whether the kubelet at an address shows a certificate of the authority for it; none where it does not answer."""
    trust = ssl.create_default_context(cafile=authority)
    try:
        dialled = socket.create_connection((address, PORT), DIAL_SECONDS)
    except OSError:
        return None
    with dialled:
        try:
            trust.wrap_socket(dialled, server_hostname=address).close()
        except OSError:  # all errors of TLS are
            return False
    return True


def ask(kubeconfig, *arguments):
    """Standard output of ``kubectl``. Raises :class:`RuntimeError` with its complaint."""
    code, output, complaint = kubectl(kubeconfig, *arguments)
    if code:
        raise RuntimeError(f"kubectl {arguments[0]}: {complaint[-1500:]}")
    return output


def pending(requests, name):
    """Names of the requests of a machine's own login that nobody has decided on."""
    return [
        request["metadata"]["name"]
        for request in requests["items"]
        if request["spec"]["signerName"] == SIGNER
        and request["spec"]["username"] == f"system:node:{name}"
        and not request.get("status", {}).get("conditions")
    ]


def wanted(described, name, address):
    """Whether a request, as ``kubectl describe`` prints it, is for a machine's name and address and for nothing else."""
    lines = [" ".join(line.split()) for line in described.splitlines()]
    if "Subject:" not in lines:
        return False
    begin = lines.index("Subject:")
    end = next((number for number, line in enumerate(lines) if line.startswith("Events:")), len(lines))
    return lines[begin:end] == [
        "Subject:",
        f"Common Name: system:node:{name}",
        "Serial Number:",
        "Organization: system:nodes",
        "Subject Alternative Names:",
        f"DNS Names: {name}",
        f"IP Addresses: {address}",
    ]


class Requests:
    """What kubelets of known machines have asked for and nobody has decided on."""

    def __init__(self, kubeconfig, machines):
        self._kubeconfig = kubeconfig
        self.right, self.wrong = [], []
        listed = json.loads(ask(kubeconfig, "get", "certificatesigningrequests", "--output=json"))
        for name, address in machines.items():
            for request in pending(listed, name):
                described = ask(kubeconfig, "describe", f"certificatesigningrequest/{request}")
                (self.right if wanted(described, name, address) else self.wrong).append(request)

    def approve(self):
        """Approve those that are for what is the machine's."""
        for request in self.right:
            ask(self._kubeconfig, "certificate", "approve", request)


def ensure(module):
    """Have all of them show certificates. Raises :class:`RuntimeError` with what stands in the way."""
    parameters, left = module.params, dict(module.params["machines"])
    deadline = time.monotonic() + parameters["seconds"]
    while True:
        requests = Requests(parameters["kubeconfig"], parameters["machines"])
        requests.approve()
        left = {name: address for name, address in left.items() if not shows(address, parameters["authority"])}
        if not left:
            return
        if time.monotonic() > deadline:
            why = "their machines have asked for none (serverTLSBootstrap in /var/lib/kubelet/config.yaml)"
            if requests.wrong:
                why = f"{', '.join(requests.wrong)} would be for more than the machine's name and address"
            raise RuntimeError(f"the kubelets of {', '.join(left)} show no certificate of the cluster: {why}")
        time.sleep(0.5)


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "machines": {"type": "dict", "required": True},
            "holders": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "int", "default": 60},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "authority": {"type": "path", "default": "/etc/kubernetes/pki/ca.crt"},
        },
        supports_check_mode=True,
    )
    machines, authority = module.params["machines"], module.params["authority"]
    known = os.path.exists(authority)
    shown = {name: shows(address, authority) if known else False for name, address in machines.items()}
    without = [
        name for name in machines if not (shown[name] or (shown[name] is None and name in module.params["holders"]))
    ]
    # The first run on clean hosts is checked without a cluster.
    asking = []
    try:
        if known:
            asking = Requests(module.params["kubeconfig"], machines).right
        if not module.check_mode and (asking or not all(shown.values())):
            ensure(module)
    except RuntimeError as error:
        if not module.check_mode:
            module.fail_json(msg=str(error), without=sorted(without))
    told = [*(f"{name}: a certificate of the cluster\n" for name in sorted(without)), *(f"{one}\n" for one in asking)]
    module.exit_json(
        changed=bool(without or asking), without=sorted(without), diff={"before": "", "after": "".join(told)}
    )


if __name__ == "__main__":
    main()

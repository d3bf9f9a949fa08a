#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: by which ways a machine beside a cluster reaches what is in it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_ways
short_description: Tell the ways from a machine to a cluster's pods, Services and control plane
description:
  - Asks the cluster's API for its nodes and Services. Changes nothing.
  - A node whose part of the pods' network or whose address is not of IPv4 is passed over, as are Services without an address
    of their own.
options:
  namespace:
    description: Namespace whose Services have their short names as well.
    type: str
    required: true
  control_service:
    description: NAMESPACE/NAME of the Service of type LoadBalancer by which the control plane is reached.
    type: str
    required: true
  kubeconfig:
    description: The login.
    type: path
    default: /etc/kubernetes/admin.conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author: Meshwright
"""

EXAMPLES = r"""
- name: Ask the cluster for the ways to it
  cluster_ways:
    namespace: default
    control_service: istio-system/istiod-external
"""

RETURN = r"""
routes:
  description: Of each node, in their order, its part of the pods' network (C(to)) and its own address (C(via)).
  type: list
  elements: dict
  returned: always
names:
  description: Address of each Service to its names, the longest first.
  type: dict
  returned: always
control:
  description: Address at which the control plane is reached.
  type: str
  returned: always
"""

import json
import subprocess

from ansible.module_utils.basic import AnsibleModule

DOMAIN = "svc.cluster.local"


class MissingError(Exception):
    """Something is not in the cluster; the message says what, and the mend."""


def routes(nodes):
    """See RETURN."""
    found = []
    for node in nodes:
        parts = node["spec"].get("podCIDRs") or [node["spec"].get("podCIDR", "")]
        addresses = [one["address"] for one in node["status"].get("addresses", ()) if one["type"] == "InternalIP"]
        to = next((part for part in parts if part and ":" not in part), None)
        via = next((address for address in addresses if ":" not in address), None)
        if to and via:
            found.append({"to": to, "via": via})
    return sorted(found, key=lambda route: route["to"])


def names(services, namespace):
    """See RETURN. The short name is the Service's of ``namespace``, from where the machine's workload calls."""
    found = {}
    for service in services:
        address, metadata = service["spec"].get("clusterIP", ""), service["metadata"]
        if not address or address == "None" or ":" in address:
            continue
        name, where = metadata["name"], metadata["namespace"]
        short = [name] if where == namespace else []
        found[address] = [f"{name}.{where}.{DOMAIN}", f"{name}.{where}.svc", f"{name}.{where}", *short]
    return found


def control(services, wanted):
    """See RETURN. Raises :class:`MissingError`."""
    where, _, name = wanted.partition("/")
    service = next((s for s in services if (s["metadata"]["namespace"], s["metadata"]["name"]) == (where, name)), None)
    if service is None:
        raise MissingError(
            f"there is no Service {wanted}, by which the control plane is reached from outside the cluster; "
            "have it by `external: {}` among the values of `mesh manifests`, or run cluster/mesh.yml"
        )
    for place in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
        if place.get("ip"):
            return place["ip"]
    raise MissingError(
        f"the Service {wanted} has no address from outside yet; "
        "something must give addresses to Services of type LoadBalancer (kubernetes.address_pool)"
    )


def asked(module):
    """The nodes and the Services."""
    command = ["kubectl", f"--kubeconfig={module.params['kubeconfig']}", "get", "nodes,services", "--all-namespaces"]
    done = subprocess.run([*command, "--output=json"], capture_output=True, check=False)
    if done.returncode:
        module.fail_json(msg=f"kubectl get: {done.stderr.decode(errors='replace').strip()[-1500:]}")
    items = json.loads(done.stdout)["items"]
    return [item for item in items if item["kind"] == "Node"], [item for item in items if item["kind"] == "Service"]


def main():
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "namespace": {"type": "str", "required": True},
            "control_service": {"type": "str", "required": True},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    nodes, services = asked(module)
    try:
        address = control(services, module.params["control_service"])
    except MissingError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False, routes=routes(nodes), names=names(services, module.params["namespace"]), control=address
    )


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A cluster's etcd, spoken to in the pod of one of its machines: the image has etcd's own programs, a machine has none."""

from __future__ import annotations

import subprocess
import time

PKI = "/etc/kubernetes/pki/etcd"
WORDS = (
    "--endpoints=https://127.0.0.1:2379", f"--cacert={PKI}/ca.crt", f"--cert={PKI}/healthcheck-client.crt",
    f"--key={PKI}/healthcheck-client.key",
)  # fmt: skip
"""How a pod's own etcd is reached from within it."""
TRIES, PAUSE = 10, 3
"""The API's address may move while it is asked, and etcd chooses another leader after a member has left."""


class EtcdError(RuntimeError):
    """etcd does not answer, or says no."""


def etcdctl(login: str, node: str, *arguments: str, tries: int = TRIES) -> str:
    """Standard output of ``etcdctl`` in the pod of a node; asked again for a while. Further ``--endpoints`` are asked beside
    the pod's own. Raises :class:`EtcdError`."""
    pod = ["kubectl", f"--kubeconfig={login}", "--namespace=kube-system", "exec", f"etcd-{node}", "--"]
    for left in reversed(range(tries)):
        done = subprocess.run([*pod, "etcdctl", *WORDS, *arguments], capture_output=True, check=False)
        if not done.returncode:
            return done.stdout.decode()
        if left:
            time.sleep(PAUSE)
    complaint = done.stderr.decode(errors="replace").strip()[-1500:]
    raise EtcdError(f"etcdctl {' '.join(arguments[:2])} in the pod etcd-{node}: {complaint}")

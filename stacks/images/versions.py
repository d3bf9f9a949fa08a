"""Versions of what a Kubernetes cluster is made of. Go modules of theirs stand in ``tools/kubernetes`` (a test compares)."""

KUBERNETES = "v1.34.2"
KUBERNETES_COMMITTED = "2025-11-11T19:00:37Z"
"""When that version was committed, as the module proxy says: what its programs tell as the date of their build, which else
would be another one each time."""
ETCD = "v3.6.5"
ETCD_TAG = "3.6.5-0"
"""Tag of etcd's image that kubeadm of that version asks for (``cmd/kubeadm/app/constants``), as the following two."""
COREDNS = "v1.12.1"
PAUSE = "3.10.1"
CNI_PLUGINS = "v1.9.1"
FLANNEL = "v0.28.4"

"""Machines made of this host's own kernel: namespaces, control groups, an overlay, systemd as process 1, and SSH.

Fast (three in a few seconds) and real enough for Ansible, systemd, apt and the mesh. They share the kernel and hold almost
all capabilities: **they are no security boundary**; use them for trying out and testing.
"""

from stacks.machines.namespaces.machines import NamespaceDriver

__all__ = ["NamespaceDriver"]

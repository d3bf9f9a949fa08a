"""Telling systemd how the service does (``sd_notify(3)``), without libsystemd."""

import os
import socket
from collections.abc import Mapping


def notify(*lines: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Sends ``READY=1``, ``STATUS=...`` and the like; ``False`` when nobody wants to know (no ``NOTIFY_SOCKET``)."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # A leading @ stands for the abstract namespace's zero byte.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto("\n".join(lines).encode(), target)
        except OSError:
            # The service manager's socket may be gone during its own restart; traffic matters more.
            return False
    return True

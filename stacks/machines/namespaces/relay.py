"""SSH's ProxyCommand: standard input and output to an address in a network namespace. Runs as a script, stdlib only.

``python3 relay.py NAMESPACE ADDRESS PORT``
"""

import ctypes
import os
import selectors
import socket
import sys

CLONE_NEWNET = 0x40000000


def main() -> int:
    """Connect, then copy until one side ends."""
    namespace, address, port = sys.argv[1:4]
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None).setns(descriptor, CLONE_NEWNET):
        sys.stderr.write(f"network namespace {namespace} cannot be entered; are you root?\n")
        return 1
    peer = socket.create_connection((address, int(port)), timeout=10)
    peer.settimeout(None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ, peer.fileno())
    selector.register(peer.fileno(), selectors.EVENT_READ, 1)
    while True:
        for key, _ in selector.select():
            data = os.read(key.fd, 65536)
            if not data and key.fd != 0:
                return 0
            if not data:
                selector.unregister(0)
                peer.shutdown(socket.SHUT_WR)
            while data:
                data = data[os.write(key.data, data) :]


if __name__ == "__main__":
    sys.exit(main())

"""Connections that are redirected with both of their addresses (``TPROXY``), in a network of their own: run as a program by
``unshare -n``, it prints whom a server behind the proxy sees. Its argument is the program of an Envoy; without, ours runs.
"""

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from tests.parity.configuration import TCP, TYPE, address
from tests.parity.sides import OurProcess, envoy_start

ORIGINAL_SRC: Final = TYPE + "envoy.extensions.filters.listener.original_src.v3.OriginalSrc"
ORIGINAL_DST: Final = TYPE + "envoy.extensions.filters.listener.original_dst.v3.OriginalDst"
DIALLED: Final = "10.9.9.1"
CAUGHT: Final = 15006
RULES: Final = f"""table ip redirected {{
  chain prerouting {{
    type filter hook prerouting priority mangle
    meta mark 1337 return
    ip daddr {DIALLED} tcp dport 80 meta mark set 1 tproxy to :{CAUGHT} accept
  }}
  chain output {{
    type route hook output priority mangle
    meta mark 1337 return
    ip daddr {DIALLED} tcp dport 80 meta mark set 1 accept
  }}
}}
"""
"""Istio's rules, as far as a machine that redirects its own connections needs them."""
COMMANDS: Final = (
    "ip link set lo up",
    f"ip addr add {DIALLED}/32 dev lo",
    "ip rule add fwmark 1 lookup 133",
    "ip route add local 0.0.0.0/0 dev lo table 133",
)


class Answering:
    """A server that tells each client its address, and how many requests came on the connection."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._sock.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, (source, _) = self._sock.accept()
                threading.Thread(target=self._serve, args=(peer, source), daemon=True).start()

    @staticmethod
    def _serve(peer: socket.socket, source: str) -> None:
        with peer, contextlib.suppress(OSError):
            for number in range(1, 100):
                data = b""
                while not data.endswith(b"\r\n\r\n"):
                    if not (more := peer.recv(4096)):
                        return
                    data += more
                body = f"{source} {number}".encode()
                peer.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def document(server: int) -> dict[str, Any]:
    """What is redirected comes to one listener, which hands it to that of its destination."""

    def listener(name: str, where: str, port: int, cluster: str, **fields: Any) -> Any:
        proxy = {"name": "tcp", "typed_config": {"@type": TCP, "stat_prefix": name, "cluster": cluster}}
        place = {"socket_address": {"address": where, "port_value": port}}
        return {"name": name, "address": place, "filter_chains": [{"filters": [proxy]}], **fields}

    source = {"name": "src", "typed_config": {"@type": ORIGINAL_SRC, "mark": 1337}}
    target = {"name": "dst", "typed_config": {"@type": ORIGINAL_DST}}
    hosts = [{"lb_endpoints": [{"endpoint": {"address": address(server)}}]}]
    caught = {"listener_filters": [target, source], "transparent": True, "use_original_dst": True}
    return {
        "node": {"id": "a", "cluster": "a"},
        "static_resources": {
            "listeners": [
                listener("caught", "0.0.0.0", CAUGHT, "nobody", **caught),
                listener("dialled", DIALLED, 80, "servers", listener_filters=[source], bind_to_port=False),
            ],
            "clusters": [
                {"name": name, "type": "STATIC", "load_assignment": {"cluster_name": name, "endpoints": endpoints}}
                for name, endpoints in (("servers", hosts), ("nobody", []))
            ],
        },
    }


def main() -> None:
    """See the module's docstring."""
    for command in COMMANDS:
        subprocess.run(command.split(), check=True)
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)
    start = envoy_start(Path(sys.argv[1])) if len(sys.argv) > 1 else OurProcess
    with contextlib.closing(Answering()) as server, tempfile.TemporaryDirectory() as folder, socket.socket() as client:
        proxy = start(Path(folder), document(server.port))
        try:
            client.settimeout(10.0)
            client.bind(("127.0.0.5", 0))
            client.connect((DIALLED, 80))
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            print(client.recv(4096).decode().rpartition("\n")[2])
        finally:
            proxy.close()


if __name__ == "__main__":
    main()

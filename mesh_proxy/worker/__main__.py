"""``python -m mesh_proxy.worker --ipc-fd N --index I``: started by the supervisor, with its end of a socket pair."""

import argparse
import gc
import logging
import os
import signal
import socket
import sys

from mesh_proxy.worker.process import Worker


def main() -> int:
    """Run until the supervisor is gone."""
    parser = argparse.ArgumentParser(prog="mesh-proxy worker")
    parser.add_argument("--ipc-fd", type=int, required=True)
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--log-level", default="info")
    arguments = parser.parse_args()
    form = f"%(levelname)s worker {arguments.index}: %(message)s"
    logging.basicConfig(level=arguments.log_level.upper(), format=form, stream=sys.stderr)
    # The supervisor ends its workers; a signal meant for the whole group must not cut requests off.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The request path makes no cycles; rare collections keep pauses out of it (performance.md).
    gc.set_threshold(50_000, 50, 50)
    channel = socket.socket(fileno=arguments.ipc_fd)
    Worker(channel, os.getpid()).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m mesh_proxy.worker --ipc-fd N --index I``: started by the supervisor, with its end of a socket pair."""

import gc
import logging
import os
import signal
import socket
import sys

from mesh_proxy.worker.process import Worker


def main() -> int:
    """Run until the supervisor is gone."""
    # Without argparse, which each worker would keep half a megabyte of: no person starts workers.
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    form = f"%(levelname)s worker {given.get('--index', 0)}: %(message)s"
    logging.basicConfig(level=given.get("--log-level", "info").upper(), format=form, stream=sys.stderr)
    # The supervisor ends its workers; a signal meant for the whole group must not cut requests off.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The request path makes no cycles; rare collections keep pauses out of it (performance.md).
    gc.set_threshold(50_000, 50, 50)
    channel = socket.socket(fileno=int(given["--ipc-fd"]))
    Worker(channel, os.getpid()).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Ports of loopback for what a test starts."""

import contextlib
import functools
import itertools
import os
import random
import socket
import threading
from collections.abc import Iterator

FIRST, LAST = 26_000, 32_767
"""Above those of the stack ``laptop`` and of the driver ``qemu``, whose tests run beside all others; below those that the
kernel gives to outgoing connections."""
_ASKING = threading.Lock()


@functools.cache
def _own() -> Iterator[int]:
    """This process's own part of them, in no order: the processes of pytest-xdist never try for the same one."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = list(range(FIRST + number, LAST + 1, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))))
    random.SystemRandom().shuffle(own)
    return itertools.cycle(own)


def free_port() -> int:
    """A port that nobody uses at this moment, and that this function gives to nobody else before thousands of others.

    :raises RuntimeError: all of them are in use.
    """
    with _ASKING:  # threads that ask for their first one at once would each get a row of their own
        for port in itertools.islice(_own(), LAST - FIRST):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise RuntimeError(f"no port from {FIRST} to {LAST} is free")

"""Ends a plugin together with the engine that started it.

A killed engine cannot tell its plugins. One that goes on alone may still change machines while the next update already does,
so it ends at once, with all that it has started; what it left half done is for the next update to find.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time


def end_with_engine() -> None:
    """Watch the parent process, which is the engine, from a thread of its own."""
    engine = os.getppid()
    threading.Thread(target=_watch, args=(engine,), daemon=True).start()


def _watch(engine: int) -> None:
    _wait_for_end(engine)
    if os.getpgrp() == os.getpid():  # the engine gives each plugin a group of its own; never end a group of others
        os.killpg(os.getpgrp(), signal.SIGTERM)
    os._exit(1)


def _wait_for_end(engine: int) -> None:
    """Return when the parent is not ``engine`` any more."""
    try:
        descriptor = os.pidfd_open(engine)
    except (AttributeError, OSError):  # not Linux, or gone already
        while os.getppid() == engine:
            time.sleep(1)
        return
    if os.getppid() == engine:  # else the number may be another's by now
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    os.close(descriptor)

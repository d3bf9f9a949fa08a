"""The network between an environment's machines: ``python -m stacks.machines.qemu.switch DIRECTORY``.

An Ethernet switch over Unix datagram sockets, one datagram a frame: it listens at ``switch.sock`` in the directory, a
machine's end is ``NAME.port`` there. Whoever may not enter the directory is not in the network, and nothing of it is seen
on any interface of the host.
It holds no state that matters: after a restart it learns again.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from stacks.machines.qemu.network import PORT_SUFFIX, SWITCH

FRAME_BYTES = 65536
ADDRESSES = 4096
"""How many hardware addresses are remembered: a machine that makes them up must not fill the memory."""


class Switch:
    """Learns which machine a hardware address is at; pure."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def targets(self, frame: bytes, sender: str, ports: Callable[[], Iterable[str]]) -> list[str]:
        """Where a frame goes: to the one that has its destination, else to all but the sender."""
        destination, source = frame[:6], frame[6:12]
        if len(source) < 6:
            return []
        if not source[0] & 1:  # a group is no sender
            if len(self._places) >= ADDRESSES:
                self._places.clear()
            self._places[source] = sender
        known = self._places.get(destination)
        if known is None:
            return [port for port in ports() if port != sender]
        return [known] if known != sender else []

    def forget(self, port: str) -> None:
        """A machine has gone."""
        self._places = {address: place for address, place in self._places.items() if place != port}


def ports() -> list[str]:
    """Every machine's end, in the working directory."""
    return sorted(entry.name for entry in os.scandir() if entry.name.endswith(PORT_SUFFIX))


def serve(listening: socket.socket, switch: Switch) -> None:
    """Pass one frame on."""
    frame, sender = listening.recvfrom(FRAME_BYTES)
    if not isinstance(sender, str):  # a socket without a name
        return
    for port in switch.targets(frame, sender, ports):
        try:
            listening.sendto(frame, socket.MSG_DONTWAIT, port)
        except BlockingIOError:
            continue  # its queue is full: the frame is lost, as on any wire
        except OSError:
            switch.forget(port)


def main() -> None:
    """Serve for ever."""
    os.chdir(sys.argv[1])
    with contextlib.suppress(FileNotFoundError):
        Path(SWITCH).unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(SWITCH)
    switch = Switch()
    while True:
        serve(listening, switch)


if __name__ == "__main__":
    main()

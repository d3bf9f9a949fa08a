"""A real worker process, started and spoken to as the supervisor does."""

import socket
import subprocess
import sys
from typing import Any

from mesh_api.config import ProxyConfig
from mesh_api.config.secrets import Secret
from mesh_proxy import ipc

LIMIT = 30.0
"""Seconds after which a test gives up on an event; nothing takes one of them when it works."""


class WorkerProcess:
    """``python -m mesh_proxy.worker``; use as a context manager. It starts when it is made, and is awaited on entering."""

    def __init__(self, log: Any = subprocess.DEVNULL, errors: Any = None) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(LIMIT)
        command = [sys.executable, "-m", "mesh_proxy.worker", "--ipc-fd", str(theirs.fileno())]
        self.process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdout=log, stderr=errors, stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._decoder = ipc.Decoder()
        self._inbox: list[ipc.Message] = []
        self.told: list[ipc.Told] = []
        """What it had for services of telemetry."""
        self._version = 0

    def __enter__(self) -> "WorkerProcess":
        assert isinstance(self.receive(), ipc.Ready)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """It ends with its supervisor's end of the channel."""
        self._channel.close()
        try:
            self.process.wait(LIMIT)
        finally:
            self.process.kill()

    def send(self, message: ipc.Message) -> None:
        self._channel.sendall(ipc.encode(message))

    def receive(self) -> ipc.Message:
        while not self._inbox:
            data = self._channel.recv(1 << 20)
            assert data, "the worker ended"
            for message in self._decoder.feed(data):
                if isinstance(message, ipc.Told):
                    self.told.append(message)
                else:
                    self._inbox.append(message)
        return self._inbox.pop(0)

    def apply(self, config: ProxyConfig, secrets: tuple[Secret, ...] = ()) -> ipc.Message:
        """Give it a configuration; returns its answer."""
        self._version += 1
        self.send(ipc.Apply(self._version, config, secrets))
        return self.receive()

    def stats(self) -> ipc.Stats:
        """Its numbers. Asking takes a turn of its loop: what was ready to be handled before is handled after."""
        self.send(ipc.StatsRequest(7))
        reply = self.receive()
        assert isinstance(reply, ipc.StatsReply)
        return reply.stats

    def port(self, listener: str) -> int:
        """The port that a listener got."""
        return int(self.stats().listeners[listener].rpartition(":")[2])

    def memory_kib(self, peak: bool = False) -> int:
        """Resident memory, now or at its highest."""
        wanted = "VmHWM" if peak else "VmRSS"
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(wanted))

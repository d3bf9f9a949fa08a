"""One server that is all hosts of a loopback network: an answer's body is the address that was dialled."""

import contextlib
import socket
import threading

from tests.support.raw_http import Wire, answer


class Everywhere:
    """Answers at any address of ``127.0.0.0/8`` on one port; closed at the end. ``status`` may be set for an address."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("0.0.0.0", 0), backlog=256)
        self.port = int(self._listening.getsockname()[1])
        self.status: dict[str, str] = {}
        self.asked: list[str] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(sock)
            threading.Thread(target=self._serve, args=(Wire(sock),), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        address = wire.sock.getsockname()[0]
        with contextlib.suppress(OSError), wire:
            while wire.head():
                self.asked.append(address)
                wire.send(answer(f"{address}:{self.port}".encode(), status=self.status.get(address, "200 OK")))

    def close(self) -> None:
        """End every connection."""
        for sock in (self._listening, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

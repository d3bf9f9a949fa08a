"""Sockets that live in another network namespace than the process that holds them."""

import ctypes
import os
import socket
import threading

CLONE_NEWNET = 0x40000000


def enter_network(name: str) -> None:
    """Move the calling thread into a network namespace. Raises :class:`OSError`."""
    descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, CLONE_NEWNET):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


def socket_in(name: str) -> socket.socket:
    """A TCP socket that lives in a network namespace, made in a thread of its own so that no other code moves there."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            enter_network(name)
            made.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]

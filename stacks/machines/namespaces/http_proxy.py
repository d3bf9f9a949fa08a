"""HTTP proxies between an environment's network and this host's own, each way one.

``python -m stacks.machines.namespaces.http_proxy packages NAMESPACE ADDRESS PORT HOST...`` is the machines' way to their
packages: it listens in their network and asks with the host's own. Only the hosts named are asked, so machines reach package
mirrors and nothing else of the outside.

``python -m stacks.machines.namespaces.http_proxy entrance NAMESPACE PORT NETWORK`` is this host's way to the machines: it
listens on loopback and asks in their network, for addresses of that network alone. ``kubectl`` and browsers take it as their
proxy.
"""

import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from stacks.machines.namespaces.sockets import enter_network, socket_in

PORT = 3142
"""Of the way to packages."""


class Proxy:
    """Answers GET and CONNECT for the hosts that ``allowed`` says yes to."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            head = await reader.readuntil(b"\r\n\r\n")
            await self._request(head, reader, writer)
        writer.close()

    async def _request(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, _, rest = head.partition(b"\r\n")
        method, target, _ = line.decode("ascii").split(" ")
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = url.hostname or "", url.port or (443 if method == "CONNECT" else 80)
        if not self._allowed(host):
            await _refuse(writer, b"403 Forbidden")
            return
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        except OSError:
            await _refuse(writer, b"502 Bad Gateway")
            return
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            lines = [f for f in rest.split(b"\r\n") if f and not f.lower().startswith((b"proxy-", b"connection:"))]
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            request = b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"connection: close", b"", b""])
            upstream_writer.write(request)
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))


async def _refuse(writer: asyncio.StreamWriter, status: bytes) -> None:
    writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def within(network: str) -> Callable[[str], bool]:
    """Whether a host is an address of a network."""
    known = ipaddress.ip_network(network)

    def allowed(host: str) -> bool:
        try:
            return ipaddress.ip_address(host) in known
        except ValueError:
            return False

    return allowed


def packages(namespace: str, address: str, port: str, *hosts: str) -> tuple[socket.socket, Callable[[str], bool]]:
    """Where the way to packages listens, and whom it asks."""
    listening = socket_in(namespace)
    _listen(listening, address, port)
    return listening, frozenset(hosts).__contains__


def entrance(namespace: str, port: str, network: str) -> tuple[socket.socket, Callable[[str], bool]]:
    """Where the way to the machines listens, and whom it asks. The process asks in their network from now on."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    _listen(listening, "127.0.0.1", port)
    enter_network(namespace)
    return listening, within(network)


def _listen(listening: socket.socket, address: str, port: str) -> None:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart takes the port at once
    listening.bind((address, int(port)))


WAYS: dict[str, Callable[..., tuple[socket.socket, Callable[[str], bool]]]] = {
    "packages": packages,
    "entrance": entrance,
}


async def main() -> None:
    """Serve for ever."""
    way, *place = sys.argv[1:]
    listening, allowed = WAYS[way](*place)
    server = await asyncio.start_server(Proxy(allowed).serve, sock=listening)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

"""The machines' way to their packages: an HTTP proxy that listens in their network and asks with the host's own.

``python -m stacks.machines.namespaces.apt_proxy NAMESPACE ADDRESS PORT HOST...`` Only the hosts named are asked, so machines
reach package mirrors and nothing else of the outside.
"""

import asyncio
import contextlib
import sys
from urllib.parse import urlsplit

from stacks.machines.namespaces.sockets import socket_in

PORT = 3142


class Proxy:
    """Answers GET and CONNECT for the hosts that are allowed."""

    def __init__(self, hosts: frozenset[str]) -> None:
        self._hosts = hosts

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
        if host not in self._hosts:
            writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
            return
        upstream_reader, upstream_writer = await asyncio.open_connection(host, port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            lines = [f for f in rest.split(b"\r\n") if f and not f.lower().startswith((b"proxy-", b"connection:"))]
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            request = b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"connection: close", b"", b""])
            upstream_writer.write(request)
        await asyncio.gather(_copy(reader, upstream_writer), _copy(upstream_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def main() -> None:
    """Serve for ever."""
    namespace, address, port, *hosts = sys.argv[1:]
    listening = socket_in(namespace)
    listening.setsockopt(1, 2, 1)  # SOL_SOCKET, SO_REUSEADDR: a restart takes the port at once
    listening.bind((address, int(port)))
    server = await asyncio.start_server(Proxy(frozenset(hosts)).serve, sock=listening)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

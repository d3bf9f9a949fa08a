"""Rotation under load: workloads that talk to each other over mutual TLS all the time, while their certificates and the root
change. Not one request fails.

Certificates live for some seconds here, by the real clock, for OpenSSL knows no other.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509

from mesh_control.ca import pem
from mesh_control.ca.authority import Terms
from mesh_control.ca.wiring import Office, Plan
from mesh_control.metrics import Metrics
from tests.support.certificate_client import Workload

pytestmark = pytest.mark.integration

LIFETIME = 8.0
LIMIT = 120.0
"""Seconds after which the test gives up; a rotation takes twice the lifetime."""


@dataclass(slots=True)
class Member:
    """A workload that renews its certificate when some part of its life has gone, looking at every request."""

    workload: Workload
    folder: Path
    server: bool
    part: float
    context: ssl.SSLContext = field(init=False)
    renewals: int = 0

    async def join(self, token: str) -> None:
        await self.workload.join(token)
        self.context = self.workload.context(self.folder, server=self.server)

    async def renew_in_time(self) -> None:
        certificate = self.workload.certificate
        begun, ends = pem.begins(certificate) + 120, pem.expires(certificate)
        if time.time() >= begun + (ends - begun) * self.part:
            await self.workload.renew()
            self.context = self.workload.context(self.folder, server=self.server)
            self.renewals += 1


def peer(writer: asyncio.StreamWriter) -> str:
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(names.get_values_for_type(x509.UniformResourceIdentifier)[0])


async def answer(connection: socket.socket, context: ssl.SSLContext) -> None:
    """Says the name of whoever asks, as often as it is asked."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    while line := await reader.readline():
        writer.write(peer(writer).encode() + b" " + line)
    writer.close()


@asynccontextmanager
async def listening(member: Member) -> AsyncIterator[int]:
    """A server that takes every connection with the member's context of that moment."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.setblocking(False)

        async def accept() -> None:
            async with asyncio.TaskGroup() as group:
                while True:
                    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                    group.create_task(answer(connection, member.context))

        task = asyncio.create_task(accept())
        try:
            yield listener.getsockname()[1]
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass(slots=True)
class Connection:
    """One of a client's, on which any number of requests follow each other."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    client: str
    server: str

    @classmethod
    async def open(cls, member: Member, port: int, server: str) -> "Connection":
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=member.context, server_hostname="")
        return cls(reader, writer, member.workload.identity, server)

    async def request(self, text: str) -> None:
        self.writer.write(f"{text}\n".encode())
        assert await self.reader.readline() == f"{self.client} {text}\n".encode()
        assert peer(self.writer) == self.server

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_no_request_fails_while_leaf_and_root_rotate(tmp_path: Path) -> None:
    terms = Terms(leaf_seconds=LIFETIME, margin=1.0)
    office = Office(Plan(tmp_path / "ca", "127.0.0.1:0", terms), Metrics(), time.time)
    await office.start()
    kept = asyncio.create_task(office.run())
    members = [
        Member(Workload(f"spiffe://cluster.local/ns/default/sa/{name}", office.authority.bundle(), office.port),
               tmp_path, name == "server", part)
        for name, part in (("server", 0.5), ("eager", 0.2), ("lazy", 0.6))
    ]  # fmt: skip
    token = (await office.create_token("default/*", 600, len(members), ""))["token"]
    for member in members:
        await member.join(token)
    server, *clients = members
    first = office.status()["roots"][0]["name"]
    seen: set[str] = set()
    requests = 0
    try:
        async with asyncio.timeout(LIMIT), listening(server) as port:
            lasting = [await Connection.open(client, port, server.workload.identity) for client in clients]
            await office.rotate()
            while (roots := office.status()["roots"])[0]["name"] == first or len(roots) > 1:
                assert not kept.done(), kept.exception()
                for member in members:
                    await member.renew_in_time()
                    seen.add(member.workload.certificate.issuer.rfc4514_string())
                for client, last in zip(clients, lasting, strict=True):
                    fresh = await Connection.open(client, port, server.workload.identity)
                    await fresh.request(f"request {requests}")
                    await fresh.close()
                    await last.request(f"request {requests}")
                    requests += 2
            for last in lasting:
                await last.close()
    finally:
        kept.cancel()
        await asyncio.gather(kept, return_exceptions=True)
        await office.stop()
    assert len(seen) == 2, "certificates of both roots were in use"
    assert all(member.renewals >= 2 for member in members)
    assert all(member.workload.roots.count("BEGIN CERTIFICATE") in (1, 2) for member in members)
    assert requests > 100

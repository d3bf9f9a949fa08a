"""A connection with TLS on sockets of every kind: what is sent arrives whole."""

import os
import socket

import pytest

from mesh_api.config import CertificateValidation, CommonTls, DownstreamTls, SecretSource, UpstreamTls
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.tls.contexts import Tls
from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.tls_connection import TlsConnection
from tests.support.authority import Authority

AUTHORITY = Authority()
SECRETS = {
    secret.name: secret for secret in (AUTHORITY.certificate("spiffe://cluster.local/ns/a/sa/b"), AUTHORITY.roots())
}
COMMON = CommonTls((SecretSource("default"),), CertificateValidation(SecretSource("ROOTCA")))


class Keeping(Owner):
    """Keeps what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.came = bytearray()
        self.stands = False

    def on_connected(self, connection: Connection) -> None:
        self.stands = True

    def on_data(self, connection: Connection, data: bytes) -> None:
        self.came += data


def pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.create_connection(server.getsockname()), server.accept()[0]


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET], ids=["unix", "tcp"])
@pytest.mark.parametrize("sizes", [(1,), (100, 16_384), (65_536,) * 20, (70_000, 1, 16_385)], ids=str)
def test_what_is_sent_arrives_whole(family: int, sizes: tuple[int, ...]) -> None:
    loop, owners = Loop(), (Keeping(), Keeping())
    contexts = (Tls(UpstreamTls(COMMON), SECRETS), Tls(DownstreamTls(COMMON), SECRETS))
    ends = []
    for sock, owner, tls in zip(pair(family), owners, contexts, strict=True):
        sock.setblocking(False)
        ends.append(TlsConnection(loop, sock, owner, tls, Counters("test"), connecting=not tls.server))
    content = [os.urandom(size) for size in sizes]
    for end in ends:
        for piece in content:
            end.send(piece)
    whole = b"".join(content)
    while not all(owner.stands and len(owner.came) >= len(whole) for owner in owners):
        loop.turn(1)
    assert [bytes(owner.came) for owner in owners] == [whole, whole]
    if family == socket.AF_INET:  # nothing is held back for what may follow
        assert not any(end.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CORK) for end in ends)
    for end in ends:
        end.close()
    loop.close()

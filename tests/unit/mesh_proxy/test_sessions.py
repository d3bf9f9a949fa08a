"""TLS sessions that are taken up again, and the order of ciphers."""

import ssl
from pathlib import Path

import pytest

from mesh_proxy.tls import openssl
from mesh_proxy.tls.sessions import Sessions
from tests.support.authority import Authority

AUTHORITY = Authority()


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a client and of a server."""
    found = AUTHORITY.certificate("spiffe://cluster.local/ns/a/sa/b")
    path = tmp_path / "both.pem"
    path.write_bytes(found.chain + b"\n" + found.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return client, server


def connected(
    client: ssl.SSLContext, server: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, str]:
    """A client that has read something, and the cipher."""
    there, here = ssl.MemoryBIO(), ssl.MemoryBIO()
    mine = client.wrap_bio(here, there, session=session)
    its = server.wrap_bio(there, here, server_side=True)
    left = [mine, its]
    while left:
        for end in tuple(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                continue
    its.write(b"a")
    assert mine.read(1) == b"a"
    cipher = mine.cipher()
    assert cipher is not None
    return mine, cipher[0]


def test_a_session_is_kept_for_its_time(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    first, _ = connected(*contexts)
    sessions = Sessions()
    assert sessions.of("a", 0.0) is None
    assert sessions.wanted("a", 0.0, resumed=False)
    sessions.keep("a", first.session, 1000.0, 0.0)
    again, _ = connected(*contexts, sessions.of("a", 1000.0))
    assert again.session_reused
    assert [sessions.wanted("a", now, resumed=True) for now in (1000.0, 2799.0, 2801.0)] == [False, False, True]
    assert sessions.wanted("a", 1000.0, resumed=False), "it is not taken any more"
    assert sessions.of("b", 1000.0) is None
    assert sessions.of("a", 4601.0) is None


def test_a_session_is_no_longer_kept_than_the_certificate_is_valid(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    first, _ = connected(*contexts)
    sessions = Sessions()
    sessions.keep("a", first.session, 1000.0, 1060.0)
    assert sessions.of("a", 1059.0) is not None
    assert sessions.of("a", 1060.0) is None


def test_what_is_no_session_is_not_kept() -> None:
    sessions = Sessions()
    sessions.keep("a", None, 1000.0, 0.0)
    assert sessions.of("a", 1000.0) is None


def test_the_lighter_cipher_is_chosen(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    client, server = contexts
    if not openssl.prefer(server):
        pytest.skip("this Python cannot reach its OpenSSL")
    server.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    assert connected(client, server)[1] == "TLS_AES_128_GCM_SHA256"

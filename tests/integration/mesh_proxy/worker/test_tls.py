"""TLS on connections from clients and to hosts: who is let in, what is shown, and everything that plaintext can."""

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    CertificateSource,
    CertificateValidation,
    Cluster,
    CommonTls,
    DataSource,
    DownstreamTls,
    FilterChain,
    FilterChainMatch,
    Listener,
    ListenerFilter,
    ProxyConfig,
    SecretSource,
    StringMatch,
    StringMatchKind,
    TcpProxy,
    TlsParameters,
    UpstreamTls,
)
from mesh_proxy.tls.contexts import fingerprint_of_key
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.authority import Authority
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, manager, route
from tests.support.raw_http import Client, Wire, answer
from tests.support.worker_process import LIMIT

pytestmark = pytest.mark.integration

OURS, ROOTS = SecretSource("default"), SecretSource("ROOTCA")
STORE = "spiffe://cluster.local/ns/default/sa/store"
AUTHORITY, STRANGERS = Authority(), Authority("strangers")
CERTIFICATE = AUTHORITY.certificate(STORE)
SECRETS = (CERTIFICATE, AUTHORITY.roots())
SERVER = CommonTls((OURS,))
MUTUAL = DownstreamTls(CommonTls((OURS,), CertificateValidation(ROOTS)), require_client_certificate=True)
CLIENT = UpstreamTls(CommonTls((OURS,), CertificateValidation(ROOTS)))


class TlsClient(Client):
    """A client over TLS; what goes wrong in the handshake is raised."""

    def __init__(
        self, port: int, context: ssl.SSLContext, name: str | None = None, session: ssl.SSLSession | None = None
    ) -> None:
        sock = socket.create_connection(("127.0.0.1", port), LIMIT)
        Wire.__init__(self, context.wrap_socket(sock, server_hostname=name, session=session))

    @property
    def secured(self) -> ssl.SSLSocket:
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock


def encrypted(tls: DownstreamTls, port: int, **fields: Any) -> ProxyConfig:
    """One HTTP listener with TLS."""
    chain = FilterChain(manager((host(route()),), **fields), tls=tls)
    return ProxyConfig((Listener("tls", ANY_PORT, (chain,)),), clusters=(cluster("backend", port),))


def refused(port: int, context: ssl.SSLContext) -> bool:
    """Whether nothing is answered to such a client."""
    try:
        with TlsClient(port, context) as client:
            client.ask()
            return client.head() == b""
    except OSError:
        return True


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_come_over_tls(proxy: Proxy, servers: Servers, version: ssl.TLSVersion) -> None:
    backend, port = servers.http()
    proxy.run(encrypted(DownstreamTls(SERVER), port), *SECRETS)
    context = AUTHORITY.client()
    context.minimum_version = context.maximum_version = version
    with TlsClient(proxy.port, context, "store") as client:
        for _ in range(3):
            assert client.get().status == 200
    assert {request.fields["x-forwarded-proto"] for request in backend.requests} == {"https"}
    assert len(backend.requests) == 3


def test_versions_that_are_too_old_are_refused(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    tls = DownstreamTls(CommonTls((OURS,), parameters=TlsParameters("TLSv1_3")))
    proxy.run(encrypted(tls, port), *SECRETS)
    context = AUTHORITY.client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert refused(proxy.port, context)


def test_plaintext_is_refused_where_tls_is_asked_for(proxy: Proxy, servers: Servers) -> None:
    backend, port = servers.http()
    proxy.run(encrypted(DownstreamTls(SERVER), port), *SECRETS)
    with proxy.client() as client:
        client.ask()
        with contextlib.suppress(OSError):  # it may have closed the connection by now
            client.end()
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in client.rest()
    assert not backend.requests
    proxy.until(lambda stats: any(name.endswith("ssl.connection_error") for name in stats.counters))


@pytest.mark.parametrize(
    ("certificate", "served"),
    [
        (AUTHORITY.certificate(STORE), True),
        (None, False),
        (STRANGERS.certificate(STORE), False),
        (AUTHORITY.certificate(STORE, days=-1), False),
    ],
    ids=["its own", "none", "of strangers", "expired"],
)
def test_whoever_shows_no_certificate_of_the_authority_is_refused(
    proxy: Proxy, servers: Servers, certificate: Any, served: bool
) -> None:
    backend, port = servers.http()
    proxy.run(encrypted(MUTUAL, port), *SECRETS)
    assert refused(proxy.port, AUTHORITY.client(certificate)) is not served
    assert bool(backend.requests) is served


def named(*names: str) -> CertificateValidation:
    return CertificateValidation(
        ROOTS, subject_alt_names=tuple(StringMatch(StringMatchKind.EXACT, name) for name in names)
    )


def test_names_of_clients_are_judged(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    tls = DownstreamTls(CommonTls((OURS,), named("spiffe://other", STORE)), require_client_certificate=True)
    proxy.run(encrypted(tls, port), *SECRETS)
    assert not refused(proxy.port, AUTHORITY.client(AUTHORITY.certificate(STORE)))
    assert refused(proxy.port, AUTHORITY.client(AUTHORITY.certificate("spiffe://elsewhere")))


def test_certificates_are_known_one_by_one(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    known, pinned, other = (AUTHORITY.certificate(STORE) for _ in range(3))
    der = ssl.PEM_cert_to_DER_cert(known.chain.decode())
    digest = hashlib.sha256(der).hexdigest().upper()
    colons = ":".join(digest[place : place + 2] for place in range(0, len(digest), 2))
    pin = fingerprint_of_key(ssl.PEM_cert_to_DER_cert(pinned.chain.decode()))
    validation = CertificateValidation(ROOTS, hashes=(colons,), spki=(pin,))
    proxy.run(encrypted(DownstreamTls(CommonTls((OURS,), validation), require_client_certificate=True), port), *SECRETS)
    assert not refused(proxy.port, AUTHORITY.client(known))
    assert not refused(proxy.port, AUTHORITY.client(pinned))
    assert refused(proxy.port, AUTHORITY.client(other))


@pytest.mark.parametrize("inline", [False, True], ids=["files", "inline"])
def test_certificates_without_a_name(proxy: Proxy, servers: Servers, tmp_path: Path, inline: bool) -> None:
    def source(name: str, content: bytes) -> DataSource:
        if inline:
            return DataSource(inline=content)
        (tmp_path / name).write_bytes(content)
        return DataSource(str(tmp_path / name))

    _, port = servers.http()
    shown = CertificateSource(source("chain", CERTIFICATE.chain), source("key", CERTIFICATE.key))
    validation = CertificateValidation(trusted_ca=source("roots", AUTHORITY.pem))
    common = CommonTls(tls_certificates=(shown,), validation=validation)
    proxy.run(encrypted(DownstreamTls(common, require_client_certificate=True), port))
    assert not refused(proxy.port, AUTHORITY.client(CERTIFICATE))
    assert refused(proxy.port, AUTHORITY.client(None))


def test_a_missing_secret_lets_nobody_in_until_it_comes(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    config = encrypted(MUTUAL, port)
    proxy.run(config, CERTIFICATE)
    known = AUTHORITY.client(AUTHORITY.certificate(STORE))
    assert refused(proxy.port, known)
    proxy.run(config, *SECRETS)
    assert not refused(proxy.port, known)


def test_a_new_certificate_is_for_new_connections_and_old_ones_go_on(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http()
    config = encrypted(DownstreamTls(SERVER), port)
    proxy.run(config, *SECRETS)
    with TlsClient(proxy.port, AUTHORITY.client()) as before:
        assert before.get().status == 200
        shown = before.secured.getpeercert(binary_form=True)
        proxy.run(config, AUTHORITY.certificate(STORE), AUTHORITY.roots())
        assert before.get().status == 200
        with TlsClient(proxy.port, AUTHORITY.client()) as after:
            assert after.get().status == 200
            assert after.secured.getpeercert(binary_form=True) != shown


@pytest.mark.parametrize("broken", ["no key", "no certificate", "no roots"])
def test_secrets_that_are_none_are_refused_without_being_told(proxy: Proxy, servers: Servers, broken: str) -> None:
    from mesh_api.config.secrets import TlsCertificate, TrustedRoots
    from mesh_proxy import ipc

    _, port = servers.http()
    secrets = {
        "no key": (TlsCertificate("default", CERTIFICATE.chain, b"SECRET"), AUTHORITY.roots()),
        "no certificate": (TlsCertificate("default", b"", CERTIFICATE.key), AUTHORITY.roots()),
        "no roots": (CERTIFICATE, TrustedRoots("ROOTCA", b"nothing")),
    }[broken]
    answer = proxy.worker.apply(encrypted(MUTUAL, port), secrets)
    assert isinstance(answer, ipc.Rejected)
    assert ("ROOTCA" if broken == "no roots" else "default") in answer.reason
    assert "SECRET" not in answer.reason


# To hosts.


def over(tls: UpstreamTls, port: int, **fields: Any) -> ProxyConfig:
    """One HTTP listener whose cluster is spoken to with TLS."""
    return ProxyConfig((http_listener(host(route())),), clusters=(cluster("backend", port, tls=tls, **fields),))


def mirror_of(proxy: Proxy, servers: Servers) -> int:
    """A second hop within the same worker: mutual TLS, then a server that answers with what it got; its port."""
    _, port = servers.http(lambda request: answer(request.body))
    chain = FilterChain(manager((host(route("/", "app")),)), tls=MUTUAL)
    front = Listener("second", ANY_PORT, (chain,))
    proxy.run(ProxyConfig((front,), clusters=(cluster("app", port),)), *SECRETS)
    second = proxy.port
    clusters = (cluster("app", port), cluster("backend", second, tls=CLIENT))
    proxy.run(ProxyConfig((http_listener(host(route()), name="a"), front), clusters=clusters), *SECRETS)
    return proxy.port


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 300_000, 5_000_000])
def test_bodies_of_any_size_pass_two_proxies(proxy: Proxy, servers: Servers, size: int) -> None:
    mirror_of(proxy, servers)
    body = bytes(range(256)) * (size // 256 + 1)
    with proxy.client() as client:
        for _ in range(2):
            assert client.get(method="PUT", body=body[:size]).body == body[:size]


def test_a_slow_reader_of_much_is_served_whole(proxy: Proxy, servers: Servers) -> None:
    _, port = servers.http(lambda request: answer(b"x" * 9_000_000))
    proxy.run(encrypted(DownstreamTls(SERVER), port), *SECRETS)
    before = proxy.worker.memory_kib()
    with TlsClient(proxy.port, AUTHORITY.client()) as client:
        client.ask()
        for _ in range(200):
            proxy.worker.stats()
        assert len(client.reply().body) == 9_000_000
    assert proxy.worker.memory_kib(peak=True) - before < 6_000


def test_connections_with_tls_are_kept_and_closed_when_the_way_changes(proxy: Proxy, servers: Servers) -> None:
    context = AUTHORITY.server(AUTHORITY.certificate(STORE), mutual=True)
    server = servers.manual()
    proxy.run(over(CLIENT, server.port), *SECRETS)
    client = proxy.client()
    client.ask()
    with Wire(context.wrap_socket(server.accept().sock, server_side=True)) as peer:
        for _ in range(2):
            assert peer.head()
            peer.send(answer())
            assert client.reply().status == 200
            client.ask()
        assert peer.head()
        peer.send(answer())
        assert client.reply().status == 200
        proxy.run(over(UpstreamTls(CommonTls((OURS,), named(STORE))), server.port), *SECRETS)
        assert peer.ended()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("changes", "resumed"),
    [({}, [False, True, True]), ({"max_session_keys": 0}, [False, False, False])],
    ids=["kept", "not kept"],
)
def test_the_next_connection_takes_the_session_up_again(
    proxy: Proxy, servers: Servers, version: ssl.TLSVersion, changes: dict[str, Any], resumed: list[bool]
) -> None:
    context = AUTHORITY.server(AUTHORITY.certificate(STORE), mutual=True)
    context.maximum_version = version
    found: list[tuple[bool | None, bool]] = []

    def serve(wire: Wire, _number: int) -> None:
        sock = context.wrap_socket(wire.sock, server_side=True)
        with Wire(sock) as secured:
            assert secured.head()
            found.append((sock.session_reused, bool(sock.getpeercert())))
            secured.send(answer(extra="connection: close\r\n"))

    tls = replace(CLIENT, common=CommonTls((OURS,), named(STORE)), **changes)
    proxy.run(over(tls, servers.script(serve).port), *SECRETS)
    with proxy.client() as client:
        for _ in resumed:
            assert client.get().status == 200
    assert found == [(again, True) for again in resumed]


def test_a_session_is_not_taken_up_by_another_identity(proxy: Proxy, servers: Servers) -> None:
    context = AUTHORITY.server(AUTHORITY.certificate(STORE), mutual=True)
    found: list[bool | None] = []

    def serve(wire: Wire, _number: int) -> None:
        sock = context.wrap_socket(wire.sock, server_side=True)
        with Wire(sock) as secured:
            assert secured.head()
            found.append(sock.session_reused)
            secured.send(answer(extra="connection: close\r\n"))

    config = over(CLIENT, servers.script(serve).port)
    for certificate in (CERTIFICATE, AUTHORITY.certificate("spiffe://cluster.local/ns/default/sa/other")):
        proxy.run(config, certificate, AUTHORITY.roots())
        with proxy.client() as client:
            assert [client.get().status for _ in range(2)] == [200, 200]
    assert found == [False, True, False, True]


@pytest.mark.parametrize(
    ("certificate", "tls", "status"),
    [
        (AUTHORITY.certificate(STORE), UpstreamTls(CommonTls(validation=named(STORE))), 200),
        (AUTHORITY.certificate(STORE), UpstreamTls(CommonTls()), 200),
        (AUTHORITY.certificate("store.example"), UpstreamTls(CommonTls(validation=named("store.example"))), 200),
        (AUTHORITY.certificate(STORE), UpstreamTls(CommonTls(validation=named("spiffe://other"))), 503),
        (STRANGERS.certificate(STORE), UpstreamTls(CommonTls(validation=named(STORE))), 503),
        (AUTHORITY.certificate(STORE, days=-1), UpstreamTls(CommonTls(validation=CertificateValidation(ROOTS))), 503),
        (None, UpstreamTls(CommonTls()), 503),
    ],
    ids=["named", "whoever", "DNS", "another name", "strangers", "expired", "plaintext"],
)
def test_hosts_are_who_they_must_be(
    proxy: Proxy, servers: Servers, certificate: Any, tls: UpstreamTls, status: int
) -> None:
    def serve(wire: Wire, _number: int) -> None:
        if certificate is None:
            wire.send(answer())
            return
        with Wire(AUTHORITY.server(certificate).wrap_socket(wire.sock, server_side=True)) as secured:
            if secured.head():
                secured.send(answer())

    proxy.run(over(tls, servers.script(serve).port), *SECRETS)
    reply = proxy.client().get()
    assert reply.status == status
    if status == 503:
        assert b"upstream connect error" in reply.body


def test_a_host_is_asked_by_the_name_of_the_cluster(proxy: Proxy, servers: Servers) -> None:
    names: list[str | None] = []
    context = AUTHORITY.server(AUTHORITY.certificate(STORE), "istio", "h2")
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    protocols: list[str | None] = []

    def serve(wire: Wire, _number: int) -> None:
        sock = context.wrap_socket(wire.sock, server_side=True)
        protocols.append(sock.selected_alpn_protocol())
        with Wire(sock) as secured:
            assert secured.head()
            secured.send(answer())

    tls = UpstreamTls(
        CommonTls(alpn=("istio-peer-exchange", "istio")), sni="outbound_.80_._.store.default.svc.cluster.local"
    )
    proxy.run(over(tls, servers.script(serve).port))
    assert proxy.client().get().status == 200
    assert (names, protocols) == (["outbound_.80_._.store.default.svc.cluster.local"], ["istio"])


# Looked into.


def inspected(*chains: FilterChain, clusters: tuple[Cluster, ...], **fields: Any) -> ProxyConfig:
    settings = {"listener_filters": (ListenerFilter.TLS_INSPECTOR, ListenerFilter.HTTP_INSPECTOR)} | fields
    return ProxyConfig((Listener("l", ANY_PORT, chains, **settings),), clusters=clusters)


def test_tls_is_passed_through_by_its_name(proxy: Proxy, servers: Servers) -> None:
    """Byte for byte: the certificate that the client sees is the server's own."""
    shown = {name: AUTHORITY.certificate(f"{name}.example") for name in ("a", "b")}

    def server(name: str) -> int:
        def serve(wire: Wire, _number: int) -> None:
            with Wire(AUTHORITY.server(shown[name]).wrap_socket(wire.sock, server_side=True)) as secured:
                assert secured.head()
                secured.send(answer(name.encode()))

        return servers.script(serve).port

    clusters = tuple(cluster(name, server(name)) for name in ("a", "b"))
    chains = (
        FilterChain(TcpProxy("a", "a"), match=FilterChainMatch(server_names=("a.example",), transport_protocol="tls")),
        FilterChain(TcpProxy("b", "b"), match=FilterChainMatch(server_names=("*.example",), transport_protocol="tls")),
    )
    proxy.run(inspected(*chains, clusters=clusters))
    for asked, expected in (("a.example", b"a"), ("other.example", b"b"), ("A.EXAMPLE", b"a")):
        with TlsClient(proxy.port, AUTHORITY.client(), asked) as client:
            assert client.get().body == expected
    with pytest.raises(OSError), TlsClient(proxy.port, AUTHORITY.client(), "elsewhere"):
        pass


@pytest.fixture
def permissive(proxy: Proxy, servers: Servers) -> Proxy:
    """Mutual TLS, HTTP and other bytes on one port."""
    _, web = servers.http()
    echo = servers.script(lambda wire, _: wire.send(b"echo " + wire.until(b"\n")))
    chains = (
        FilterChain(manager((host(route("/", "web")),)), match=FilterChainMatch(transport_protocol="tls"), tls=MUTUAL),
        FilterChain(
            manager((host(route("/", "web")),)),
            match=FilterChainMatch(transport_protocol="raw_buffer", application_protocols=("http/1.1", "h2c")),
        ),
        FilterChain(TcpProxy("t", "echo"), match=FilterChainMatch(transport_protocol="raw_buffer")),
    )
    proxy.run(inspected(*chains, clusters=(cluster("web", web), cluster("echo", echo.port))), *SECRETS)
    return proxy


def test_one_port_takes_tls_and_plaintext(permissive: Proxy) -> None:
    assert permissive.client().get().status == 200
    with TlsClient(permissive.port, AUTHORITY.client(AUTHORITY.certificate(STORE))) as client:
        assert client.get().status == 200
    with permissive.client() as other:
        other.send(b"hello there\n")
        assert other.until(b"\n") == b"echo hello there\n"


def test_a_hello_in_pieces_is_waited_for(permissive: Proxy) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = AUTHORITY.client(AUTHORITY.certificate(STORE)).wrap_bio(incoming, outgoing)
    with permissive.client() as client:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            client.send(bytes((byte,)))
            permissive.worker.stats()
        assert client.exactly(1) == b"\x16"  # the server's hello


def test_a_client_that_ends_before_it_is_clear_what_it_speaks_speaks_bytes(permissive: Proxy) -> None:
    with permissive.client() as client:
        client.send(b"GET")
        client.end()
        assert client.rest() == b"echo "


def test_who_does_not_speak_in_time_is_taken_as_plaintext_or_closed(proxy: Proxy, servers: Servers) -> None:
    greeting = servers.script(lambda wire, _: wire.send(b"hello\n"))
    chain = FilterChain(TcpProxy("t", "greeting"))
    for goes_on in (True, False):
        config = inspected(
            chain,
            clusters=(cluster("greeting", greeting.port),),
            listener_filters_timeout=0.05,
            continue_on_listener_filters_timeout=goes_on,
        )
        proxy.run(config)
        assert proxy.client().rest() == (b"hello\n" if goes_on else b"")


def test_connections_in_their_handshake_end_with_the_drain(proxy: Proxy, servers: Servers) -> None:
    from mesh_proxy import ipc

    _, port = servers.http()
    proxy.run(encrypted(MUTUAL, port), *SECRETS)
    with proxy.client() as client:
        proxy.until(lambda stats: stats.gauges["server.total_connections"] == 1)
        proxy.worker.send(ipc.Drain(LIMIT))
        assert client.rest() == b""
        assert isinstance(proxy.worker.receive(), ipc.Drained)


def test_bytes_are_relayed_over_tls_and_ends_are_told(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    chain = FilterChain(TcpProxy("t", "backend"), tls=DownstreamTls(SERVER))
    proxy.run(ProxyConfig((Listener("l", ANY_PORT, (chain,)),), clusters=(cluster("backend", server.port),)), *SECRETS)
    with TlsClient(proxy.port, AUTHORITY.client()) as client, server.accept() as peer:
        client.send(b"ping")
        assert peer.exactly(4) == b"ping"
        peer.send(b"pong" * 100_000)
        assert client.exactly(400_000) == b"pong" * 100_000
        peer.end()
        assert client.rest() == b""
        client.send(b"more")  # half-closed
        assert peer.exactly(4) == b"more"


def test_what_a_client_goes_on_to_send_when_the_other_side_has_ended_is_not_lost(
    proxy: Proxy, servers: Servers
) -> None:
    server = servers.manual()
    chain = FilterChain(TcpProxy("t", "backend"), tls=DownstreamTls(SERVER))
    proxy.run(ProxyConfig((Listener("l", ANY_PORT, (chain,)),), clusters=(cluster("backend", server.port),)), *SECRETS)
    pieces = [bytes([number]) * 10_000 for number in range(200)]
    for _ in range(5):
        with TlsClient(proxy.port, AUTHORITY.client()) as client, server.accept() as peer:
            sending = threading.Thread(target=lambda client=client: [client.send(piece) for piece in pieces])
            sending.start()
            assert peer.exactly(10_000) == pieces[0]
            peer.end()
            assert peer.exactly(199 * 10_000) == b"".join(pieces[1:])
            sending.join()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_ends_with_the_certificate_of_its_client(
    proxy: Proxy, servers: Servers, version: ssl.TLSVersion
) -> None:
    """Where sessions are taken up again nobody shows a certificate, and it may have expired meanwhile."""
    _, port = servers.http()
    proxy.run(encrypted(MUTUAL, port), *SECRETS)
    until = time.time() + 4
    context = AUTHORITY.client(AUTHORITY.certificate(STORE, days=4 / 86400))
    context.minimum_version = context.maximum_version = version

    def again(session: ssl.SSLSession | None) -> tuple[int, bool | None, ssl.SSLSession | None]:
        with TlsClient(proxy.port, context, session=session) as client:
            return client.get().status, client.secured.session_reused, client.secured.session

    status, reused, session = again(None)
    assert (status, reused) == (200, False)
    assert again(session)[:2] == (200, True)
    while time.time() < until + 1:
        time.sleep(0.1)  # nobody tells when a certificate has expired
    with pytest.raises((OSError, AssertionError)):
        again(session)

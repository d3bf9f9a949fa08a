"""Where secrets come from, and that the last good one of each stays."""

import logging
import os
from pathlib import Path

import pytest

from mesh_api.config import (
    Cluster,
    ClusterType,
    CommonTls,
    DownstreamTls,
    FilterChain,
    Listener,
    ProxyConfig,
    RawBuffer,
    SecretSource,
    SocketAddress,
    TcpProxy,
    TlsCertificate,
    TransportSocketMatch,
    TrustedRoots,
    UpstreamProxyProtocol,
    UpstreamTls,
)
from mesh_api.config.proxy_config import secret_sources
from mesh_api.config.tls import CertificateValidation
from mesh_proxy.bootstrap import Identity
from mesh_proxy.supervisor.secrets import SecretKeeper
from tests.support.authority import Authority

AUTHORITY = Authority()
FIRST, SECOND = (AUTHORITY.certificate("spiffe://a/ns/b/sa/c") for _ in range(2))
AGENT = "sds-grpc"


def config(*names: str, source: str = AGENT, roots: str = "") -> ProxyConfig:
    """A listener that shows certificates of these names."""
    validation = CertificateValidation(SecretSource(roots, source)) if roots else None
    tls = DownstreamTls(CommonTls(tuple(SecretSource(name, source) for name in names), validation))
    return ProxyConfig((Listener("l", SocketAddress("127.0.0.1", 1), (FilterChain(TcpProxy("t", "c"), tls=tls),)),))


def put(path: Path, content: bytes) -> None:
    """In one step, as whoever renews it does."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.replace(path)


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path, tmp_path / "token", tmp_path / "join-roots.pem", "istiod")


def test_every_place_of_a_configuration_is_looked_at() -> None:
    def to(name: str) -> UpstreamTls:
        return UpstreamTls(CommonTls((SecretSource(name),)))

    clusters = (
        Cluster("a", ClusterType.STATIC, tls=to("cluster")),
        Cluster("b", ClusterType.STATIC, tls=UpstreamProxyProtocol(socket=to("behind a header"))),
        Cluster("c", ClusterType.STATIC, tls_matches=(TransportSocketMatch("m", (), to("match")),), tls=RawBuffer()),
        Cluster("d", ClusterType.STATIC, tls=UpstreamProxyProtocol()),
    )
    found = ProxyConfig(config("chain", roots="roots").listeners, clusters=clusters)
    assert [source.name for source in secret_sources(found)] == [
        "behind a header",
        "chain",
        "cluster",
        "match",
        "roots",
    ]


def test_the_identity_is_read_from_its_files_and_again_when_they_change(identity: Identity) -> None:
    keeper = SecretKeeper(identity=identity)
    wanted = config("default", roots="ROOTCA")
    assert keeper.of(wanted, {}) == ()
    assert not keeper.stale
    put(identity.pair, FIRST.key + FIRST.chain)
    put(identity.roots, AUTHORITY.pem)
    assert keeper.stale
    assert keeper.of(wanted, {}) == (AUTHORITY.roots(), FIRST)
    assert not keeper.stale
    put(identity.pair, SECOND.key + SECOND.chain)
    assert keeper.stale
    assert keeper.of(wanted, {}) == (AUTHORITY.roots(), SECOND)


def test_files_by_name(tmp_path: Path) -> None:
    chain, key, roots = (tmp_path / name for name in ("chain", "key", "roots"))
    names = f"file-cert:{chain}~{key}", f"file-root:{roots}"
    for path, content in ((chain, FIRST.chain), (key, FIRST.key), (roots, AUTHORITY.pem)):
        put(path, content)
    found = SecretKeeper().of(config(names[0], roots=names[1]), {})
    assert found == (TlsCertificate(names[0], FIRST.chain, FIRST.key), TrustedRoots(names[1], AUTHORITY.pem))


def test_what_is_broken_leaves_the_one_before(identity: Identity, caplog: pytest.LogCaptureFixture) -> None:
    keeper, wanted = SecretKeeper(identity=identity), config("default")
    put(identity.pair, FIRST.key + FIRST.chain)
    assert keeper.of(wanted, {}) == (FIRST,)
    for broken in (FIRST.key + SECOND.chain, b"nothing", b""):
        put(identity.pair, broken)
        assert keeper.of(wanted, {}) == (FIRST,)
        assert not keeper.stale  # told once
    identity.pair.unlink()
    assert keeper.of(wanted, {}) == (FIRST,)
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 3
    assert "the secret default is no certificate with its key" in told[0].message
    assert "PRIVATE KEY" not in caplog.text
    put(identity.pair, SECOND.key + SECOND.chain)
    assert keeper.of(wanted, {}) == (SECOND,)


def test_sources_are_told_apart() -> None:
    own, streamed = AUTHORITY.certificate("a", secret="a"), AUTHORITY.certificate("b", secret="a")
    keeper = SecretKeeper([own])
    listener = config("a", source="").listeners
    assert keeper.of(ProxyConfig(listener), {"a": streamed}) == (streamed,)
    assert keeper.of(ProxyConfig(listener), {}) == ()
    static = DownstreamTls(CommonTls((SecretSource("a", static=True),)))
    chain = FilterChain(TcpProxy("t", "c"), tls=static)
    assert keeper.of(ProxyConfig((Listener("l", SocketAddress("127.0.0.1", 1), (chain,)),)), {"a": streamed}) == (own,)


def test_what_is_missing_is_told_once_until_it_has_come(caplog: pytest.LogCaptureFixture) -> None:
    keeper, wanted = SecretKeeper(), config("web", source="")
    caplog.set_level(logging.WARNING)
    for streamed in ({}, {}, {"web": FIRST}, {}):
        keeper.of(wanted, streamed)
    assert [record.message for record in caplog.records] == [
        "the secret web is not there yet: connections that need it are refused"
    ] * 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "roots"
    file.touch(mode=0)
    assert SecretKeeper().of(config(roots=f"file-root:{file}"), {}) == ()
    assert "Permission denied" in caplog.text


def test_whom_the_machine_trusts() -> None:
    (roots,) = SecretKeeper().of(config(roots="file-root:system"), {}) or (None,)
    if roots is None:
        pytest.skip("this machine has no roots")
    assert isinstance(roots, TrustedRoots)
    assert roots.roots.count(b"BEGIN CERTIFICATE") > 1

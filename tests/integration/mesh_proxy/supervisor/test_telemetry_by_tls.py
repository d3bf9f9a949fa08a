"""Services of telemetry that want TLS: real servers of gRPC and HTTP, with the mesh's certificates and with others."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from mesh_api.config import (
    CertificateValidation,
    CommonTls,
    HttpService,
    OpenTelemetryAccessLog,
    OpenTelemetryTracer,
    ProxyConfig,
    SecretSource,
    StringMatch,
    StringMatchKind,
    Tracing,
    TransportSocketMatch,
    UpstreamTls,
    ZipkinTracer,
)
from mesh_api.config.remote_services import GrpcService
from mesh_api.xds.session import Synced
from tests.integration.mesh_proxy.supervisor.test_telemetry import answering, get
from tests.support.authority import Authority
from tests.support.otlp_collector import Collector

pytestmark = pytest.mark.integration

OURS, THEIRS = "spiffe://cluster.local/ns/shop/sa/order", "spiffe://cluster.local/ns/telemetry/sa/collector"
SNI = "outbound_.4317_._.otlp.telemetry.svc.cluster.local"
GRPC_TRACER = Tracing(tracer=OpenTelemetryTracer(grpc=GrpcService("collector"), service_name="order.shop"))
HTTP_TRACER = Tracing(tracer=OpenTelemetryTracer(http=HttpService("http://otlp.example/v1/traces", "collector")))
ZIPKIN = Tracing(tracer=ZipkinTracer(HttpService("http://zipkin.example/api/v2/spans", "collector")))
LOG = OpenTelemetryAccessLog("the log", "collector", "otlp.example", attributes=(("path", "%REQ(:PATH)%"),))


class Files:
    """Secrets of the mesh's authority and of another one, where the proxy finds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mesh, self.public = Authority("mesh"), Authority("public")
        self.replace(self.mesh)
        (folder / "public.pem").write_bytes(self.public.pem)

    def replace(self, authority: Authority) -> None:
        own = authority.certificate(OURS)
        for name, content in (("mesh.pem", authority.pem), ("chain.pem", own.chain), ("key.pem", own.key)):
            (self.folder / f"{name}.new").write_bytes(content)
            os.replace(self.folder / f"{name}.new", self.folder / name)

    def mutual(self, *names: str, h2: bool) -> UpstreamTls:
        """As a control plane sends it for ISTIO_MUTUAL, but for where the secrets are."""
        validation = CertificateValidation(
            self.roots("mesh.pem"), subject_alt_names=tuple(map(exact, names or (THEIRS,)))
        )
        own = SecretSource(f"file-cert:{self.folder}/chain.pem~{self.folder}/key.pem", "sds-grpc")
        alpn = ("istio-peer-exchange", "istio", *(["h2"] if h2 else []))
        return UpstreamTls(CommonTls((own,), validation, alpn), SNI)

    def simple(self, *names: str, sni: str = "", h2: bool) -> UpstreamTls:
        """As a control plane sends it for SIMPLE."""
        validation = CertificateValidation(self.roots("public.pem"), subject_alt_names=tuple(map(exact, names)))
        return UpstreamTls(CommonTls((), validation, ("h2",) if h2 else ()), sni)

    def roots(self, name: str) -> SecretSource:
        return SecretSource(f"file-root:{self.folder}/{name}", "sds-grpc")


def exact(name: str) -> StringMatch:
    return StringMatch(StringMatchKind.EXACT, name)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest_asyncio.fixture
async def collectors() -> AsyncIterator[list[Collector]]:
    made: list[Collector] = []
    yield made
    for one in made:
        await one.stop()


async def started(made: list[Collector], authority: Authority, *names: str, mutual: bool = False) -> Collector:
    collector = Collector(authority, *names, mutual=mutual)
    await collector.start()
    made.append(collector)
    return collector


def by_tls(config: ProxyConfig, tls: UpstreamTls, **http: Any) -> ProxyConfig:
    (known,) = config.clusters
    return replace(config, clusters=(replace(known, tls=tls, http=replace(known.http, **http)),))


def by_labels(config: ProxyConfig, tls: UpstreamTls) -> ProxyConfig:
    """As istiod has it for hosts that take mutual TLS, where others may not."""
    (known,) = config.clusters
    assert known.load_assignment is not None
    (locality,) = known.load_assignment.localities
    hosts = tuple(replace(host, tls_mode="istio") for host in locality.endpoints)
    assignment = replace(known.load_assignment, localities=(replace(locality, endpoints=hosts),))
    match = TransportSocketMatch("tlsMode-istio", (("tlsMode", "istio"),), tls)
    return replace(config, clusters=(replace(known, load_assignment=assignment, tls_matches=(match,)),))


@pytest.fixture
def serve(control_plane: Any, start_proxy: Any, bootstrap_of: Any) -> Any:
    """A proxy with that configuration in force."""

    async def made(config: ProxyConfig) -> Any:
        control_plane.push(config)
        proxy = await start_proxy(bootstrap_of(control_plane.port), real=True)
        await control_plane.event(Synced)
        return proxy

    return made


async def test_by_grpc_with_the_certificates_of_the_mesh(
    serve: Any, files: Files, collectors: list[Collector], unused_tcp_port: int
) -> None:
    collector = await started(collectors, files.mesh, THEIRS, mutual=True)
    config = answering(unused_tcp_port, collector.port, access_logs=(LOG,), tracing=GRPC_TRACER)
    await serve(by_labels(config, files.mutual(h2=True)))
    for number in range(3):
        assert await get(unused_tcp_port, f"/{number}") == 200
    spans = await collector.until(lambda: len(collector.spans()) == 3 and collector.spans())
    assert {labels["service.name"] for labels, _ in spans} == {"order.shop"}
    logs = await collector.until(lambda: len(collector.logs()) == 3 and collector.logs())
    assert {record.attributes[0].value.string_value for _, record in logs} == {"/0", "/1", "/2"}
    assert set(collector.clients) == {OURS}


@pytest.mark.parametrize("tracing", [HTTP_TRACER, ZIPKIN], ids=["otlp", "zipkin"])
async def test_by_http_with_the_certificates_of_the_mesh(
    serve: Any, files: Files, collectors: list[Collector], unused_tcp_port: int, tracing: Tracing
) -> None:
    collector = await started(collectors, files.mesh, THEIRS, mutual=True)
    await serve(by_labels(answering(unused_tcp_port, collector.http_port, tracing=tracing), files.mutual(h2=False)))
    assert await get(unused_tcp_port, "/1") == 200
    ((path, headers, body), *_) = await collector.until(lambda: collector.posted)
    assert path in ("/v1/traces", "/api/v2/spans")
    assert headers["Host"] in ("otlp.example", "zipkin.example")
    assert body
    assert collector.names == [SNI]


@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
async def test_by_tls_of_the_service_alone_with_the_name_of_the_request(
    serve: Any, files: Files, collectors: list[Collector], unused_tcp_port: int, http: bool
) -> None:
    collector = await started(collectors, files.public, "otlp.example")
    port, tracing = (collector.http_port, HTTP_TRACER) if http else (collector.port, None)
    log = () if http else (LOG,)
    fields = {"tracing": tracing} if tracing is not None else {"access_logs": log}
    config = answering(unused_tcp_port, port, **fields)
    await serve(by_tls(config, files.simple(h2=not http), auto_sni=True, auto_san_validation=True))
    assert await get(unused_tcp_port, "/1") == 200
    await collector.until(lambda: collector.posted if http else collector.logs())
    if http:
        assert collector.names == ["otlp.example"]


@pytest.mark.parametrize(
    ("of_mesh", "names", "told"),
    [
        (True, ("spiffe://cluster.local/ns/other/sa/any",), "SAN_matcher,_certificate_SANs_are_"),
        (False, (THEIRS,), "CERTIFICATE_VERIFY_FAILED"),
    ],
)
@pytest.mark.parametrize("http", [False, True], ids=["grpc", "http"])
async def test_nothing_is_told_to_somebody_else(
    serve: Any,
    files: Files,
    collectors: list[Collector],
    unused_tcp_port: int,
    of_mesh: bool,
    names: tuple[str, ...],
    told: str,
    http: bool,
) -> None:
    collector = await started(collectors, files.mesh if of_mesh else files.public, THEIRS)
    port, tracing = (collector.http_port, HTTP_TRACER) if http else (collector.port, GRPC_TRACER)
    config = answering(unused_tcp_port, port, tracing=tracing)
    proxy = await serve(by_labels(config, files.mutual(*names, h2=not http)))
    assert await get(unused_tcp_port, "/1") == 200
    assert told in await proxy.logged("telemetry cannot be sent")
    assert not collector.requests
    assert not collector.posted


async def test_secrets_that_change_count_for_the_next_connection(
    serve: Any, files: Files, collectors: list[Collector], unused_tcp_port: int
) -> None:
    """The roots change, and with them the collector: it is told again, without a new configuration."""
    collector = await started(collectors, files.mesh, THEIRS, mutual=True)
    config = answering(unused_tcp_port, collector.port, tracing=GRPC_TRACER)
    await serve(by_labels(config, files.mutual(h2=True)))
    assert await get(unused_tcp_port, "/1") == 200
    await collector.until(collector.spans)
    port = collector.port
    await collector.stop()
    collectors.remove(collector)
    fresh = Authority("next")
    files.replace(fresh)
    collector = Collector(fresh, THEIRS, mutual=True, port=port)
    await collector.start()
    collectors.append(collector)
    async with asyncio.timeout(60):
        while not collector.spans():
            assert await get(unused_tcp_port, "/2") == 200
            await asyncio.sleep(0.2)
    assert set(collector.clients) == {OURS}


async def test_a_secret_that_is_not_there_is_told(
    serve: Any, files: Files, collectors: list[Collector], unused_tcp_port: int
) -> None:
    collector = await started(collectors, files.mesh, THEIRS, mutual=True)
    (files.folder / "chain.pem").unlink()
    config = answering(unused_tcp_port, collector.port, tracing=GRPC_TRACER)
    proxy = await serve(by_labels(config, files.mutual(h2=True)))
    assert await get(unused_tcp_port, "/1") == 200
    assert "Secret_is_not_supplied_by_SDS" in await proxy.logged("telemetry cannot be sent")

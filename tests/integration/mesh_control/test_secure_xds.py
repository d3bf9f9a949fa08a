"""xDS on the authority's port: real gRPC and a real Envoy over real mutual TLS, where a proxy must prove who it is."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from mesh_api.identity import SpiffeId
from mesh_api.node import Node
from mesh_api.xds import grpc as wire
from mesh_api.xds.session import AdsClient, Request, Response
from mesh_api.xds.type_urls import CLUSTER, LISTENER, ROUTE
from mesh_control.ca import certificates, pem
from mesh_proxy.bootstrap import ControlPlane as ControlPlaneAddress
from mesh_proxy.bootstrap import ControlTls
from mesh_proxy.supervisor.ads import AdsStream
from tests.integration.mesh_control import programs
from tests.integration.mesh_control.harness import LIMIT, STORE, ControlPlane, Peer
from tests.support import secret_server
from tests.support.certificate_client import ISTIOD, Workload, key_pem
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

IDENTITY = "spiffe://cluster.local/ns/default/sa/store"
NODE = replace(STORE, metadata={**STORE.metadata, "SERVICE_ACCOUNT": "store"})
TIMEOUT = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order, namespace: default}
spec:
  hosts: [order]
  http: [{timeout: 7s, route: [{destination: {host: order}}]}]
"""
Code = grpc.StatusCode


def started(folder: Path, token: str | None) -> ControlPlane:
    folder.mkdir(exist_ok=True)
    plane = ControlPlane(folder, token=token)
    settings = yaml.safe_load(plane.config.read_text())
    plane.config.write_text(yaml.safe_dump({**settings, "ca": {"address": f"127.0.0.1:{free_port()}"}}))
    plane.start()
    return plane


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    found = started(tmp_path, None)  # so that anyone on loopback may join at the port without TLS
    yield found
    if found.process is not None:
        found.kill()


async def workload(plane: ControlPlane, identity: str = IDENTITY) -> Workload:
    """Without a certificate yet."""
    port = int(yaml.safe_load(plane.config.read_text())["ca"]["address"].rpartition(":")[2])
    return Workload(identity, await plane.client.trust_bundle(), port)


async def token(plane: ControlPlane, pattern: str = "default/store") -> str:
    return str((await plane.client.create_token(pattern, 600.0, 1))["token"])


async def joined(plane: ControlPlane) -> Workload:
    made = await workload(plane)
    await made.join(await token(plane))
    return made


@contextlib.asynccontextmanager
async def streaming(made: Workload, node: Node, *, shown: bool = True, bearer: str = "") -> AsyncIterator[Peer]:
    """A proxy with everything that it asked for."""
    peer = Peer(node)
    task = asyncio.create_task(run(peer, made, shown=shown, bearer=bearer))
    waiting = asyncio.create_task(peer.until(lambda: bool(peer.names(LISTENER) and peer.names(ROUTE))))
    try:
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield peer
        assert not task.done()
    finally:
        for each in (task, waiting):
            each.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)


async def run(peer: Peer, made: Workload, *, shown: bool, bearer: str) -> None:
    metadata = (("authorization", f"Bearer {bearer}"),) if bearer else ()
    async with made.connected(shown=shown) as channel, asyncio.timeout(LIMIT):
        await peer.run_on(channel, metadata)


async def refusal(made: Workload, node: Node, *, shown: bool = True, bearer: str = "") -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await run(Peer(node), made, shown=shown, bearer=bearer)
    return caught.value


async def test_a_certificate_lets_in_for_what_it_says(plane: ControlPlane) -> None:
    made = await joined(plane)
    for node in (NODE, STORE):
        async with streaming(made, node):
            assert "store.default" in (await plane.client.status())["proxies"]
    for node in (
        Node("sidecar~127.0.0.13~store.other~other.svc.cluster.local"),
        replace(STORE, metadata={"SERVICE_ACCOUNT": "order"}),
    ):
        refused = await refusal(made, node)
        assert (refused.code(), IDENTITY in str(refused.details())) == (Code.PERMISSION_DENIED, True)


async def test_who_proves_nothing_is_not_served(plane: ControlPlane) -> None:
    made = await workload(plane)
    for bearer in ("", "anything", "mwjt.0123456789ab." + "a" * 43):
        assert (await refusal(made, NODE, shown=False, bearer=bearer)).code() is Code.UNAUTHENTICATED
    assert (await plane.client.status())["proxies"] == {}


async def test_a_join_token_is_a_proof_until_it_is_used_up(plane: ControlPlane) -> None:
    made, text = await workload(plane), await token(plane)
    async with streaming(made, NODE, shown=False, bearer=text):
        pass
    denied = await refusal(made, replace(NODE, metadata={"SERVICE_ACCOUNT": "order"}), shown=False, bearer=text)
    assert denied.code() is Code.PERMISSION_DENIED
    await made.join(text)
    assert (await refusal(made, NODE, shown=False, bearer=text)).code() is Code.UNAUTHENTICATED
    async with streaming(made, NODE, bearer=text):  # the certificate is what counts
        pass


async def test_the_token_that_proxies_share_is_a_proof_too(tmp_path: Path) -> None:
    plane = started(tmp_path / "shared", "a-join-token-of-some-length")
    try:
        made = await workload(plane)
        async with streaming(made, NODE, shown=False, bearer="a-join-token-of-some-length"):
            pass
        other = await refusal(made, NODE, shown=False, bearer="a-join-token-of-some-lengtH")
        assert other.code() is Code.UNAUTHENTICATED
    finally:
        plane.kill()


async def test_a_certificate_of_an_unknown_root_opens_no_stream(plane: ControlPlane) -> None:
    made = await workload(plane)
    impostor = certificates.make_root("cluster.local", pem.new_key(), time.time())
    forged = certificates.sign_workload(impostor, made.key.public_key(), SpiffeId.parse(IDENTITY), time.time(), 600)
    made.chain = (pem.write_certificates([*forged, *impostor.roots]),)
    assert (await refusal(made, NODE)).code() is Code.UNAVAILABLE


async def test_a_certificate_that_was_revoked_opens_no_stream(plane: ControlPlane) -> None:
    made, text = await workload(plane), await token(plane)
    await made.join(text)
    await plane.client.revoke_token(text.split(".")[1], renewals=True)
    assert (await refusal(made, NODE)).code() is Code.UNAUTHENTICATED


async def test_a_new_root_ends_no_stream(plane: ControlPlane) -> None:
    made = await joined(plane)
    async with streaming(made, NODE) as peer:
        await plane.client.rotate_authority()
        before = dict(peer.session.accepted(ROUTE).resources)
        await plane.client.apply("demo", TIMEOUT, LIMIT)
        await peer.until(lambda: dict(peer.session.accepted(ROUTE).resources) != before)
        async with streaming(made, NODE):  # a certificate below the root of before is still trusted
            pass


class Heard:
    """What our own proxy's stream is told."""

    def __init__(self) -> None:
        self.session = AdsClient(NODE)
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def on_connect(self) -> Iterable[Request]:
        return self.session.start()

    def on_response(self, response: Response) -> Iterable[Request]:
        self.said.put_nowait(response.type_url)
        return ()

    def on_disconnect(self, reason: str) -> None:
        self.said.put_nowait(reason)


async def first_heard(made: Workload, tls: ControlTls, token_file: Path | None = None) -> str:
    heard = Heard()
    stream = AdsStream(ControlPlaneAddress("xds", f"127.0.0.1:{made.port}"), heard, token_file, tls=tls)
    task = asyncio.create_task(stream.run())
    try:
        return await asyncio.wait_for(heard.said.get(), LIMIT)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def private(file: Path, content: bytes) -> Path:
    file.touch(mode=0o600)
    file.write_bytes(content)
    return file


async def test_our_own_proxys_stream(plane: ControlPlane) -> None:
    made = await workload(plane)
    roots = private(plane.folder / "roots.pem", made.roots.encode())
    bearer = private(plane.folder / "bearer", (await token(plane)).encode())
    by_token = ControlTls(roots, ISTIOD)
    assert await first_heard(made, by_token, bearer) == CLUSTER
    assert "UNAUTHENTICATED" in await first_heard(made, by_token)
    assert "no connection" in await first_heard(made, ControlTls(roots, "other.example"), bearer)

    await made.join(bearer.read_text())
    key = private(plane.folder / "key.pem", key_pem(made.key))
    chain = private(plane.folder / "chain.pem", "".join(made.chain).encode())
    assert await first_heard(made, ControlTls(roots, ISTIOD, chain, key)) == CLUSTER
    key.chmod(0o644)
    assert await first_heard(made, ControlTls(roots, ISTIOD, chain, key)) == (
        f"key file {key}: everybody may read it; its mode should be 0600"
    )
    roots.write_text("")
    assert await first_heard(made, by_token, bearer) == f"file {roots}: holds no PEM"


def secure_bootstrap(
    plane: ControlPlane,
    made: Workload,
    secrets_port: int,
    node: str = NODE.id,
    metadata: Mapping[str, Any] = NODE.metadata,
) -> dict[str, Any]:
    value = programs.bootstrap(plane, node, free_port(), dict(metadata))
    del value["dynamic_resources"]["ads_config"]["grpc_services"][0]["initial_metadata"]
    (cluster,) = value["static_resources"]["clusters"]
    cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"][
        "port_value"
    ] = made.port
    names = [{"san_type": "DNS", "matcher": {"exact": ISTIOD}}]
    cluster["transport_socket"] = {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": ISTIOD,
            "common_tls_context": {
                "tls_certificates": [
                    {
                        "certificate_chain": {"inline_string": "".join(made.chain)},
                        "private_key": {"inline_string": key_pem(made.key).decode()},
                    }
                ],
                "validation_context": {
                    "trusted_ca": {"inline_string": made.roots},
                    "match_typed_subject_alt_names": names,
                },
            },
        },
    }
    value["static_resources"]["clusters"].append(secret_server.cluster(secrets_port))
    return value


@contextlib.contextmanager
def running(envoy: Path, plane: ControlPlane, made: Workload) -> Iterator[None]:
    """An Envoy, gone at the end."""
    file = plane.folder / "envoy.json"
    with secret_server.secrets(secret_server.Identity(IDENTITY)) as port, file.with_suffix(".log").open("wb") as log:
        file.write_text(json.dumps(secure_bootstrap(plane, made, port)))
        command = [str(envoy), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)


async def test_a_real_envoy_with_a_workloads_certificate(plane: ControlPlane, envoy: Path) -> None:
    made = await joined(plane)
    with running(envoy, plane, made):
        await programs.connected(plane, NODE.id)
        await plane.client.rotate_authority()
        await plane.client.apply("demo", TIMEOUT, LIMIT)  # returns when it has been taken
        assert (await plane.client.wait(LIMIT))["waiting"] == []


async def plain_refusal(plane: ControlPlane, bearer: str, first: Node, later: bytes = b"") -> grpc.aio.AioRpcError:
    """How the stream without TLS ends that says to be ``first`` and ``later`` something, and goes on writing meanwhile."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{plane.xds_port}") as channel, asyncio.timeout(LIMIT):
        call = channel.stream_stream(wire.METHOD)(metadata=(("authorization", f"Bearer {bearer}"),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await talk(call, wire.request_to_bytes(Request(CLUSTER, node=first)), later)
        return caught.value


async def talk(call: Any, first: bytes, later: bytes) -> None:
    await call.write(first)
    if later:
        await call.read()
        await call.write(later)
    with contextlib.suppress(asyncio.InvalidStateError):  # it has ended, and the reader is told how
        for _ in range(20):
            await call.write(wire.request_to_bytes(Request(LISTENER)))
    while await call.read() is not grpc.aio.EOF:
        pass


ELSEWHERE = Node("sidecar~127.0.0.13~store.other~other.svc.cluster.local")


async def test_without_tls_a_join_token_is_for_its_namespace_and_account_as_well(plane: ControlPlane) -> None:
    bearer = await token(plane)
    for node in (ELSEWHERE, replace(STORE, metadata={"SERVICE_ACCOUNT": "order"})):
        refused = await plain_refusal(plane, bearer, node)
        assert (refused.code(), IDENTITY in str(refused.details())) == (Code.PERMISSION_DENIED, True)
    assert "store.other" not in (await plane.client.status())["proxies"]


@pytest.mark.parametrize(
    ("later", "code", "text"),
    [
        (wire.request_to_bytes(Request(CLUSTER, node=ELSEWHERE)), Code.PERMISSION_DENIED, IDENTITY),
        (b"\xff\xff", Code.INVALID_ARGUMENT, "DiscoveryRequest"),
    ],
    ids=["another-node", "no-request"],
)
async def test_a_client_that_is_refused_later_hears_why_each_time(
    plane: ControlPlane, later: bytes, code: grpc.StatusCode, text: str
) -> None:
    bearer, told = await token(plane), []
    for _ in range(6):
        told += await asyncio.gather(*(plain_refusal(plane, bearer, NODE, later) for _ in range(50)))
    assert {refused.code() for refused in told} == {code}
    assert all(text in str(refused.details()) for refused in told)


async def test_a_join_token_that_is_revoked_ends_the_streams_that_it_opened(plane: ControlPlane) -> None:
    made = await workload(plane)
    order = replace(STORE, id="sidecar~127.0.0.11~order-v1.default~default.svc.cluster.local")
    bearer = await token(plane, "default/*")
    async with streaming(made, order, shown=False, bearer=await token(plane, "default/*")):
        peer = Peer(NODE)
        task = asyncio.create_task(run(peer, made, shown=False, bearer=bearer))
        await peer.until(lambda: bool(peer.names(LISTENER)))
        began = time.monotonic()
        await plane.client.revoke_token(bearer.split(".")[1], renewals=False)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await task
        assert (caught.value.code(), time.monotonic() - began < 3) == (Code.UNAUTHENTICATED, True)
        assert list((await plane.client.status())["proxies"]) == ["order-v1.default"]
    assert (await refusal(made, NODE, shown=False, bearer=bearer)).code() is Code.UNAUTHENTICATED


async def test_certificates_that_are_revoked_with_their_token_end_their_streams(plane: ControlPlane) -> None:
    made, bearer = await workload(plane), await token(plane)
    await made.join(bearer)
    await made.renew()
    peer = Peer(NODE)
    task = asyncio.create_task(run(peer, made, shown=True, bearer=""))
    await peer.until(lambda: bool(peer.names(LISTENER)))
    await plane.client.revoke_token(bearer.split(".")[1], renewals=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await task
    assert caught.value.code() is Code.UNAUTHENTICATED


async def test_a_root_that_is_trusted_no_more_ends_the_streams_of_its_certificates(plane: ControlPlane) -> None:
    made = await joined(plane)
    peer = Peer(NODE)
    task = asyncio.create_task(run(peer, made, shown=True, bearer=""))
    await peer.until(lambda: bool(peer.names(LISTENER)))
    [root] = (await plane.client.authority())["roots"]
    foreseen = await plane.client.distrust(root["name"], confirmed=False)
    assert (list(foreseen["signed"]), foreseen["done"], task.done()) == ([IDENTITY], False, False)
    await plane.client.distrust(root["name"], confirmed=True)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await task
    assert caught.value.code() is Code.UNAUTHENTICATED
    again = await joined(plane)
    async with streaming(again, NODE):
        assert "store.default" in (await plane.client.status())["proxies"]

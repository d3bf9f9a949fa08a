"""Secrets over the control plane's stream: an Envoy and our own proxy serve TLS with one, through its changes and its end."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mesh_api.xds.grpc import METHOD, request_to_bytes, response_from_bytes
from mesh_api.xds.session import Request
from mesh_api.xds.type_urls import CLUSTER, LISTENER, SECRET
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import Proxy
from tests.integration.mesh_control.test_secure_xds import IDENTITY, NODE, joined, secure_bootstrap, workload
from tests.support import secret_server
from tests.support.certificate_client import Workload
from tests.support.key_files import lay
from tests.support.ports import free_port
from tests.support.secret_server import Identity

pytestmark = pytest.mark.integration

NAME = "kubernetes://web"


def put(plane: ControlPlane, made: Identity) -> None:
    """Each file in one step, as whoever renews certificates does it."""
    folder = plane.folder / "credentials" / "default" / "web"
    lay(folder / "tls.crt", made.chain)
    lay(folder / "tls.key", made.key)


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    made = ControlPlane(tmp_path, token=None)
    settings = yaml.safe_load(made.config.read_text())
    settings |= {"ca": {"address": f"127.0.0.1:{free_port()}"}, "credentials_dir": str(tmp_path / "credentials")}
    made.config.write_text(yaml.safe_dump(settings))
    (tmp_path / "credentials").mkdir()
    made.start()
    yield made
    if made.process is not None:
        made.kill()


def listener(port: int) -> dict[str, Any]:
    """Answers any request, over TLS, with a secret from the stream of configuration."""
    source = {"ads": {}, "resource_api_version": "V3"}
    kind = "type.googleapis.com/envoy.extensions"
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    return {
        "name": "tls",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": {
                        "@type": f"{kind}.transport_sockets.tls.v3.DownstreamTlsContext",
                        "common_tls_context": {
                            "tls_certificate_sds_secret_configs": [{"name": NAME, "sds_config": source}]
                        },
                    },
                },
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": {
                            "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
                            "stat_prefix": "tls",
                            "http_filters": [
                                {
                                    "name": "envoy.filters.http.router",
                                    "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"},
                                }
                            ],
                            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
                        },
                    }
                ],
            }
        ],
    }


@contextlib.contextmanager
def serving(envoy: Path, plane: ControlPlane, made: Workload, api_type: str) -> Iterator[int]:
    """An Envoy that shows its certificate to the control plane; its port of TLS."""
    port = free_port()
    stack = contextlib.ExitStack()
    value = secure_bootstrap(plane, made, stack.enter_context(secret_server.secrets(Identity(IDENTITY))))
    value["dynamic_resources"]["ads_config"]["api_type"] = api_type
    value["static_resources"]["listeners"] = [listener(port)]
    file = plane.folder / "envoy.json"
    file.write_text(json.dumps(value))
    command = [str(envoy), "-c", str(file), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning"]
    with stack, file.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield port
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)


@contextlib.asynccontextmanager
async def served_by(program: str, envoy: Path, plane: ControlPlane) -> AsyncIterator[int]:
    """The port of TLS of an Envoy (``GRPC``, ``DELTA_GRPC``) or of our own proxy."""
    if program != "ours":
        with serving(envoy, plane, await joined(plane), program) as port:
            yield port
        return
    proxy, port = Proxy(plane, plane.folder / "proxy"), free_port()
    file = proxy.folder / "bootstrap.json"
    value = json.loads(file.read_text())
    (cluster,) = value["static_resources"]["clusters"]
    address = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]
    address["port_value"] = (await workload(plane)).port
    value["static_resources"]["listeners"] = [listener(port)]
    file.write_text(json.dumps(value))
    await proxy.invite(plane)
    with proxy.running():
        yield port


async def shown(port: int) -> bytes:
    """The certificate that is shown on a new connection. Raises :class:`OSError`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        if not (await reader.read()).startswith(b"HTTP/1.1 200 "):
            raise OSError("the connection broke")
        return bytes(certificate)
    finally:
        writer.close()


async def until_shown(port: int, wanted: Identity, *, failing: bool = False) -> None:
    """Connects again and again until a certificate is shown; no connection may fail, unless there is none before it."""
    der = x509.load_pem_x509_certificate(wanted.chain).public_bytes(Encoding.DER)
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                # What connects before Envoy's workers run is not always answered.
                if await asyncio.wait_for(shown(port), 5.0) == der:
                    return
            except OSError:
                if not failing:
                    raise
                await asyncio.sleep(0.05)  # Envoy tells nobody when it listens


async def until_problem(plane: ControlPlane, text: str) -> None:
    async with asyncio.timeout(LIMIT):
        while not any(text in problem for problem in (await plane.client.status())["problems"]):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("program", ["GRPC", "DELTA_GRPC", "ours"])
async def test_a_proxy_serves_tls(plane: ControlPlane, envoy: Path, program: str) -> None:
    first, second, third = (Identity(IDENTITY) for _ in range(3))
    async with served_by(program, envoy, plane) as port:
        await until_problem(plane, f"secret {NAME}: it is not there")
        put(plane, first)
        await until_shown(port, first, failing=True)
        put(plane, second)
        await until_shown(port, second)
        for file in (plane.folder / "credentials/default/web").iterdir():
            file.unlink()
        (plane.folder / "credentials/default/web").rmdir()
        await until_problem(plane, f"secret {NAME}: it is not there")
        await until_shown(port, second)
        put(plane, third)
        await until_shown(port, third)
    told = json.dumps(await plane.client.status()) + "".join(
        file.read_text(errors="replace") for file in (*plane.folder.glob("*.log"), *plane.folder.glob("proxy/log"))
    )
    assert "PRIVATE KEY" not in told


async def test_without_tls_there_are_none(plane: ControlPlane) -> None:
    put(plane, Identity(IDENTITY))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{plane.xds_port}") as channel:
        call = channel.stream_stream(METHOD)()
        for type_url, names in ((CLUSTER, ()), (SECRET, (NAME,))):
            await call.write(request_to_bytes(Request(type_url, resource_names=names, node=NODE)))
        await until_problem(plane, f"secret {NAME}: the proxy has not proven who it is")
        await call.write(request_to_bytes(Request(LISTENER)))
        async with asyncio.timeout(LIMIT):
            while (response := response_from_bytes(await call.read())).type_url != LISTENER:
                assert response.type_url != SECRET
        call.cancel()

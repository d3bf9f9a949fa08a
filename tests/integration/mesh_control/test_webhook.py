"""The validating webhook over real HTTPS: its certificate and the next one, its limits, and what a real client is told."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509
from typer.testing import CliRunner

import mesh_cli.commands
from mesh_control.ca.authority import Authority, Terms
from mesh_control.ca.store import Store
from mesh_control.metrics import Metrics
from mesh_control.settings import SettingsError, read
from mesh_control.webhook.certificate import AuthorityIssuer, Keeper
from mesh_control.webhook.review import API_VERSION
from mesh_control.webhook.server import MAX_BODY, Webhook, serving
from mesh_policy import Finding, Level, Policy
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

NAMES = ("istiod.istio-system.svc", "127.0.0.1")
RESOURCE = {"group": "networking.istio.io", "version": "v1", "resource": "serviceentries"}
ENTRY = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "ServiceEntry",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {
        "hosts": ["shop.example"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        "resolution": "DNS",
    },
}


def review(value: object, **changes: Any) -> dict[str, Any]:
    request = {"uid": "u-1", "operation": "CREATE", "resource": RESOURCE, "object": value, **changes}
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}


class Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A webhook that is served, and how it is asked."""

    def __init__(self, folder: Path, judge: Callable[[Policy], list[Finding]], **limits: float) -> None:
        self.clock = Clock()
        self.authority = Authority(Store(folder / "ca"), Terms(), self.clock())
        self.keeper = Keeper(AuthorityIssuer(self.authority), NAMES, folder, self.clock)
        self.metrics = Metrics()
        self.webhook = Webhook(judge, self.metrics, **limits)
        self.port = 0

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/validate"

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cadata=self.keeper.issuer.bundle())
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    async def ask(self, value: object, **changes: Any) -> dict[str, Any]:
        async with client(self) as http, http.post(self.url, json=review(value, **changes)) as answer:
            assert answer.status == 200, await answer.text()
            response: dict[str, Any] = (await answer.json())["response"]
            return response

    async def status(self, content: bytes, content_type: str = "application/json") -> int:
        headers = {"content-type": content_type}
        async with client(self) as http, http.post(self.url, data=content, headers=headers) as answer:
            await answer.read()
            return answer.status

    def errors(self, status: int) -> float:
        return self.metrics.value("galley_validation_http_error", status=str(status))


def client(served: Served) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=unchecked(served)), timeout=aiohttp.ClientTimeout(LIMIT)
    )


def unchecked(served: Served) -> ssl.SSLContext:
    """The authority's clock stands still, so that only chains and names can be verified, and not the time."""
    context = served.trusting()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@asynccontextmanager
async def webhook(
    folder: Path, judge: Callable[[Policy], list[Finding]] = lambda policy: [], **limits: float
) -> AsyncIterator[Served]:
    served = Served(folder, judge, **limits)
    async with serving(served.webhook, "127.0.0.1:0", served.keeper.context) as served.port:
        yield served


async def test_verdicts_and_what_is_counted(tmp_path: Path) -> None:
    warning = Finding("MESH0002", Level.WARNING, "ServiceEntry default/shop", "spec", "is odd; mend it")
    async with webhook(tmp_path, lambda policy: [warning]) as served:
        assert await served.ask(ENTRY) == {
            "uid": "u-1",
            "allowed": True,
            "warnings": ["MESH0002 ServiceEntry default/shop: spec: is odd; mend it"],
        }
        broken = {**ENTRY, "spec": {**ENTRY["spec"], "hosst": []}}  # type: ignore[dict-item]
        for dry in (False, True):
            refused = await served.ask(broken, dryRun=dry)
            assert not refused["allowed"]
            assert "spec.hosst: there is no such field; did you mean hosts?" in refused["status"]["message"]
        assert served.metrics.value("galley_validation_passed", **RESOURCE) == 1
        assert served.metrics.value("galley_validation_failed", **RESOURCE, reason="invalid_resource") == 1


async def test_limits(tmp_path: Path) -> None:
    async with webhook(tmp_path) as served:
        assert await served.status(b"{") == 400
        assert await served.status(b"") == 400
        assert await served.status(b"{}", "text/plain") == 415
        assert await served.status(b" " * (MAX_BODY + 1)) == 413
        assert [served.errors(status) for status in (400, 415, 413)] == [2, 1, 1]
        large = {**ENTRY, "metadata": {**ENTRY["metadata"], "annotations": {"a/b": "x" * 2_000_000}}}  # type: ignore[dict-item]
        assert (await served.ask(large))["allowed"]


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with webhook(tmp_path, read_seconds=0.05) as served, client(served) as http:
        headers = {"content-type": "application/json"}
        async with http.post(served.url, data=never(), headers=headers) as answer:
            assert answer.status == 408
        assert served.errors(408) == 1


async def test_a_verdict_that_does_not_come_is_none(tmp_path: Path) -> None:
    """The API server refuses the object then: it fails closed."""
    release = threading.Event()

    def judge(policy: Policy) -> list[Finding]:
        release.wait(LIMIT)
        return []

    async with webhook(tmp_path, judge, judge_seconds=0.05) as served:
        try:
            assert await served.status(json.dumps(review(ENTRY)).encode()) == 503
            assert served.errors(503) == 1
        finally:
            release.set()


def shown(port: int, context: ssl.SSLContext) -> tuple[x509.Certificate, ssl.SSLSocket]:
    """The certificate that a new connection is shown, and the connection."""
    wrapped = context.wrap_socket(socket.create_connection(("127.0.0.1", port), LIMIT), server_hostname=NAMES[0])
    found = wrapped.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found), wrapped


async def test_the_certificate_is_replaced_while_it_serves(tmp_path: Path) -> None:
    async with webhook(tmp_path) as served:
        context = unchecked(served)
        first, kept = await asyncio.to_thread(shown, served.port, context)
        assert first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        ) == [NAMES[0]]
        first.verify_directly_issued_by(served.authority.signer().certificate)
        served.clock.now += 1
        assert not served.keeper.refresh()
        served.clock.now += served.authority.terms.leaf_seconds / 2
        assert served.keeper.refresh()
        second, other = await asyncio.to_thread(shown, served.port, context)
        assert second.serial_number != first.serial_number
        # The one that stands goes on under the former certificate.
        assert (kept.getpeercert(binary_form=True) or b"") != other.getpeercert(binary_form=True)
        question = b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n"
        for standing in (kept, other):
            await asyncio.to_thread(standing.sendall, question)
            assert b"200 OK" in await asyncio.to_thread(standing.recv, 4096)
            standing.close()
        assert not (tmp_path / "webhook.pem").exists()


async def test_another_signer_means_another_certificate(tmp_path: Path) -> None:
    async with webhook(tmp_path) as served:
        before = served.authority.signer().name
        served.authority.rotate(served.clock())
        served.clock.now += served.authority.terms.leaf_seconds + served.authority.terms.margin + 1
        served.authority.tick(served.clock())
        assert served.authority.signer().name != before
        assert served.keeper.refresh()
        assert not served.keeper.refresh()
        found, standing = await asyncio.to_thread(shown, served.port, unchecked(served))
        standing.close()
        found.verify_directly_issued_by(served.authority.signer().certificate)


# The process

CONFLICT = yaml.safe_dump({**ENTRY, "metadata": {"name": "first", "namespace": "default"}})


@contextmanager
def plane_with_webhook(folder: Path) -> Iterator[tuple[ControlPlane, int]]:
    plane, port = ControlPlane(folder), free_port()
    settings = yaml.safe_load(plane.config.read_text())
    settings |= {
        "ca": {"address": f"127.0.0.1:{free_port()}"},
        "webhook": {"address": f"127.0.0.1:{port}", "server_names": list(NAMES)},
    }
    plane.config.write_text(yaml.safe_dump(settings))
    plane.start()
    try:
        yield plane, port
    finally:
        if plane.process is not None:
            plane.kill()


async def test_the_control_plane_answers_from_its_present_world(tmp_path: Path) -> None:
    with plane_with_webhook(tmp_path) as (plane, port):
        await plane.client.apply("demo", CONFLICT, LIMIT)
        context = ssl.create_default_context(cadata=await plane.client.trust_bundle())
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
            http.post(f"https://127.0.0.1:{port}/validate", json=review(ENTRY)) as answer,
        ):
            response = (await answer.json())["response"]
        assert not response["allowed"]
        assert response["status"]["message"] == (
            "MESH0007 ServiceEntry default/shop: spec.hosts[0]: shop.example is already declared by "
            "ServiceEntry default/first; put its ports and endpoints into one object"
        )
        assert "refused ServiceEntry default/shop: MESH0007 spec.hosts[0]" in plane.log
        arguments = ["webhook", "--url", f"https://127.0.0.1:{port}", "--socket", str(plane.socket)]
        printed = await asyncio.to_thread(CliRunner().invoke, mesh_cli.commands.app, arguments)
        assert printed.exit_code == 0, printed.output
        assert yaml.safe_load(printed.stdout)["webhooks"][0]["clientConfig"]["url"].endswith(f":{port}/validate")
        assert plane.end() == 0


def test_a_webhook_needs_an_authority(tmp_path: Path) -> None:
    file = tmp_path / "control.yml"
    file.write_text("webhook: {}")
    with pytest.raises(SettingsError, match=r"control\.yml: webhook: its certificate is .*; write a section ca, too"):
        read(file)

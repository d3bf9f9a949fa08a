"""TLS that ends at a gateway, or goes through it: what a Gateway says of it, done by our proxy and by a real Envoy."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from cryptography import x509

from mesh_api.config.secrets import TlsCertificate
from tests.integration.mesh_control.harness import LIMIT, ControlPlane
from tests.integration.mesh_control.joined_proxies import joined, planned
from tests.integration.mesh_control.sidecar_pairs import NODES, SIDECARS, inventory
from tests.integration.mesh_control.test_secure_xds import workload
from tests.support.applications import answering
from tests.support.authority import Authority
from tests.support.certificate_client import Workload
from tests.support.key_files import lay
from tests.support.ports import free_port

pytestmark = pytest.mark.integration

GATEWAY = "router~127.0.0.1~gateway.istio-system~istio-system.svc.cluster.local"
SERVERS = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: PLAIN, name: http, protocol: HTTP}, hosts: [shop.example, admin.example], tls: {httpsRedirect: true}}
  - port: {number: SECURE, name: shop, protocol: HTTPS}
    hosts: [shop.example, "*.shop.example"]
    tls: {mode: SIMPLE, credentialName: shop}
  - port: {number: SECURE, name: modern, protocol: HTTPS}
    hosts: [modern.example]
    tls: {mode: SIMPLE, credentialName: modern, minProtocolVersion: TLSV1_3}
  - port: {number: SECURE, name: files, protocol: HTTPS}
    hosts: [files.example]
    tls: {mode: SIMPLE, serverCertificate: FOLDER/files.crt, privateKey: FOLDER/files.key}
  - port: {number: SECURE, name: admin, protocol: HTTPS}
    hosts: [admin.example]
    tls: {mode: MUTUAL, credentialName: admin}
  - port: {number: SECURE, name: partner, protocol: HTTPS}
    hosts: [partner.example]
    tls: {mode: MUTUAL, credentialName: admin, subjectAltNames: [partner.example]}
  - {port: {number: SECURE, name: late, protocol: HTTPS}, hosts: [late.example], tls: {mode: SIMPLE, credentialName: late}}
  - {port: {number: SECURE, name: passed, protocol: TLS}, hosts: [passed.example], tls: {mode: PASSTHROUGH}}
  - {port: {number: MESH, name: mesh, protocol: TLS}, hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: published, namespace: istio-system}
spec:
  hosts: [shop.example, "*.shop.example", modern.example, files.example, admin.example, partner.example, late.example]
  gateways: [edge]
  http: [{route: [{destination: {host: order.default.svc.cluster.local}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: passed, namespace: istio-system}
spec:
  hosts: [passed.example]
  gateways: [edge]
  tls: [{match: [{sniHosts: [passed.example]}], route: [{destination: {host: passed.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: passed, namespace: istio-system}
spec:
  hosts: [passed.example]
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: PASSED}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client of TLS was shown, and was answered."""

    names: frozenset[str]
    version: str
    status: int
    body: str
    fields: dict[str, str]


class Edge:
    """A gateway (``program``: ``ours`` or ``envoy``) before a sidecar, and the authorities of its clients."""

    def __init__(self, program: str, plane: ControlPlane, folder: Path, ports: dict[str, int]) -> None:
        self.program, self.plane, self.folder, self.ports = program, plane, folder, ports
        self.authority, self.stranger = Authority(), Authority("stranger")

    def put(self, name: str, made: TlsCertificate, roots: bytes = b"") -> None:
        """As a credential for the gateway."""
        folder = self.folder / "credentials" / "istio-system" / name
        for key, content in (("tls.crt", made.chain), ("tls.key", made.key), *((("ca.crt", roots),) if roots else ())):
            lay(folder / key, content)

    async def ask(
        self, name: str, context: ssl.SSLContext, port: str = "SECURE", host: str | None = None
    ) -> Answer | None:
        """By TLS for a name (and, within it, for a host); ``None``: not served."""
        try:
            async with asyncio.timeout(LIMIT):
                return await ask(self.ports[port], name, host or name, context)
        except OSError:  # of which errors of TLS are some
            return None


async def ask(port: int, name: str, host: str, context: ssl.SSLContext) -> Answer:
    """Raises :class:`OSError`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    try:
        found = writer.get_extra_info("ssl_object")
        shown = x509.load_der_x509_certificate(found.getpeercert(binary_form=True))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        writer.write(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if not head:
            raise ConnectionError("no answer")
        line, *fields = head.decode().split("\r\n")
        pairs = (field.split(": ", 1) for field in fields)
        known = frozenset(str(one.value) for one in names)
        return Answer(
            known, found.version(), int(line.split()[1]), body.decode(), {key.lower(): value for key, value in pairs}
        )
    finally:
        writer.close()


async def order(request: web.Request) -> web.Response:
    """Says who asks as the gateway tells it."""
    return web.json_response(dict(request.headers))


async def passed(_request: web.Request) -> web.Response:
    return web.Response(text="passed")


@contextlib.asynccontextmanager
async def edge_of(program: str, envoy: Path, folder: Path) -> AsyncIterator[Edge]:
    names = ("CLIENT", "SERVER", "APPLICATION", "PLAIN", "SECURE", "MESH", "PASSED")
    ports = {name: free_port() for name in names}
    plane = planned(folder / "control", inventory(ports))
    edge = Edge(program, plane, folder, ports)
    settings = yaml.safe_load(plane.config.read_text())
    (folder / "credentials" / "istio-system").mkdir(parents=True)
    plane.config.write_text(yaml.safe_dump({**settings, "credentials_dir": str(folder / "credentials")}))
    made = edge.authority.certificate
    edge.put("shop", made("shop.example", "*.shop.example"))
    edge.put("modern", made("modern.example"))
    edge.put("admin", made("admin.example", "partner.example"), edge.authority.pem)
    if program == "envoy":  # a listener of which waits for the certificates of all servers
        edge.put("late", made("late.example"))
    files = made("files.example")
    lay(folder / "files.crt", files.chain)
    lay(folder / "files.key", files.key)
    config = (SIDECARS + "---" + SERVERS).replace("FOLDER", str(folder))
    for name, port in ports.items():
        config = config.replace(name, str(port))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(answering(order, ports["APPLICATION"]))
        its_own = edge.authority.server(made("passed.example"))
        await stack.enter_async_context(answering(passed, ports["PASSED"], its_own))
        plane.start()
        stack.callback(lambda: plane.process is not None and plane.kill())
        await plane.client.apply("edge", config, 0.0)
        for program_, name, node, metadata in (
            ("ours", "order", NODES["order"], {"INTERCEPTION_MODE": "NONE"}),
            (program, "gateway", GATEWAY, {"LABELS": {"istio": "ingressgateway"}}),
        ):
            running = joined(program_, envoy, plane, folder / name, node, **metadata)
            await stack.enter_async_context(running)
        async with asyncio.timeout(LIMIT):
            while await edge.ask("shop.example", edge.authority.client()) is None:
                await asyncio.sleep(0.05)  # a proxy tells nobody when it has its secrets
        yield edge


@pytest.fixture(params=["ours", "envoy"])
async def edge(request: pytest.FixtureRequest, tmp_path: Path, envoy: Path) -> AsyncIterator[Edge]:
    async with edge_of(request.param, envoy, tmp_path) as found:
        yield found


async def test_what_a_gateway_does_with_tls(edge: Edge) -> None:
    await names_get_their_certificates(edge)
    await clients_show_theirs(edge)
    await plain_text_is_sent_to_tls(edge)
    await tls_passes_through(edge)
    await the_mesh_passes_through(edge)
    await certificates_come_and_change(edge)


async def names_get_their_certificates(edge: Edge) -> None:
    """By SNI; within a connection only hosts of its own server are served."""
    client = edge.authority.client()
    for name, shown in (
        ("shop.example", {"shop.example", "*.shop.example"}),
        ("books.shop.example", {"shop.example", "*.shop.example"}),
        ("modern.example", {"modern.example"}),
        ("files.example", {"files.example"}),
    ):
        answer = await edge.ask(name, client)
        assert answer is not None, name
        assert (answer.status, answer.names, answer.version) == (200, shown, "TLSv1.3")
    assert await edge.ask("unknown.example", client) is None
    assert (crossed := await edge.ask("shop.example", client, host="modern.example")) is not None
    assert crossed.status == 404
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert (older := await edge.ask("shop.example", client)) is not None
    assert (older.status, older.version) == (200, "TLSv1.2")
    assert await edge.ask("modern.example", client) is None


async def clients_show_theirs(edge: Edge) -> None:
    made = edge.authority.certificate
    known = edge.authority.client(made("client.example", subject="operator"))
    assert (answer := await edge.ask("admin.example", known)) is not None
    assert answer.status == 200
    assert 'Subject="CN=operator"' in answer.body.replace("\\", "")
    for context in (edge.authority.client(), foreign(edge), edge.authority.client(made("client.example", days=-1))):
        assert await edge.ask("admin.example", context) is None
    assert await edge.ask("partner.example", known) is None
    partner = edge.authority.client(made("partner.example"))
    assert (answer := await edge.ask("partner.example", partner)) is not None
    assert answer.status == 200


def foreign(edge: Edge) -> ssl.SSLContext:
    """Believes the gateway, and shows what the gateway does not believe."""
    context = edge.stranger.client(edge.stranger.certificate("client.example", subject="operator"))
    context.load_verify_locations(cadata=edge.authority.pem.decode())
    return context


async def plain_text_is_sent_to_tls(edge: Edge) -> None:
    for host in ("shop.example", "admin.example"):
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.ports["PLAIN"])
        writer.write(f"GET /books?page=2 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        head = (await reader.read()).decode().lower()
        writer.close()
        assert head.startswith("http/1.1 301 "), head
        assert f"\r\nlocation: https://{host}/books?page=2\r\n" in head


async def tls_passes_through(edge: Edge) -> None:
    assert (answer := await edge.ask("passed.example", edge.authority.client())) is not None
    assert (answer.names, answer.body) == ({"passed.example"}, "passed")


async def the_mesh_passes_through(edge: Edge) -> None:
    """A client of the mesh meets the sidecar itself, and by its own identity."""
    name = f"outbound_.{edge.ports['CLIENT']}_._.order.default.svc.cluster.local"
    client = await member(edge, "spiffe://cluster.local/ns/default/sa/store")
    context = client.context(edge.folder, server=False)
    context.set_alpn_protocols(["istio", "http/1.1"])
    assert (answer := await edge.ask(name, context, "MESH", host="order")) is not None
    assert (answer.status, answer.names) == (200, {"spiffe://cluster.local/ns/default/sa/order"})
    assert "URI=spiffe://cluster.local/ns/default/sa/store" in answer.body
    assert await edge.ask(name.replace("order", "other"), context, "MESH") is None
    assert await edge.ask("shop.example", context, "MESH") is None


async def member(edge: Edge, identity: str) -> Workload:
    """A workload of the mesh."""
    made = await workload(edge.plane, identity)
    await made.join(str((await edge.plane.client.create_token(identity, 600.0, 1))["token"]))
    return made


async def certificates_come_and_change(edge: Edge) -> None:
    """A server waits for its certificate and keeps no other from being served; the next one is shown without a break."""
    client, made = edge.authority.client(), edge.authority.certificate
    if edge.program == "ours":
        assert await edge.ask("late.example", client) is None
        edge.put("late", made("late.example"))
    assert (await shown(edge, "late.example", "late.example")).status == 200
    edge.put("shop", made("shop.example", "renewed.example"))
    async with asyncio.timeout(LIMIT):
        while (answer := await edge.ask("shop.example", client)) is not None:
            assert answer.status == 200
            if "renewed.example" in answer.names:
                break
    assert answer is not None
    if edge.program == "ours":  # beside Envoy an agent reads files
        renewed = made("files.example", "renewed.example")
        lay(edge.folder / "files.crt", renewed.chain)
        lay(edge.folder / "files.key", renewed.key)
        assert (await shown(edge, "files.example", "renewed.example")).status == 200


async def shown(edge: Edge, host: str, name: str) -> Answer:
    """The first answer under a certificate that has a name; a proxy tells nobody when it has a secret."""
    async with asyncio.timeout(LIMIT):
        while True:
            answer = await edge.ask(host, edge.authority.client())
            if answer is not None and name in answer.names:
                return answer
            await asyncio.sleep(0.05)

"""The authority on its sockets: real gRPC over real mutual TLS on loopback."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from aiohttp import web
from cryptography import x509

from mesh_api.identity import SpiffeId
from mesh_api.identity_service import IMPERSONATED, METHOD, CertificateRequest, CertificateResponse
from mesh_control.ca import certificates, given, pem
from mesh_control.ca.limits import Limiter
from mesh_control.ca.service import Limits
from mesh_control.ca.token_review import ApiServer
from mesh_control.ca.wiring import BACKEND, Office, Plan
from mesh_control.metrics import Metrics
from mesh_control.sources.kubernetes.access import Access
from tests.support.certificate_client import ISTIOD, Workload, request_pem
from tests.support.given_files import Offline, write

pytestmark = pytest.mark.integration

STORE = "spiffe://cluster.local/ns/default/sa/store"
Code = grpc.StatusCode


@asynccontextmanager
async def serving(
    plan: Plan, clock: Callable[[], float] = time.time, limits: Limits | None = None
) -> AsyncIterator[Office]:
    office = Office(plan, Metrics(), clock, limits)
    await office.start()
    try:
        yield office
    finally:
        await office.stop()


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with serving(Plan(tmp_path / "ca", "127.0.0.1:0")) as made:
        yield made


async def token(office: Office, pattern: str = "default/store", uses: int = 1) -> str:
    return str((await office.create_token(pattern, 600, uses, ""))["token"])


def workload(office: Office, identity: str = STORE) -> Workload:
    return Workload(identity, office.authority.bundle(), office.port)


async def joined(office: Office) -> Workload:
    made = workload(office)
    await made.join(await token(office))
    return made


async def test_join_and_renew(office: Office) -> None:
    made = await joined(office)
    first = made.certificate
    await made.renew()
    await made.renew()
    names = made.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [STORE]
    assert made.certificate.serial_number != first.serial_number
    assert made.certificate.public_key() == made.key.public_key()
    assert office._metrics.value("citadel_server_success_cert_issuance_count") == 3


async def test_several_calls_on_one_connection(office: Office) -> None:
    made = await joined(office)
    async with made.connected(shown=True) as channel:
        chains = await asyncio.gather(*(made.ask_on(channel) for _ in range(30)))
    assert len({chain[0] for chain in chains}) == 30


async def test_many_join_at_once(office: Office) -> None:
    shared = await token(office, "default/*", uses=40)
    everyone = [workload(office, f"spiffe://cluster.local/ns/default/sa/w{n}") for n in range(40)]
    await asyncio.gather(*(one.join(shared) for one in everyone))
    assert office.status()["certificates"] == 41, "and the control plane's own"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await workload(office).join(shared)
    assert caught.value.code() is Code.UNAUTHENTICATED


async def test_a_single_use_is_given_to_one_of_many(office: Office) -> None:
    once = await token(office)
    answers = await asyncio.gather(*(workload(office).ask(once) for _ in range(12)), return_exceptions=True)
    assert sum(isinstance(answer, tuple) for answer in answers) == 1


REFUSED: dict[str, tuple[dict[str, Any], grpc.StatusCode, str]] = {
    "nothing is shown": ({"shown": False}, Code.UNAUTHENTICATED, "request authenticate failure"),
    "a token that is none": ({"token": "mwjt.0123456789ab." + "a" * 43, "shown": False}, Code.UNAUTHENTICATED, ""),
    "a token of Kubernetes, of which nobody is asked": ({"token": "a.b.c", "shown": False}, Code.UNAUTHENTICATED, ""),
    "another identity": (
        {"request": request_pem(pem.new_key(), ["spiffe://cluster.local/ns/default/sa/other"])},
        Code.PERMISSION_DENIED,
        "proven is spiffe://cluster.local/ns/default/sa/store",
    ),
    "another trust domain": (
        {"request": request_pem(pem.new_key(), ["spiffe://other/ns/default/sa/store"])},
        Code.PERMISSION_DENIED,
        "",
    ),
    "istiod's name": (
        {"request": request_pem(pem.new_key(), [STORE], [x509.DNSName(ISTIOD)])},
        Code.PERMISSION_DENIED,
        "DNSName",
    ),
    "an authority": (
        {"request": request_pem(pem.new_key(), [STORE], (), [(x509.BasicConstraints(True, None), True)])},
        Code.INVALID_ARGUMENT,
        "CSR signing error",
    ),
    "no request": ({"request": "hello"}, Code.INVALID_ARGUMENT, "CSR signing error"),
    "too long": ({"seconds": 91 * 86400}, Code.INVALID_ARGUMENT, "longer than the longest"),
    "in the name of another": ({IMPERSONATED: "spiffe://cluster.local/ns/a/sa/b"}, Code.UNAUTHENTICATED, ""),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused(office: Office, name: str) -> None:
    made = await joined(office)
    arguments, code, told = REFUSED[name]
    before = len(office._store.valid(time.time()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.ask(**{"shown": True, **arguments})
    assert (caught.value.code(), told in str(caught.value.details())) == (code, True), caught.value.details()
    assert len(office._store.valid(time.time())) == before


async def test_bytes_that_are_no_message(office: Office) -> None:
    made = await joined(office)
    async with made.connected(shown=True) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD)(b"\x0a\xff\xff", timeout=20)
        assert caught.value.code() is Code.INVALID_ARGUMENT
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD)(CertificateRequest("x" * 300_000).to_bytes(), timeout=20)
        assert caught.value.code() is Code.RESOURCE_EXHAUSTED


async def test_a_revoked_certificate_is_refused_on_the_connection_that_it_opened(office: Office) -> None:
    made = workload(office)
    text = await token(office)
    await made.join(text)
    async with made.connected(shown=True) as channel:
        await made.ask_on(channel)
        assert await office.revoke_token(text.split(".")[1], renewals=True) == 2
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made.ask_on(channel)
    assert caught.value.code() is Code.UNAUTHENTICATED


async def test_a_certificate_of_somebody_elses_authority_opens_no_connection(office: Office) -> None:
    made = workload(office)
    impostor = certificates.make_root("cluster.local", pem.new_key(), time.time())
    forged = certificates.sign_workload(impostor, made.key.public_key(), SpiffeId.parse(STORE), time.time(), 600)
    made.chain = (pem.write_certificates([*forged, *impostor.roots]),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.ask(await token(office), shown=True)
    assert caught.value.code() is Code.UNAVAILABLE


async def test_an_expired_certificate_opens_no_connection(office: Office) -> None:
    made = workload(office)
    old = certificates.sign_workload(
        office.authority.signer(), made.key.public_key(), SpiffeId.parse(STORE), time.time() - 600, 60
    )
    made.chain = (pem.write_certificates(old),)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.ask(shown=True)
    assert caught.value.code() is Code.UNAVAILABLE


async def test_a_client_that_trusts_another_root_does_not_talk_to_us(office: Office) -> None:
    other = certificates.make_root("cluster.local", pem.new_key(), time.time())
    made = Workload(STORE, pem.write_certificates(other.roots), office.port)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await made.join(await token(office))
    assert caught.value.code() is Code.UNAVAILABLE
    assert office.tokens()[0]["used"] == 0


def served(office: Office, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """A connection to the port, for what gRPC does not show."""
    context = context or ssl.create_default_context(cadata=office.authority.bundle())
    return context.wrap_socket(socket.create_connection(("127.0.0.1", office.port), 20), server_hostname=ISTIOD)


async def test_the_protocol_is_tls_1_2_or_later_and_http_2(office: Office) -> None:
    context = ssl.create_default_context(cadata=office.authority.bundle())
    context.set_alpn_protocols(["http/1.1", "h2"])
    with await asyncio.to_thread(served, office, context) as connection:
        assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    old = ssl.create_default_context(cadata=office.authority.bundle())
    with pytest.warns(DeprecationWarning, match="deprecated"):
        old.maximum_version = old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        await asyncio.to_thread(served, office, old)


async def test_connections_that_say_nothing_or_nonsense_are_in_nobodys_way(office: Office) -> None:
    silent = [socket.create_connection(("127.0.0.1", office.port)) for _ in range(50)]
    for number, connection in enumerate(silent):
        if number % 2:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    await joined(office)
    for connection in silent:
        connection.close()


async def test_whoever_opens_the_socket_behind_has_no_certificate(office: Office) -> None:
    """Not even under a name such as the front's: only the front's own are known to it."""
    made = await joined(office)
    request = CertificateRequest(request_pem(made.key, [STORE])).to_bytes()
    async with grpc.aio.insecure_channel(f"unix:{office._plan.folder / BACKEND}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(METHOD)(request, timeout=20)
    assert caught.value.code() is Code.UNAUTHENTICATED
    assert office._plan.folder.stat().st_mode & 0o077 == 0


async def test_without_tls_on_loopback_when_asked_for(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        plaintext = f"127.0.0.1:{probe.getsockname()[1]}"
    async with serving(Plan(tmp_path / "ca", "127.0.0.1:0", plaintext=plaintext)) as office:
        text = await token(office)
        request = CertificateRequest(request_pem(pem.new_key(), [STORE])).to_bytes()
        async with grpc.aio.insecure_channel(plaintext) as channel:
            call = channel.unary_unary(METHOD)
            answer = await call(request, timeout=20, metadata=[("authorization", f"Bearer {text}")])
            assert len(CertificateResponse.from_bytes(answer).chain) == 2
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request, timeout=20)
            assert caught.value.code() is Code.UNAUTHENTICATED


async def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    now = time.time()
    limits = Limits(Limiter(burst=9, rate=0), Limiter(burst=3, rate=0))
    async with serving(Plan(tmp_path / "ca", "127.0.0.1:0"), lambda: now, limits) as office:
        made = await joined(office)
        codes = []
        async with made.connected(shown=True) as channel:
            for _ in range(10):
                try:
                    await made.ask_on(channel)
                    codes.append(Code.OK)
                except grpc.aio.AioRpcError as error:
                    codes.append(error.code())
                    told = str(error.details())
        assert codes == [Code.OK] * 3 + [Code.RESOURCE_EXHAUSTED] * 7
        assert told == "127.0.0.1 asks too often"


async def test_an_intermediate_that_is_given(tmp_path: Path) -> None:
    now = time.time()
    offline = Offline(certificates.make_root("offline", pem.new_key(), now))
    files = write(tmp_path / "cacerts", offline.intermediate(now=now))
    async with serving(Plan(tmp_path / "ca", "127.0.0.1:0", given=files)) as office:
        made = await joined(office)
        await made.renew()
        assert len(made.chain) == 2
        assert made.roots == pem.write_certificates(offline.root.roots)
        verified = made.context(tmp_path, server=False)
        assert verified.cert_store_stats()["x509_ca"] == 1
        first = office.status()["roots"][0]["name"]
        write(files, offline.intermediate(now=now))
        await office.turn()
        assert [(root["phase"], root["name"] == first) for root in office.status()["roots"]] == [
            ("current", True),
            ("next", False),
        ]
        await made.renew()
        (files / given.KEY).write_text("broken")
        await office.turn()
        assert "no private key" in office.status()["problem"]
        await made.renew()


def peer_serial(office: Office) -> int:
    lenient = ssl.create_default_context()
    lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
    with served(office, lenient) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(True) or b"").serial_number


async def test_the_control_planes_own_certificate_is_renewed_at_half_of_its_life(tmp_path: Path) -> None:
    now = time.time()
    async with serving(Plan(tmp_path / "ca", "127.0.0.1:0"), lambda: now) as office:
        first = await asyncio.to_thread(peer_serial, office)
        now += 11.9 * 3600
        await office.turn()
        assert await asyncio.to_thread(peer_serial, office) == first
        now += 0.2 * 3600
        await office.turn()
        assert await asyncio.to_thread(peer_serial, office) != first
        assert office.status()["server_expires"] == int(now + 86400)


async def test_when_the_disk_is_full_nothing_is_promised(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await joined(office)
    pages = office._store._database.execute("PRAGMA page_count").fetchone()[0]
    office._store._database.execute(f"PRAGMA max_page_count = {pages}")
    codes = set()
    for _ in range(40):  # until the pages that are there are full
        try:
            await made.ask(shown=True)
        except grpc.aio.AioRpcError as error:
            codes.add(error.code())
            break
    assert codes == {Code.UNAVAILABLE}
    office._store._database.execute("PRAGMA max_page_count = 1000000")
    await made.ask(shown=True)


@asynccontextmanager
async def api_server() -> AsyncIterator[tuple[str, dict[str, dict[str, Any]], list[str]]]:
    """An HTTP server that answers TokenReviews from a table; a real one is asked in ``test_ca_kubernetes.py``."""
    known: dict[str, dict[str, Any]] = {}
    callers: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        callers.append(request.headers.get("Authorization", ""))
        review = await request.json()
        status = known.get(review["spec"]["token"])
        if status is None:
            return web.json_response({"kind": "Status", "message": review["spec"]["token"]}, status=403)
        return web.json_response(review | {"status": status}, status=201)

    application = web.Application()
    application.add_routes([web.post("/apis/authentication.k8s.io/v1/tokenreviews", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", known, callers
    finally:
        await runner.cleanup()


async def test_service_accounts_of_kubernetes(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("our-own-token\n")
    async with api_server() as (url, known, callers):
        plan = Plan(tmp_path / "ca", "127.0.0.1:0", api_server=ApiServer(Access(url, token_file=tmp_path / "token")))
        groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
        user = {"username": "system:serviceaccount:default:store", "groups": groups}
        known["good"] = {"authenticated": True, "audiences": ["istio-ca"], "user": user}
        known["for another"] = known["good"] | {"audiences": ["vault"]}
        known["bad"] = {"error": "token has been invalidated"}
        async with serving(plan) as office:
            made = workload(office)
            await made.join("good")
            await made.renew()
            for bearer in ("for another", "bad", "unknown"):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await workload(office).join(bearer)
                assert caught.value.code() is Code.UNAUTHENTICATED
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await workload(office, STORE + "2").join("good")
            assert caught.value.code() is Code.PERMISSION_DENIED
    assert set(callers) == {"Bearer our-own-token"}
    async with serving(replace(plan, folder=tmp_path / "other")) as office:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await workload(office).join("good")
        assert caught.value.code() is Code.UNAUTHENTICATED, "nobody answers, and nobody is believed"


async def test_a_port_in_use_is_named(office: Office, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"ca.address: 127.0.0.1:{office.port} cannot be bound"):
        Office(Plan(tmp_path / "other", f"127.0.0.1:{office.port}"), Metrics(), time.time)
    await Office(Plan(tmp_path / "other", "127.0.0.1:0"), Metrics(), time.time).stop()  # the folder was given back


async def idle(office: Office, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connections whose client finishes its handshake and says nothing more."""
    context = ssl.create_default_context(cadata=office.authority.bundle())
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    return [await asyncio.open_connection("127.0.0.1", office.port, ssl=context) for _ in range(count)]


async def test_who_proves_nothing_keeps_no_place(office: Office) -> None:
    office._front.guests.per_place, office._front.guests.most, office._front.proof_seconds = 5, 8, 3.0
    member = await joined(office)
    async with member.connected(shown=True) as channel:
        await member.ask_on(channel)
        there = await idle(office, 5)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await idle(office, 1)
        async with asyncio.timeout(10):
            for reader, _ in there:
                while await reader.read(1024):  # what HTTP/2 says first, and then the end
                    pass
        await member.ask_on(channel)  # it has proven who it is, and stays
    assert office._metrics.value("meshwright_control_connections_refused", reason="silent") == 5
    assert office._metrics.value("meshwright_control_connections_refused", reason="address") == 1
    await joined(office)
    for _, writer in there:
        writer.transport.abort()


async def test_a_call_with_a_token_is_a_proof(office: Office) -> None:
    office._front.proof_seconds = 0.5
    made = workload(office)
    shared = await token(office, uses=2)
    async with made.connected(shown=False) as channel:
        await made.ask_on(channel, shared)
        await asyncio.sleep(0.7)  # what is waited for is that nothing happens
        await made.ask_on(channel, shared)
    assert office._metrics.value("meshwright_control_connections_refused", reason="silent") == 0

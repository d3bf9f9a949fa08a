"""Keys of issuers: when they are fetched, what is kept, and how they come over a real connection."""

import asyncio
import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mesh_control.issuers import Place
from mesh_control.sources import key_sets
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.key_sets import Entry, FetchError, KeySets, fetch_keys
from mesh_control.sources.resolving import Outside
from mesh_control.state import State
from mesh_policy import Policy
from mesh_policy.load import load_documents

KEYS = '{"keys":[{"kty":"oct","alg":"HS256","kid":"1","k":"c2VjcmV0"}]}'
DEEP = '{"keys":' + "[" * 200_000
KEPT = "the last good ones are used"
URI = "http://issuer.example/keys"


def policies(*rules: str) -> list[Policy]:
    text = "\n".join(f"  - {rule}" for rule in rules)
    head = (
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens, namespace: default}\n"
    )
    return load_documents(f"{head}spec:\n  jwtRules:\n{text}\n")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """Gives what it is told to."""

    def __init__(self) -> None:
        self.answer: str | None = KEYS
        self.asked: list[Place] = []

    async def __call__(self, place: Place) -> str:
        self.asked.append(place)
        if self.answer is None:
            raise FetchError("status 500")
        return self.answer


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ([f"{{issuer: a, jwksUri: '{URI}'}}"], {URI: Place(URI)}),
        (
            ["{issuer: 'https://issuer.example/'}"],
            {"issuer https://issuer.example/": Place("", "https://issuer.example/")},
        ),
        ([f"{{issuer: a, jwks: '{KEYS}'}}"], {}),
        ([f"{{issuer: a, jwksUri: '{URI}', timeout: 2s}}"], {f"within 2 s: {URI}": Place(URI, timeout=2.0)}),
        ([f"{{issuer: a, jwksUri: '{URI}', timeout: 1h}}"], {f"within 60 s: {URI}": Place(URI, timeout=60.0)}),
        (
            [f"{{issuer: '{URI}'}}", f"{{issuer: b, jwksUri: '{URI}'}}"],
            {f"issuer {URI}": Place("", URI), URI: Place(URI)},
        ),
        (
            [f"{{issuer: a, jwksUri: '{URI}', timeout: 9s}}", f"{{issuer: b, jwksUri: '{URI}'}}"],
            {URI: Place(URI), f"within 9 s: {URI}": Place(URI, timeout=9.0)},
        ),
    ],
)
def test_places(rules: list[str], found: dict[str, Place]) -> None:
    assert key_sets.places(policies(*rules)) == found


def test_a_failure_waits_twice_as_long_each_time_and_keeps_what_there_was() -> None:
    entry = key_sets.fetched(Entry(Place(URI)), KEYS, 0.0)
    assert entry.due == 20 * 60
    waits = []
    for _ in range(9):
        entry = key_sets.failed(entry, "status 500", 0.0)
        waits.append(entry.due)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert entry.keys == KEYS
    assert key_sets.fetched(entry, KEYS, 0.0).failures == 0


async def test_fetched_when_wanted_and_again_after_twenty_minutes() -> None:
    clock, issuer = Clock(), Issuer()
    source = KeySets(issuer, clock)
    assert await source.turn() is False
    source.want(policies(f"{{issuer: a, jwksUri: '{URI}'}}"))
    assert source.read().key_sets == {}
    assert await source.turn() is True
    assert source.read().key_sets == {URI: KEYS}
    clock.now += key_sets.REFRESH - 1
    assert await source.turn() is False
    clock.now += 1
    assert await source.turn() is False  # the same keys
    assert len(issuer.asked) == 2


async def test_the_last_good_keys_are_kept_and_told() -> None:
    clock, issuer = Clock(), Issuer()
    source = KeySets(issuer, clock)
    source.want(policies(f"{{issuer: a, jwksUri: '{URI}'}}"))
    issuer.answer = None
    assert await source.turn() is True
    assert source.read().problems == (
        f"keys of tokens from {URI}: status 500; no token that needs them is valid until they are there",
    )
    issuer.answer = KEYS
    clock.now += 1
    assert await source.turn() is True
    assert source.read().problems == ()
    issuer.answer = None
    clock.now += key_sets.REFRESH
    await source.turn()
    assert source.read().key_sets == {URI: KEYS}
    assert source.read().problems == (f"keys of tokens from {URI}: status 500; the last good ones are used",)
    source.want([])
    assert (source.read().key_sets, source.read().problems) == ({}, ())


async def test_the_world_has_them_once_they_are_there(tmp_path: Path) -> None:
    source = KeySets(Issuer(), Clock())
    directory = PolicyDirectory(tmp_path, lambda policy: [])
    state = State(directory, (source,))
    directory.replace("owner", policies(f"{{issuer: a, jwksUri: '{URI}'}}"))
    assert state.reload().key_sets == {}
    changed = asyncio.Event()
    watching = asyncio.create_task(source.watch(changed.set))
    async with asyncio.timeout(10):
        await changed.wait()
    watching.cancel()
    assert state.reload().key_sets == {URI: KEYS}


# A real server.


class Server:
    """Answers by path; its address is ``base``."""

    def __init__(self, base: str, trust: ssl.SSLContext | None) -> None:
        self.base, self.trust = base, trust


def certificate(folder: Path) -> Path:
    """A file with a key and its own certificate, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file = folder / "both.pem"
    file.write_bytes(private + made.public_bytes(pem))
    return file


@pytest.fixture(params=["http", "https"])
async def server(request: pytest.FixtureRequest, tmp_path: Path):
    async def stall(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async def metadata(asked: web.Request) -> web.Response:
        return web.json_response({"jwks_uri": f"{asked.url.origin()}/keys"})

    texts = {"/keys": KEYS, "/text": "hello", "/object": "{}", "/bad": '{"keys":[{}]}', "/long": " " * (2 << 20)}
    texts |= {"/deep": DEEP, "/deep/.well-known/openid-configuration": DEEP}
    app = web.Application()
    for path, text in texts.items():
        app.router.add_get(path, partial(_text, text))
    app.router.add_get("/stalls", stall)
    for path, location in REDIRECTS.items():
        app.router.add_get(path, partial(_redirect, location))
    app.router.add_get("/issuer/.well-known/openid-configuration", metadata)
    app.router.add_get("/nothing.json", partial(_text, json.dumps({})))
    elsewhere = {"jwks_uri": "file:///etc/keys"}
    app.router.add_get("/elsewhere.json", partial(_text, json.dumps(elsewhere)))
    own, trust = None, None
    if request.param == "https":
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(certificate(tmp_path))
        trust = ssl.create_default_context(cafile=str(tmp_path / "both.pem"))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "0.0.0.0", 0, ssl_context=own)
    await site.start()
    port = runner.addresses[0][1]
    yield Server(f"{request.param}://127.0.0.1:{port}", trust)
    await runner.cleanup()


REDIRECTS = {
    "/moved": "/keys",
    "/twice": "/moved",
    "/round": "/round",
    "/nowhere": "ftp://issuer.example/keys",
    "/odd": "http://[/",
    "/plain": "http://issuer.example/keys",
    "/metadata": "//169.254.169.254/keys",
    "/nothing/.well-known/openid-configuration": "/nothing.json",
    "/elsewhere/.well-known/openid-configuration": "/elsewhere.json",
}


async def _redirect(location: str, _: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": location})


async def _text(text: str, _: web.Request) -> web.Response:
    return web.Response(text=text)


@pytest.mark.parametrize(
    "place",
    [{"uri": "/keys"}, {"issuer": "/issuer"}, {"issuer": "/issuer/"}, {"uri": "/moved"}, {"uri": "/twice"}],
    ids=str,
)
async def test_fetched(server: Server, place: dict[str, str]) -> None:
    wanted = Place(**{name: server.base + path for name, path in place.items()})
    assert await fetch_keys(wanted, server.trust) == KEYS


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"uri": "/missing"}, "status 404"),
        ({"uri": "/text"}, "what is there is no set of keys"),
        ({"uri": "/object"}, "what is there is no set of keys"),
        ({"uri": "/bad"}, "what is there is no set of keys: key 0"),
        ({"uri": "/deep"}, "what is there is no set of keys: values are nested deeper than 64 levels"),
        ({"issuer": "/deep"}, "openid-configuration is no JSON: values are nested deeper"),
        ({"uri": "/long"}, "the answer is longer than 1048576 bytes"),
        ({"uri": "/stalls"}, "no answer within 0.2 s"),
        ({"issuer": "/nothing"}, "names no jwks_uri"),
        ({"issuer": "/missing"}, "status 404"),
        ({"uri": "/round"}, "more than 3 redirects"),
        ({"uri": "/nowhere"}, "redirect to ftp://issuer.example/keys: it is no address of HTTP"),
        ({"uri": "/odd"}, "it is no address"),
        ({"issuer": "/elsewhere"}, "jwks_uri to file:///etc/keys: it is no address of HTTP"),
    ],
    ids=str,
)
async def test_not_fetched(server: Server, place: dict[str, str], told: str) -> None:
    slow = {"timeout": 0.2} if place.get("uri") == "/stalls" else {}
    wanted = Place(**{name: server.base + path for name, path in place.items()}, **slow)
    with pytest.raises(FetchError, match=told):
        await fetch_keys(wanted, server.trust)


async def test_a_certificate_that_nobody_knows_is_not_believed(server: Server) -> None:
    if server.trust is None:
        return
    with pytest.raises(FetchError, match="certificate verify failed"):
        await fetch_keys(Place(f"{server.base}/keys"))


async def test_nobody_is_there() -> None:
    with pytest.raises(FetchError, match="Cannot connect"):
        await fetch_keys(Place("http://127.0.0.1:9/keys"))


async def test_whatever_one_fetch_ends_with_the_others_go_on_and_the_last_good_keys_stay() -> None:
    clock, asked = Clock(), Issuer()

    async def fetch(place: Place) -> str:
        if place.uri == URI and not asked.answer:
            raise RuntimeError("nobody foresaw this")
        return KEYS

    source = KeySets(fetch, clock)
    source.want(policies(f"{{issuer: a, jwksUri: {URI}}}", "{issuer: b, jwksUri: http://other.example/keys}"))
    await source.turn()
    asked.answer = None
    clock.now += key_sets.REFRESH
    assert await source.turn()
    said = source.read()
    assert said.key_sets == {URI: KEYS, "http://other.example/keys": KEYS}
    assert said.problems == (f"keys of tokens from {URI}: its keys cannot be fetched: RuntimeError; {KEPT}",)


async def test_https_is_not_given_up(server: Server) -> None:
    if server.trust is not None:
        with pytest.raises(FetchError, match=r"redirect to http://issuer.example/keys: it gives up HTTPS"):
            await fetch_keys(Place(f"{server.base}/plain"), server.trust)


def own_address() -> str:
    """An address of this machine that is not loopback; empty where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        try:
            found.connect(("192.0.2.1", 9))  # which sends nothing
        except OSError:
            return ""
        return str(found.getsockname()[0])


async def test_nobody_outside_leads_to_this_machine_or_to_a_clouds_metadata(server: Server) -> None:
    outside = own_address()
    if server.trust is not None or not outside:
        return  # the certificate is for loopback; and without a network nobody is outside
    base = server.base.replace("127.0.0.1", outside)
    assert await fetch_keys(Place(f"{base}/moved")) == KEYS
    with pytest.raises(FetchError, match=r"redirect to http://169.254.169.254/keys: it leads to this machine"):
        await fetch_keys(Place(f"{base}/metadata"))


async def test_a_name_of_this_machine_is_none_of_others() -> None:
    with pytest.raises(OSError, match="localhost leads to this machine or its own network"):
        await Outside().resolve("localhost", 80)


async def test_one_that_lets_itself_be_waited_for_keeps_no_other_back() -> None:
    begun, slow = asyncio.Event(), asyncio.Event()

    async def fetch(place: Place) -> str:
        if place.uri == URI:
            begun.set()
            await slow.wait()
        return KEYS

    source, told = KeySets(fetch), asyncio.Event()
    source.want(policies(f"{{issuer: a, jwksUri: '{URI}'}}"))
    watching = asyncio.create_task(source.watch(told.set))
    async with asyncio.timeout(10):
        await begun.wait()
        source.want(policies(f"{{issuer: a, jwksUri: '{URI}'}}", "{issuer: b, jwksUri: http://other.example/keys}"))
        await told.wait()
        assert source.read().key_sets == {"http://other.example/keys": KEYS}
        told.clear()
        slow.set()
        await told.wait()
    assert set(source.read().key_sets) == {URI, "http://other.example/keys"}
    watching.cancel()

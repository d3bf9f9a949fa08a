"""WebSockets and tunnels, by HTTP/1.1 and HTTP/2 on both sides: the same comes of them at a real Envoy and at our worker."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h2.settings
import pytest

from mesh_api.config import AccessLog, PathMatchKind, ProxyConfig, RouteAction
from mesh_api.config.clusters import HttpProtocolOptions
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.http2_peers import Http2Client, Message, Peer
from tests.support.proxy_config import cluster, host, http_listener, match, route
from tests.support.raw_http import Client, Wire, answer
from tests.support.two_proxies import TwoProxies, plain

pytestmark = pytest.mark.integration

LISTENERS: dict[str, dict[str, Any]] = {
    "allowed": {"upgrades": ("websocket", "CONNECT"), "allow_connect": True},
    "not allowed": {"allow_connect": True},
}
CONNECT = match("", PathMatchKind.CONNECT)


class Row(NamedTuple):
    """What is asked of which host (which decides where it goes and what is allowed), by which version of HTTP."""

    host: str
    version: int
    method: str = "GET"
    path: str = "/chat"
    upgrade: str = "websocket"
    listener: str = "allowed"


ROWS = (
    {
        f"{name}, {version} to {to}": row
        for version in (1, 2)
        for to in (1, 2)
        for name, row in {
            "a WebSocket": Row(f"http{to}", version),
            "a WebSocket that the server refuses": Row(f"http{to}", version, path="/refused"),
            "a WebSocket that the route does not allow": Row(f"off{to}", version),
            "a WebSocket that the route alone allows": Row(f"on{to}", version, listener="not allowed"),
            "a WebSocket that nobody allows": Row(f"http{to}", version, listener="not allowed"),
            "a protocol that nobody allows": Row(f"http{to}", version, upgrade="chess"),
            "a tunnel": Row(f"http{to}", version, "CONNECT", upgrade=""),
            "a tunnel that the server refuses": Row(f"refusing{to}", version, "CONNECT", upgrade=""),
            "a tunnel that the route does not allow": Row(f"off{to}", version, "CONNECT", upgrade=""),
            "a tunnel that the route alone allows": Row(
                f"on{to}", version, "CONNECT", upgrade="", listener="not allowed"
            ),
            "a tunnel without a route": Row(f"nowhere{to}", version, "CONNECT", upgrade=""),
        }.items()
    }
    | {f"a tunnel that ends here, {version}": Row("ends", version, "CONNECT", upgrade="") for version in (1, 2)}
    | {f"a tunnel to nobody, {version}": Row("nobody", version, "CONNECT", upgrade="") for version in (1, 2)}
)

LENGTH = "what follows has no length, whatever the server says (RFC 9110 9.3.6)"
OTHERWISE = {
    "a tunnel, 1 to 1": LENGTH,
    "a tunnel, 2 to 1": LENGTH,
    "a tunnel that the route alone allows, 1 to 1": LENGTH,
    "a tunnel that the route alone allows, 2 to 1": LENGTH,
}
"""Where Envoy passes on a length of the answer."""


def serve_http1(seen: list[str], wire: Wire, _number: int) -> None:
    head = wire.head()
    if not head:
        return
    seen.append(plain("\n".join(sorted(head.decode("latin-1").strip().lower().split("\r\n")))))
    if b"refus" in head:
        wire.send(answer(b"no", "403 Forbidden"))
    elif head.startswith(b"CONNECT"):
        wire.send(b"HTTP/1.1 200 Fine\r\ncontent-length: 7\r\nx-from: server\r\n\r\n")
    else:
        wire.send(b"HTTP/1.1 101 Go\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-from: server\r\n\r\n")
    wire.send(wire.exactly(5).upper())
    wire.rest()


def serve_http2(seen: list[str], sock: socket.socket) -> None:
    with Peer(sock, False) as peer:
        peer.h2.update_settings({h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
        peer.flush()
        known: set[int] = set()
        done: set[int] = set()
        while peer.read():
            for number, message in list(peer.messages.items()):
                if message.fields and number not in known:
                    known.add(number)
                    lines = sorted(f"{name.decode()}: {value.decode()}" for name, value in message.fields)
                    seen.append(plain("\n".join(lines)))
                    refused = any("refus" in line for line in lines)
                    peer.h2.send_headers(number, [(":status", "403" if refused else "200"), ("x-from", "server")])
                    if refused:
                        peer.h2.send_data(number, b"no", end_stream=True)
                if len(message.body) == 5 and number not in done:
                    done.add(number)
                    peer.h2.send_data(number, message.body.upper(), end_stream=False)
            peer.flush()


def serve_bytes(wire: Wire, _number: int) -> None:
    wire.send(wire.exactly(5).upper())
    wire.rest()


@pytest.fixture(scope="module")
def seen() -> list[str]:
    return []


@pytest.fixture(scope="module")
def both(envoy: Path, seen: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProxies]:
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        ports = {
            1: servers.script(lambda wire, number: serve_http1(seen, wire, number)).port,
            2: servers.script(lambda wire, _: serve_http2(seen, wire.sock)).port,
        }
        clusters = [cluster(f"http{to}", port, http=HttpProtocolOptions(f"http{to}")) for to, port in ports.items()]
        clusters += [cluster("bytes", servers.script(serve_bytes).port), cluster("nobody", servers.nobody())]
        hosts = []
        for to in ports:
            usual = RouteAction(f"http{to}", timeout=0.0)
            off = RouteAction(f"http{to}", timeout=0.0, upgrades_off=("WebSocket", "CONNECT"))
            on = RouteAction(f"http{to}", timeout=0.0, upgrades=("websocket", "CONNECT"))
            for name, action in (("http", usual), ("refusing", usual), ("off", off), ("on", on)):
                routes = (route("/", action), route(CONNECT, action))
                hosts.append(host(*routes, name=f"{name}{to}", domains=(f"{name}{to}", f"{name}{to}:443")))
        for name, to in (("ends", "bytes"), ("nobody", "nobody")):
            action = RouteAction(to, timeout=0.0, ends_connect=True)
            hosts.append(host(route(CONNECT, action), name=name, domains=(f"{name}:443",)))

        def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
            made = [http_listener(*hosts, name=name, access_logs=logs, **f) for name, f in LISTENERS.items()]
            return ProxyConfig(tuple(made), clusters=tuple(clusters))

        yield stack.enter_context(TwoProxies(envoy, tmp_path_factory.mktemp("upgrades"), make))


def over_http1(port: int, row: Row) -> tuple[dict[str, Any], int]:
    with Client(port) as client:
        if row.method == "CONNECT":
            client.send(f"CONNECT {row.host}:443 HTTP/1.1\r\nHost: {row.host}\r\n\r\n".encode())
        else:
            client.send(
                f"GET {row.path} HTTP/1.1\r\nHost: {row.host}\r\nConnection: Upgrade\r\nUpgrade: {row.upgrade}\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
        got = client.reply_head()
        found: dict[str, Any] = {"head": plain("\n".join(sorted(got.head.decode("latin-1").strip().split("\r\n"))))}
        if got.status == 101 or (row.method == "CONNECT" and got.status == 200):
            client.send(b"hello")
            found["heard"] = client.exactly(5)
        else:
            found["heard"] = client.body_of(got.head)
        return found, int(client.sock.getsockname()[1])


def over_http2(port: int, row: Row) -> tuple[dict[str, Any], int]:
    with Http2Client(port) as client:
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1)
        number: int = client.h2.get_next_available_stream_id()
        fields = [(":method", "CONNECT"), (":authority", f"{row.host}:443" if row.method == "CONNECT" else row.host)]
        if row.method != "CONNECT":
            fields += [(":protocol", row.upgrade), (":scheme", "http"), (":path", row.path)]
            fields += [("sec-websocket-version", "13")]
        client.h2.send_headers(number, fields)
        client.messages[number] = message = Message()
        client.flush()
        client.until(lambda: message.fields != [])
        if message.status == 200:
            client.h2.send_data(number, b"hello")
            client.flush()
            client.until(lambda: len(message.body) == 5)
        else:
            client.reply(number)
        lines = sorted(f"{name.decode()}: {value.decode()}" for name, value in message.fields)
        return {"head": plain("\n".join(lines)), "heard": message.body}, int(client.sock.getsockname()[1])


@pytest.mark.parametrize("name", ROWS)
def test_other_protocols_pass_alike(both: TwoProxies, seen: list[str], name: str) -> None:
    row = ROWS[name]
    found: dict[str, dict[str, Any]] = {}
    for side in ("envoy", "ours"):
        seen.clear()
        found[side], port = (over_http1 if row.version == 1 else over_http2)(both.ports[side][row.listener], row)
        found[side]["seen"] = list(seen)
        ends = port, both.ports[side][row.listener]
        found[side]["log"] = both.logged(side, {ends: 1})[ends]
    ours, other = found["ours"], found["envoy"]
    if name in OTHERWISE:
        other["head"] = other["head"].replace("content-length: 7\n", "")
    assert ours == other

"""What is done to heads by the settings of a connection manager: a real Envoy and our worker do the same."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesh_api.config import (
    AccessLog,
    CertificateValidation,
    CommonTls,
    DownstreamTls,
    FilterChain,
    Listener,
    ProxyConfig,
)
from mesh_api.config.routes import DirectResponse
from mesh_api.config.tls import CertificateSource, DataSource
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.authority import Authority
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, manager, route
from tests.support.raw_http import LIMIT, Request, Wire, answer, fields_of
from tests.support.two_proxies import Ask, Outcome, TwoProxies, plain

pytestmark = pytest.mark.integration

LISTENERS: dict[str, dict[str, Any]] = {
    "reject": {"path_with_escaped_slashes_action": "REJECT_REQUEST"},
    "redirect": {
        "path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
        "normalize_path": True,
        "merge_slashes": True,
    },
    "forward": {
        "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD",
        "normalize_path": True,
        "merge_slashes": True,
    },
    "absent": {"server_header_transformation": "APPEND_IF_ABSENT"},
    "pass": {"server_header_transformation": "PASS_THROUGH"},
    "via": {"via": "gate"},
    "any port": {"strip_port": "ANY", "strip_trailing_host_dot": True},
    "dot": {"strip_trailing_host_dot": True},
    "skip": {"use_remote_address": True, "skip_xff_append": True},
    "hops": {"use_remote_address": True, "xff_num_trusted_hops": 1, "skip_xff_append": True},
    "port": {"append_x_forwarded_port": True},
}


def ask(line: str, *lines: str, host: str = "test") -> bytes:
    return "\r\n".join((f"{line} HTTP/1.1", f"host: {host}", *lines, "", "")).encode()


ASKS = (
    {
        f"{line} where the answer is {listener}": Ask(listener, ask(line))
        for listener in ("reject", "redirect", "forward")
        for line in (
            "GET /a%2fb%5Cc?x=%2f",
            "GET /a%2F..%2fb",
            "GET /a/%2F/b",
            "GET /plain/../b",
            "GET /a%zz",
            "GET /a%00",
        )
    }
    | {
        f"{path} and server {listener}": Ask(listener, ask(f"GET {path}"))
        for listener in ("absent", "pass", "via")
        for path in ("/own", "/none", "/direct")
    }
    | {
        "gRPC with escaped slashes": Ask("redirect", ask("POST /a%2fb", "content-type: application/grpc")),
        "via what came before": Ask("via", ask("GET /own", "via: 1.1 a", "via: 1.1 b")),
        **{
            f"host {name}": Ask("any port", ask("GET /", host=name))
            for name in ("t", "t:80", "t.", "t.:80", "[::1]:1", "[::1]")
        },
        **{
            f"host {name} and its dot": Ask("dot", ask("GET /", host=name)) for name in ("t", "t.", "t.:80", "1.2.3.4.")
        },
        "nothing is appended": Ask(
            "skip", ask("GET /", "x-forwarded-for: 1.2.3.4", "x-envoy-external-address: 9.9.9.9")
        ),
        "nothing is appended to nothing": Ask("skip", ask("GET /")),
        "the address that a trusted hop tells": Ask("hops", ask("GET /", "x-forwarded-for: 1.2.3.4, 5.6.7.8")),
        "a port that is told already": Ask("port", ask("GET /", "x-forwarded-port: 7")),
    }
)
STRICTER = {
    f"GET /a%zz where the answer is {listener}": "servers disagree about the path that it stands for"
    for listener in ("redirect", "forward")
}


def said(request: Request) -> bytes:
    own = "server: mine\r\nvia: 1.0 back\r\n" if request.target.startswith("/own") else ""
    lines = sorted(line for line in request.head.decode("latin-1").strip().split("\r\n"))
    return answer("\n".join(lines).encode(), extra=own)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with contextlib.ExitStack() as stack:
        yield Servers(stack)


@pytest.fixture(scope="module")
def both(envoy: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoProxies]:
    hosts = host(route("/direct", DirectResponse(200, b"direct")), route())
    _, port = servers.http(said)

    def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
        made = [http_listener(hosts, name=name, access_logs=logs, **fields) for name, fields in LISTENERS.items()]
        return ProxyConfig(tuple(made), clusters=(cluster("backend", port),))

    with TwoProxies(envoy, tmp_path_factory.mktemp("heads"), make) as made:
        yield made


@pytest.fixture(scope="module")
def outcomes(both: TwoProxies) -> dict[str, dict[str, Outcome]]:
    return both.outcomes(ASKS)


@pytest.mark.parametrize("name", [name for name in ASKS if name not in STRICTER])
def test_heads_are_treated_alike(outcomes: dict[str, dict[str, Outcome]], name: str) -> None:
    assert outcomes[name]["ours"] == outcomes[name]["envoy"]


@pytest.mark.parametrize("name", STRICTER)
def test_what_is_in_doubt_we_refuse_where_envoy_does_not(outcomes: dict[str, dict[str, Outcome]], name: str) -> None:
    assert outcomes[name]["ours"].log == ("400 - path_normalization_failed",)
    assert outcomes[name]["envoy"].log != outcomes[name]["ours"].log, "no longer stricter"


OWN = ("spiffe://td/ns/a/sa/server",)
CLIENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "a workload": (("spiffe://td/ns/b/sa/client",), ""),
    "a name": (("client.example",), "client"),
    "several": (("spiffe://td/1", "spiffe://td/2", "a.example", "b.example"), "x, y"),
    "nobody": ((), ""),
}
TOLD = (("subject", "cert", "dns", "uri"), ("uri",), ())
MODES = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
GIVEN = "By=spiffe://x;Hash=00;URI=spiffe://y"


@pytest.fixture(scope="module")
def mutual(
    envoy: Path, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TwoProxies, Authority]]:
    authority = Authority()
    own = authority.certificate(*OWN)
    common = CommonTls(
        tls_certificates=(CertificateSource(DataSource(inline=own.chain), DataSource(inline=own.key)),),
        validation=CertificateValidation(trusted_ca=DataSource(inline=authority.pem)),
    )
    _, port = servers.http(said)

    def make(logs: tuple[AccessLog, ...]) -> ProxyConfig:
        made = []
        for mode in MODES:
            for place, told in enumerate(TOLD):
                fields = {"forward_client_cert": mode, "client_cert_details": told, "access_logs": logs}
                chain = FilterChain(manager((host(route()),), **fields), tls=DownstreamTls(common))
                made.append(Listener(f"{mode} {place}", ANY_PORT, (chain,)))
        return ProxyConfig(tuple(made), clusters=(cluster("backend", port),))

    with TwoProxies(envoy, tmp_path_factory.mktemp("mutual"), make) as made:
        yield made, authority


def told(port: int, context: ssl.SSLContext, given: str) -> str:
    """What the server is told of the client's certificate."""
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), LIMIT)) as sock:
        sock.sendall(ask("GET /", *((f"x-forwarded-client-cert: {given}",) if given else ())))
        wire = Wire(sock)
        body = wire.exactly(int(fields_of(wire.head())["content-length"])).decode()
    return plain("".join(line for line in body.split("\n") if line.startswith("x-forwarded-client-cert")))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("who", CLIENTS)
def test_a_client_is_vouched_for_alike(mutual: tuple[TwoProxies, Authority], mode: str, who: str) -> None:
    both, authority = mutual
    names, subject = CLIENTS[who]
    context = authority.client(None if who == "nobody" else authority.certificate(*names, subject=subject))
    for place in range(len(TOLD)):
        for given in ("", GIVEN):
            found = {side: told(both.ports[side][f"{mode} {place}"], context, given) for side in both.ports}
            assert found["ours"] == found["envoy"]

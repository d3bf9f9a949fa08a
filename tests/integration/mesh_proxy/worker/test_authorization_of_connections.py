"""Guards of connections that carry bytes: a real Envoy and our worker let the same clients through.

Ours decides when the connection comes, Envoy at its first byte: until then a server behind Envoy may speak to anybody.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mesh_api.config import (
    AccessLog,
    FilterChain,
    Listener,
    NetworkRbac,
    ProxyConfig,
    Rbac,
    RbacAction,
    RbacPolicy,
    TcpProxy,
)
from mesh_api.config.authorization import (
    ANYTHING,
    Authenticated,
    DestinationPort,
    DirectRemoteIp,
    MetadataMatch,
    Not,
    RequestedServerName,
    Rule,
    UriTemplate,
    UrlPath,
)
from mesh_api.config.matchers import StringMatch, StringMatchKind
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Proxy, Servers
from tests.support.denials import in_envoys_words
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import ANY_PORT, cluster, host, http_listener, route
from tests.support.raw_http import Client, Wire
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

ANY_TEXT = StringMatch(StringMatchKind.REGEX, ".*")


def guard(action: RbacAction, what: Rule = ANYTHING, who: Rule = ANYTHING) -> NetworkRbac:
    return NetworkRbac("tcp.", Rbac(action, (RbacPolicy("ns[a]-policy[b]-rule[0]", (what,), (who,)),)))


ALLOW, DENY, LOG = RbacAction.ALLOW, RbacAction.DENY, RbacAction.LOG
GUARDS: dict[str, tuple[NetworkRbac, ...]] = {
    "none": (),
    "empty": (NetworkRbac("tcp."),),
    "nothing allowed": (NetworkRbac("tcp.", Rbac()),),
    "nothing denied": (NetworkRbac("tcp.", Rbac(DENY)),),
    "logged": (guard(LOG),),
    "allowed": (guard(ALLOW),),
    "denied": (guard(DENY),),
    "shadow": (NetworkRbac("tcp.", None, Rbac(), "s_"),),
    "denied after all was allowed": (guard(ALLOW), guard(DENY)),
    "from here": (guard(ALLOW, who=DirectRemoteIp("127.0.0.0/8")),),
    "from elsewhere": (guard(ALLOW, who=DirectRemoteIp("10.0.0.0/8")),),
    "not from here": (guard(DENY, who=Not(DirectRemoteIp("127.0.0.0/8"))),),
    "to another port": (guard(ALLOW, DestinationPort(1)),),
    "any path": (guard(ALLOW, UrlPath(ANY_TEXT)),),
    "some path": (guard(ALLOW, UrlPath(StringMatch(StringMatchKind.REGEX, ".+"))),),
    "not a path": (guard(DENY, Not(UrlPath(StringMatch(StringMatchKind.EXACT, "/a")))),),
    "any template": (guard(ALLOW, UriTemplate("/**")),),
    "any name": (guard(ALLOW, RequestedServerName(ANY_TEXT)),),
    "an identity": (guard(ALLOW, who=Authenticated()),),
    "no identity": (guard(DENY, who=Not(Authenticated(ANY_TEXT))),),
    "a claim": (guard(ALLOW, who=MetadataMatch("f", ("a",), ANY_TEXT)),),
    "no claim": (guard(DENY, who=MetadataMatch("f", ("a",), ANY_TEXT, invert=True)),),
}


def listeners(log: Path) -> tuple[Listener, ...]:
    logs = (AccessLog(str(log), text_format="%CONNECTION_TERMINATION_DETAILS%\t%RESPONSE_FLAGS%\n"),)
    return tuple(
        Listener(name, ANY_PORT, (FilterChain(TcpProxy("t", "backend", access_logs=logs), guards=guards),))
        for name, guards in GUARDS.items()
    )


class Outcome(NamedTuple):
    """What the client got back, and what the log says of the connection's end."""

    got: bytes
    log: str


def ask(port: int) -> bytes:
    with Client(port) as client, contextlib.suppress(ConnectionError):
        client.send(b"hello")
        return client.rest()
    return b""


def greet(wire: Wire, number: int) -> None:
    """A server that answers and closes."""
    if wire.exactly(5):
        wire.send(b"welcome")


def run(proxy: EnvoyProcess | WorkerProcess, log: Path) -> dict[str, Outcome]:
    found: dict[str, Outcome] = {}
    for place, name in enumerate(GUARDS):
        got = ask(proxy.port(name))
        deadline = time.monotonic() + LIMIT
        while len(lines := log.read_text().splitlines() if log.exists() else []) <= place:
            assert time.monotonic() < deadline, f"the log says nothing of {name}"
            if isinstance(proxy, WorkerProcess):
                proxy.send(ipc.Reopen())
                proxy.stats()
        found[name] = Outcome(got, in_envoys_words(lines[place]))
    return found


@pytest.fixture(scope="module")
def outcomes(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("guards")
        backend = cluster("backend", Servers(stack).script(greet).port)
        logs = folder / "envoy.access", folder / "ours.access"
        real = stack.enter_context(EnvoyProcess(envoy, folder, ProxyConfig(listeners(logs[0]), clusters=(backend,))))
        worker = stack.enter_context(WorkerProcess())
        taken = worker.apply(ProxyConfig(listeners(logs[1]), clusters=(backend,)))
        assert isinstance(taken, ipc.Applied), taken
        yield run(real, logs[0]), run(worker, logs[1])


@pytest.mark.parametrize("name", GUARDS)
def test_who_passes_a_real_envoy_passes_ours(outcomes: tuple[Any, Any], name: str) -> None:
    envoys, ours = outcomes
    assert ours[name] == envoys[name]


def test_a_server_never_hears_of_who_may_not(proxy: Proxy, servers: Servers) -> None:
    server = servers.manual()
    chain = FilterChain(TcpProxy("t", "backend"), guards=(guard(DENY),))
    proxy.run(ProxyConfig((Listener("tcp", ANY_PORT, (chain,)),), clusters=(cluster("backend", server.port),)))
    client = proxy.client()
    with contextlib.suppress(ConnectionError):
        assert client.rest() == b""
    proxy.until(lambda stats: stats.counters.get("tcp.rbac.denied") == 1)
    assert server.idle()


def test_a_new_rule_reaches_connections_that_are_kept(proxy: Proxy) -> None:
    listener = http_listener(host(route()), name="http")
    chain = listener.filter_chains[0]
    proxy.run(ProxyConfig((listener,), clusters=(cluster("backend"),)))
    client = proxy.client()
    assert client.get().status == 503
    denied = Listener("http", ANY_PORT, (FilterChain(chain.filter, guards=(guard(DENY),)),))
    assert isinstance(proxy.worker.apply(ProxyConfig((denied,), clusters=(cluster("backend"),))), ipc.Applied)
    with Client(proxy.port) as other, contextlib.suppress(ConnectionError):
        assert other.rest() == b""

"""A server of gRPC that decides about connections: what a real Envoy and our worker ask it, and whom they let in."""

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2
from google.protobuf import json_format
from google.rpc import status_pb2

from mesh_api.config import (
    AccessLog,
    FilterChain,
    GrpcService,
    HttpProtocolOptions,
    Listener,
    NetworkExtAuthz,
    NetworkRbac,
    ProxyConfig,
    Rbac,
    RbacAction,
    RbacPolicy,
    TcpProxy,
)
from mesh_api.config.authorization import Anything, DestinationPort, MetadataMatch
from mesh_api.config.matchers import StringMatch, StringMatchKind
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import ANY_PORT, cluster
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

VERDICTS = {"allowed": 0, "denied": 7}
FAILURES = {"unavailable": grpc.StatusCode.UNAVAILABLE}
CASES = (*VERDICTS, *FAILURES, "slow")
FORM = "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT%\n"
"""Nothing of what comes before the verdict: ours asks before it reads, and before it chooses a host."""


@dataclass
class Judge(grpc.GenericRpcHandler):
    """Says what it is told to, and keeps what it was asked."""

    verdict: str = "allowed"
    asked: list[Any] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        assert details.method == "/envoy.service.auth.v3.Authorization/Check"
        return grpc.unary_unary_rpc_method_handler(
            self.check, external_auth_pb2.CheckRequest.FromString, lambda value: value.SerializeToString()
        )

    def check(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        if self.verdict in FAILURES:
            context.abort(FAILURES[self.verdict], "no")
        if self.verdict == "slow":
            time.sleep(1.0)
        return external_auth_pb2.CheckResponse(status=status_pb2.Status(code=VERDICTS.get(self.verdict, 0)))


class Seen(NamedTuple):
    """What came of the connections of one proxy: what was answered, what was asked, and what the log says."""

    answered: dict[str, bytes]
    asked: dict[str, Any]
    logs: dict[str, str]


def marked() -> tuple[NetworkRbac, MetadataMatch]:
    """Rules that mark all connections, and the mark."""
    policy = RbacPolicy("mark-all", (Anything(),), (Anything(),))
    rbac = NetworkRbac("tcp.", shadow_rules=Rbac(RbacAction.DENY, (policy,)), shadow_rules_stat_prefix="ask_")
    path = ("ask_shadow_effective_policy_id",)
    match = MetadataMatch("envoy.filters.network.rbac", path, StringMatch(StringMatchKind.PREFIX, "mark"))
    return rbac, match


def unmarked() -> tuple[NetworkRbac, MetadataMatch]:
    """Rules that mark none."""
    policy = RbacPolicy("mark-none", (DestinationPort(1),), (Anything(),))
    rbac, match = marked()
    shadow = Rbac(RbacAction.DENY, (policy,))
    return NetworkRbac("tcp.", shadow_rules=shadow, shadow_rules_stat_prefix=rbac.shadow_rules_stat_prefix), match


def listener(name: str, log: Path, *before: Any, **settings: Any) -> Listener:
    service = GrpcService("judge", "judge.example", 0.5, (("x-meta", "data"),))
    asks = NetworkExtAuthz("tcp.", service, **settings)
    proxy = TcpProxy("tcp", "backend", access_logs=(AccessLog(str(log), FORM),))
    return Listener(name, ANY_PORT, (FilterChain(proxy, guards=(*before, asks)),))


WHERE = ("plain", "open", "marked", "unmarked")


def config(folder: Path, port: int, judging: int) -> ProxyConfig:
    mark, is_marked = marked()
    other, _ = unmarked()
    listeners = (
        listener("plain", folder / "plain"),
        listener("open", folder / "open", failure_mode_allow=True),
        listener("marked", folder / "marked", mark, enabled=is_marked),
        listener("unmarked", folder / "unmarked", other, enabled=is_marked),
    )
    return ProxyConfig(
        listeners, clusters=(cluster("backend", port), cluster("judge", judging, http=HttpProtocolOptions("http2")))
    )


def ask(proxy: EnvoyProcess | WorkerProcess, judge: Judge, folder: Path) -> Seen:
    answered, asked, logs = {}, {}, {}
    for where in WHERE:
        for number, case in enumerate(CASES, start=1):
            judge.verdict, name = case, f"{where}: {case}"
            judge.asked.clear()
            with socket.create_connection(("127.0.0.1", proxy.port(where)), LIMIT) as client:
                client.settimeout(LIMIT)
                client.sendall(b"hello\n")
                try:
                    answered[name] = client.recv(100)
                except ConnectionResetError:
                    answered[name] = b""
            asked[name] = judge.asked[-1] if judge.asked else None
            logs[name] = logged(proxy, folder / where, number)
    return Seen(answered, asked, logs)


def logged(proxy: EnvoyProcess | WorkerProcess, log: Path, number: int) -> str:
    deadline = time.monotonic() + LIMIT
    while True:
        if isinstance(proxy, WorkerProcess):
            proxy.send(ipc.Reopen())
            proxy.stats()
        found = log.read_text().splitlines() if log.exists() else []
        if len(found) >= number:
            return found[number - 1]
        assert time.monotonic() < deadline, f"{log.name} has {len(found)} of {number} lines"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, Seen]]:
    theirs, ours = tmp_path_factory.mktemp("theirs"), tmp_path_factory.mktemp("ours")
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        echo = servers.script(lambda wire, _: wire.send(b"echo " + wire.until(b"\n")))
        judge = Judge()
        server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(judge,))
        judging = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        real = stack.enter_context(EnvoyProcess(envoy, theirs, config(theirs, echo.port, judging)))
        worker = stack.enter_context(WorkerProcess())
        applied = worker.apply(config(ours, echo.port, judging))
        assert isinstance(applied, ipc.Applied), applied
        yield ask(real, judge, theirs), ask(worker, judge, ours)


NAMES = [f"{where}: {case}" for where in WHERE for case in CASES]


@pytest.mark.parametrize("name", NAMES)
def test_who_is_let_in(both: tuple[Seen, Seen], name: str) -> None:
    theirs, ours = both
    assert ours.answered[name] == theirs.answered[name]


@pytest.mark.parametrize("name", NAMES)
def test_questions(both: tuple[Seen, Seen], name: str) -> None:
    def kept(request: Any) -> Any:
        if request is None:
            return None
        value = json_format.MessageToDict(request)
        for end in ("source", "destination"):
            value["attributes"][end]["address"]["socketAddress"].pop("portValue")
        return value

    theirs, ours = both
    assert kept(ours.asked[name]) == kept(theirs.asked[name])


@pytest.mark.parametrize("name", NAMES)
def test_logs(both: tuple[Seen, Seen], name: str) -> None:
    theirs, ours = both
    assert ours.logs[name] == theirs.logs[name]

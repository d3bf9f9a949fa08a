"""A server of gRPC that decides about requests: what a real Envoy and our worker ask it, and what they make of its words."""

import contextlib
import re
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from google.rpc import status_pb2

from mesh_api.config import (
    AccessLog,
    ExtAuthzFilter,
    GrpcService,
    HttpProtocolOptions,
    Listener,
    ProxyConfig,
    RouterFilter,
    StringMatch,
    StringMatchKind,
)
from mesh_api.config.external_authorization import AuthorizationBody
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import cluster, host, http_listener, route
from tests.support.raw_http import Backend, Client, Reply
from tests.support.worker_process import LIMIT, WorkerProcess

from envoy.config.core.v3 import base_pb2  # isort: skip
from envoy.service.auth.v3 import external_auth_pb2  # isort: skip
from envoy.type.v3 import http_status_pb2  # isort: skip

pytestmark = pytest.mark.integration

DENIED, UNKNOWN = 7, 2
Option = base_pb2.HeaderValueOption
APPEND, ABSENT, OVERWRITE, EXISTING = (
    Option.APPEND_IF_EXISTS_OR_ADD,
    Option.ADD_IF_ABSENT,
    Option.OVERWRITE_IF_EXISTS_OR_ADD,
    Option.OVERWRITE_IF_EXISTS,
)


def option(name: str, value: str, action: Any = None, append: bool | None = None) -> Any:
    made = Option(header=base_pb2.HeaderValue(key=name, value=value))
    if append is not None:
        made.append.value = append
    if action is not None:
        made.append_action = action
    return made


def response(code: int = 0, **fields: Any) -> Any:
    return external_auth_pb2.CheckResponse(status=status_pb2.Status(code=code), **fields)


def allowed(**fields: Any) -> Any:
    return response(ok_response=external_auth_pb2.OkHttpResponse(**fields))


def denied(code: int = 0, **fields: Any) -> Any:
    status = http_status_pb2.HttpStatus(code=code) if code else None
    return response(DENIED, denied_response=external_auth_pb2.DeniedHttpResponse(status=status, **fields))


def struct(**values: Any) -> Any:
    made = struct_pb2.Struct()
    made.update(values)
    return made


def options(name: str) -> list[Any]:
    """One field in every way that it can be written."""
    return [
        option(f"{name}-plain", "new"),
        option(f"{name}-yes", "new", append=True),
        option(f"{name}-no", "new", append=False),
        option(f"{name}-append", "new", APPEND),
        option(f"{name}-absent", "new", ABSENT),
        option(f"{name}-overwrite", "new", OVERWRITE),
        option(f"{name}-existing", "new", EXISTING),
    ]


ANSWERS: dict[str, Any] = {
    "plain": response(),
    "allowed": allowed(),
    "set": allowed(headers=options("x-had") + options("x-new")),
    "twice": allowed(headers=[option("x-a", "1"), option("x-a", "2")]),
    "appended twice": allowed(headers=[option("x-a", "1", append=True), option("x-a", "2", append=True)]),
    "removed": allowed(headers_to_remove=["x-had-plain", "X-Had-Yes", "x-none"]),
    "set and removed": allowed(headers=[option("x-had-plain", "new")], headers_to_remove=["x-had-plain"]),
    "answer": allowed(response_headers_to_add=options("x-told") + options("x-answer")),
    "metadata": allowed(dynamic_metadata=struct(a="b")),
    "metadata of all": response(dynamic_metadata=struct(who="me", level=3, nested={"a": [True, None]})),
    "denied": response(DENIED),
    "denied with metadata": response(DENIED, dynamic_metadata=struct(who="me")),
    "unknown": response(UNKNOWN),
    "denied as": denied(401, body="who are you", headers=[option("www-authenticate", "Basic"), option("x-a", "1")]),
    "denied without a status": denied(body="no"),
    "denied with several": denied(403, headers=[option("x-a", "1", append=True), option("x-a", "2", append=True)]),
    "denied in every way": denied(403, headers=options("x-had")),
    "denied with a type": denied(403, body="<b>", headers=[option("content-type", "text/html")]),
    "denied with 200": denied(200, body="fine"),
    "elsewhere": denied(302, headers=[option("location", "http://login.example/")]),
    "busy": denied(503, body="later"),
}  # fmt: skip
UNUSABLE = {
    "denied with 600": denied(600, body="no"),
    "denied with 99": denied(99, body="no"),
    "denied with 700000": denied(700_000),
    "denied with a bad field": denied(401, body="no", headers=[option("x-a b", "1"), option("x-c", "2")]),
    "denied with a broken field": denied(401, body="no", headers=[option("x-a", "1\r\nx-b: 2"), option("x-c", "3")]),
}  # fmt: skip
"""Refusals of which a client cannot be told as the server says, and as Envoy does: ours says less, and refuses."""
ANSWERS |= UNUSABLE
FAILURES = {"unavailable": grpc.StatusCode.UNAVAILABLE, "refused by status": grpc.StatusCode.PERMISSION_DENIED}
SLOW = "slow"
HAD = "".join(f"x-had-{way}: old\r\n" for way in ("plain", "yes", "no", "append", "absent", "overwrite", "existing"))


@dataclass
class Judge(grpc.GenericRpcHandler):
    """Says what the request's ``x-case`` asks for, and keeps what it was asked."""

    asked: list[Any] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        assert details.method == "/envoy.service.auth.v3.Authorization/Check"
        return grpc.unary_unary_rpc_method_handler(
            self.check,
            external_auth_pb2.CheckRequest.FromString,
            lambda value: value.SerializeToString(),
        )

    def check(self, request: Any, context: Any) -> Any:
        http = request.attributes.request.http
        self.asked.append((request, dict(context.invocation_metadata())))
        case = http.headers.get("x-case", "plain")
        if case in FAILURES:
            context.abort(FAILURES[case], "no")
        if case == SLOW:
            time.sleep(1.0)
        return ANSWERS.get(case, ANSWERS["plain"])


class Seen(NamedTuple):
    """What came of the requests of one proxy."""

    replies: dict[str, Reply]
    passed: dict[str, dict[str, str] | None]
    asked: dict[str, tuple[Any, dict[str, str]]]
    log: list[str]
    """Its lines, sorted."""


BODIES = {
    "short": ("POST", "abc"),
    "longer than shown": ("POST", "abcdefghijklmnop"),
    "umlauts": ("POST", "\u00e4\u00f6\u00fc"),
}
FORM = "%REQ(x-case)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
FORM += "%DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n"


def listener(name: str, log: Path, **settings: Any) -> Listener:
    service = GrpcService("judge", "judge.example", 0.5, (("x-meta", "data"),))
    filters = (ExtAuthzFilter(grpc=service, **settings), RouterFilter())
    return http_listener(
        host(route("/", "backend")),
        name=name,
        http_filters=filters,
        access_logs=(AccessLog(str(log), FORM),),
    )


def ask(proxy: EnvoyProcess | WorkerProcess, backend: Backend, judge: Judge, log: Path) -> Seen:
    replies, passed, asked = {}, {}, {}

    def one(where: str, case: str, method: str, extra: str, body: bytes) -> None:
        backend.requests.clear()
        judge.asked.clear()
        with Client(proxy.port(where)) as client:
            length = f"content-length: {len(body)}\r\n" if body else ""
            lines = f"{method} /p?q=1 HTTP/1.1\r\nhost: test\r\nx-case: {case}\r\n{length}{extra}\r\n"
            client.send(lines.encode() + body)
            name = f"{where}: {case}"
            replies[name] = client.reply()
        passed[name] = backend.requests[-1].fields if backend.requests else None
        asked[name] = judge.asked[-1] if judge.asked else (None, {})

    for case in (*ANSWERS, *FAILURES, SLOW):
        one("plain", case, "GET", HAD, b"")
        one("open", case, "GET", HAD, b"")
    for case, (method, body) in BODIES.items():
        for where in ("plain", "open", "bytes"):
            one(where, case, method, "", body.encode())
    one("plain", "call", "POST", "content-type: application/grpc\r\nx-case: denied as\r\n", b"")
    hop = "connection: te\r\nte: trailers\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\n"
    one("plain", "of the connection", "GET", hop + "x-envoy-auth-partial-body: true\r\n", b"")
    one("plain", "repeated", "GET", "x-b: 1\r\nx-b: 2\r\ncookie: a\r\ncookie: b\r\n", b"")
    return Seen(replies, passed, asked, logged(proxy, log, len(replies)))


def logged(proxy: EnvoyProcess | WorkerProcess, log: Path, number: int) -> list[str]:
    deadline = time.monotonic() + LIMIT
    while True:
        if isinstance(proxy, WorkerProcess):
            proxy.send(ipc.Reopen())
            proxy.stats()
        found = log.read_text().splitlines() if log.exists() else []
        if len(found) >= number:
            return sorted(re.sub(r'_duration":\d+', '_duration":0', line) for line in found)
        assert time.monotonic() < deadline, f"the log has {len(found)} of {number} lines"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def both(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Seen, Seen]]:
    folder = tmp_path_factory.mktemp("ext_authz")
    with contextlib.ExitStack() as stack:
        servers = Servers(stack)
        backend, port = servers.http(told)
        judge = Judge()
        server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(judge,))
        judging = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        shown = StringMatch(StringMatchKind.PREFIX, "x-")

        def config(log: Path) -> ProxyConfig:
            listeners = (
                listener("plain", log, allowed_headers=()),
                listener(
                    "open",
                    log,
                    failure_mode_allow=True,
                    allowed_headers=(shown,),
                    body=AuthorizationBody(8, allow_partial=True),
                ),
                listener("bytes", log, status_on_error=500, body=AuthorizationBody(64, as_bytes=True)),
            )
            clusters = (cluster("backend", port), cluster("judge", judging, http=HttpProtocolOptions("http2")))
            return ProxyConfig(listeners, clusters=clusters)

        theirs, ours = folder / "theirs.log", folder / "ours.log"
        real = stack.enter_context(EnvoyProcess(envoy, folder, config(theirs)))
        worker = stack.enter_context(WorkerProcess())
        applied = worker.apply(config(ours))
        assert isinstance(applied, ipc.Applied), applied
        yield ask(real, backend, judge, theirs), ask(worker, backend, judge, ours)


def told(request: Any) -> bytes:
    ways = ("plain", "yes", "no", "append", "absent", "overwrite", "existing")
    lines = "".join(f"x-told-{way}: old\r\n" for way in ways)
    return f"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{lines}\r\nok".encode()


NAMES = [f"{where}: {case}" for where in ("plain", "open") for case in (*ANSWERS, *FAILURES, SLOW)]
NAMES += [f"{where}: {case}" for where in ("plain", "open", "bytes") for case in BODIES]
NAMES += ["plain: call", "plain: of the connection", "plain: repeated"]
VARY = ("date", "server", "x-envoy-upstream-service-time", "x-request-id")


def comparable(reply: Reply) -> Any:
    lines = sorted(
        line for line in reply.head.decode("latin-1").split("\r\n")[1:] if line.partition(":")[0].lower() not in VARY
    )
    return reply.status, lines, reply.body


@pytest.mark.parametrize("name", [name for name in NAMES if name.partition(": ")[2] not in UNUSABLE])
def test_answers(both: tuple[Seen, Seen], name: str) -> None:
    theirs, ours = both
    assert comparable(ours.replies[name]) == comparable(theirs.replies[name])


@pytest.mark.parametrize("where", ["plain", "open"])
@pytest.mark.parametrize("case", UNUSABLE)
def test_a_refusal_that_no_client_can_be_told_of_is_one(both: tuple[Seen, Seen], where: str, case: str) -> None:
    for seen in both:
        assert seen.passed[f"{where}: {case}"] is None
    reply = both[1].replies[f"{where}: {case}"]
    fields = {line.partition(b":")[0] for line in reply.head.split(b"\r\n")[1:] if line}
    assert reply.status == (401 if "field" in case else 403)
    assert not {name for name in fields if name.startswith(b"x-")} - {b"x-c"}


@pytest.mark.parametrize("name", NAMES)
def test_what_goes_on(both: tuple[Seen, Seen], name: str) -> None:
    theirs, ours = both

    def kept(fields: dict[str, str] | None) -> Any:
        return fields and {key: value for key, value in fields.items() if key not in VARY}

    assert kept(ours.passed[name]) == kept(theirs.passed[name])


@pytest.mark.parametrize("name", NAMES)
def test_questions(both: tuple[Seen, Seen], name: str) -> None:
    def kept(asked: tuple[Any, dict[str, str]]) -> Any:
        request, metadata = asked
        if request is None:
            return None
        value = json_format.MessageToDict(request)
        attributes = value["attributes"]
        attributes["request"].pop("time")
        attributes["request"]["http"].pop("id")
        for end in ("source", "destination"):
            attributes[end]["address"]["socketAddress"].pop("portValue")
        headers = attributes["request"]["http"].get("headers", {})
        headers.pop("x-request-id", None)
        return value, {key: text for key, text in metadata.items() if key not in ("user-agent", "x-request-id")}

    theirs, ours = both
    assert kept(ours.asked[name]) == kept(theirs.asked[name])


def test_logs(both: tuple[Seen, Seen]) -> None:
    theirs, ours = ([of_any_status(line) for line in seen.log] for seen in both)
    assert sorted(ours) == sorted(theirs)


def of_any_status(line: str) -> str:
    case, space, told = line.partition(" UAEX ")
    name = case.rpartition(" ")[0]
    return name + space + told if name in UNUSABLE else line

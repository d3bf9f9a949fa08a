"""Who may do what: the same rules and the same requests for a real Envoy and for our worker, the same decisions.

Compared are status, body, fields of a refusal, and what the access log says of it. Where ours is different on purpose,
:data:`OTHERWISE` says why.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mesh_api.config import AccessLog, DirectResponse, HttpFilter, Listener, ProxyConfig, RouterFilter
from mesh_proxy import ipc
from tests.integration.mesh_proxy.worker.authorization_rows import EDGE, FILTERS, REQUESTS
from tests.integration.mesh_proxy.worker.test_like_envoy import final
from tests.support.denials import in_envoys_words
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import host, http_listener, route
from tests.support.raw_http import Client
from tests.support.worker_process import LIMIT, WorkerProcess

pytestmark = pytest.mark.integration

OTHERWISE = {
    "secure absolute": "the scheme is that of the connection, whatever the target says; at the edge Envoy refuses it",
}
"""Requests of which ours thinks otherwise, and why."""


class Outcome(NamedTuple):
    """What came of a request."""

    status: int
    body: bytes
    fields: tuple[tuple[str, str], ...]
    details: str


def listeners(log: Path) -> tuple[Listener, ...]:
    logs = (AccessLog(str(log), text_format="%REQ(USER-AGENT)%\t%RESPONSE_CODE_DETAILS%\t%RESPONSE_FLAGS%\n"),)
    hosts = (host(route("/", DirectResponse(200, b"passed")), domains=("test", "test:80", "test.", "*.example")),)

    def one(name: str, filters: tuple[HttpFilter, ...], **fields: object) -> Listener:
        settings = {"normalize_path": True, "access_logs": logs, "upgrades": ("websocket",)} | fields
        return http_listener(*hosts, name=name, http_filters=(*filters, RouterFilter()), **settings)

    return (
        *(one(name, filters) for name, filters in FILTERS.items()),
        *(one(f"{name} at the edge", FILTERS[name], use_remote_address=True) for name in EDGE),
        *(one(f"{name} behind one", FILTERS[name], use_remote_address=True, xff_num_trusted_hops=1) for name in EDGE),
        *(one(f"{name} behind one within", FILTERS[name], xff_num_trusted_hops=1) for name in EDGE),
        *(
            one(f"{name} with slashes", FILTERS[name], merge_slashes=True)
            for name in ("path", "path begins", "denied path")
        ),
    )


NAMES = tuple(listener.name for listener in listeners(Path("nowhere")))
Outcomes = dict[tuple[str, str], Outcome]


def run(proxy: EnvoyProcess | WorkerProcess, log: Path) -> Outcomes:
    """Every request to every listener."""
    replies = {}
    for name in NAMES:
        port = proxy.port(name)
        for request, raw in REQUESTS.items():
            with Client(port) as client:
                client.send(raw.replace(b"\r\n", f"\r\nuser-agent: {len(replies)}\r\n".encode(), 1))
                replies[name, request] = final(client, raw.split(b" ")[0].decode())
    said = read(proxy, log, len(replies))
    kept = ("content-type", "content-length", "grpc-status", "grpc-message", "www-authenticate", "connection")
    return {
        case: decided(
            Outcome(
                reply.status,
                reply.body,
                tuple(sorted(item for item in reply.fields.items() if item[0] in kept)),
                said.get(str(number), ""),
            )
        )
        for number, (case, reply) in enumerate(replies.items())
    }


def decided(outcome: Outcome) -> Outcome:
    """Without what is not decided here: how a request is answered that may pass, or that cannot be understood."""
    if outcome.details.startswith("direct_response"):
        return Outcome(0, b"", (), "passed")
    return Outcome(400, b"", (), "") if outcome.status == 400 else outcome


def read(proxy: EnvoyProcess | WorkerProcess, log: Path, lines: int) -> dict[str, str]:
    """What the log says, by the number of the request (those whose head is not understood have none)."""
    deadline = time.monotonic() + LIMIT
    while True:
        if isinstance(proxy, WorkerProcess):
            proxy.send(ipc.Reopen())
            proxy.stats()
        found = log.read_text("latin-1").splitlines() if log.exists() else []
        if len(found) >= lines:
            told = (line.partition("\t") for line in found)
            return {number: in_envoys_words(details) for number, _, details in told}
        assert time.monotonic() < deadline, f"the log has {len(found)} of {lines} lines"


@pytest.fixture(scope="module")
def outcomes(envoy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outcomes, Outcomes]]:
    """Envoy's and ours."""
    with contextlib.ExitStack() as stack:
        folder = tmp_path_factory.mktemp("authorization")
        logs = folder / "envoy.access", folder / "ours.access"
        real = stack.enter_context(EnvoyProcess(envoy, folder, ProxyConfig(listeners(logs[0]))))
        worker = stack.enter_context(WorkerProcess())
        taken = worker.apply(ProxyConfig(listeners(logs[1])))
        assert isinstance(taken, ipc.Applied), taken
        yield run(real, logs[0]), run(worker, logs[1])


@pytest.mark.parametrize("listener", NAMES)
def test_what_envoy_decides_we_decide(outcomes: tuple[Outcomes, Outcomes], listener: str) -> None:
    envoys, ours = ({request: side[listener, request] for request in REQUESTS} for side in outcomes)
    differing = {request: (envoys[request], ours[request]) for request in REQUESTS if envoys[request] != ours[request]}
    assert not {request: both for request, both in differing.items() if request not in OTHERWISE}


def test_the_table_can_tell_right_from_wrong(outcomes: tuple[Outcomes, Outcomes]) -> None:
    """Nearly every set of rules lets something pass and refuses something."""
    envoys, _ = outcomes
    passed = {listener for (listener, _), outcome in envoys.items() if outcome.details == "passed"}
    refused = {listener for (listener, _), outcome in envoys.items() if "rbac_access_denied" in outcome.details}
    assert len(passed & refused) > len(NAMES) * 0.6

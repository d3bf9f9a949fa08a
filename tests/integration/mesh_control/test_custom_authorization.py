"""AuthorizationPolicies that ask a server (CUSTOM), from policy and mesh settings to the answer: on a real Envoy and ours.

On a port of TCP a rule that needs a request concerns every connection, as where it denies.
"""

import contextlib
from collections.abc import Iterator
from concurrent import futures
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from mesh_api.config import FilterChainMatch, HttpConnectionManager, HttpProtocolOptions, Listener, ProxyConfig
from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_policy.mesh_config import read_mesh_config
from mesh_proxy import ipc
from mesh_simulation import Mesh
from tests.integration.mesh_proxy.worker.harness import Servers
from tests.integration.mesh_proxy.worker.test_ext_authz_of_connections import Judge
from tests.support.envoy_process import EnvoyProcess
from tests.support.proxy_config import ANY_PORT, cluster
from tests.support.raw_http import Client
from tests.support.worker_process import WorkerProcess

pytestmark = pytest.mark.integration

NODE = Node("sidecar~10.0.0.1~store.default~default.svc.cluster.local", metadata={"LABELS": {"app": "store"}})
PORTS = {"http": 8080, "tcp": 9090}
SETTINGS = """
enableTracing: false
extensionProviders:
- {name: judge, envoyExtAuthzGrpc: {service: judge.default.svc.cluster.local, port: 9000, timeout: 5s}}
"""
WORLD = """
apiVersion: v1
kind: Service
metadata: {name: store, namespace: default}
spec:
  selector: {app: store}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90, targetPort: 9090}]
---
apiVersion: v1
kind: Service
metadata: {name: judge, namespace: default}
spec: {selector: {app: judge}, ports: [{name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: store, namespace: default, labels: {app: store}}
spec: {serviceAccountName: store, containers: [{name: store, image: store}]}
status: {podIP: 10.0.0.1}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: default}
spec:
  action: CUSTOM
  provider: {name: judge}
  rules: [{to: [{operation: {paths: ["/asked*"]}}]}]
"""
JUDGE = "outbound|9000||judge.default.svc.cluster.local"


def listeners() -> tuple[Listener, ...]:
    """Of each port what the control plane makes of it, on a port of its own."""
    world = Mesh.read([("world", WORLD)], mesh_config=read_mesh_config(SETTINGS, "mesh")).world
    (inbound,) = (one for one in compile_proxy(world, proxy_of(NODE)).listeners if one.name == "virtualInbound")
    made = []
    for name, port in PORTS.items():
        chain = next(one for one in inbound.filter_chains if one.match.destination_port == port and one.tls is None)
        assert isinstance(chain.filter, HttpConnectionManager) is (name == "http")
        made.append(Listener(name, ANY_PORT, (replace(chain, match=FilterChainMatch()),)))
    return tuple(made)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def proxies(
    envoy: Path, tmp_path_factory: pytest.TempPathFactory, judge: Judge
) -> Iterator[tuple[EnvoyProcess | WorkerProcess, ...]]:
    with contextlib.ExitStack() as stack:
        _, backend = Servers(stack).http(lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        server = grpc.server(futures.ThreadPoolExecutor(4), handlers=(judge,))
        judging = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        clusters = [cluster(f"inbound|{port}||", backend) for port in PORTS.values()]
        clusters.append(cluster(JUDGE, judging, http=HttpProtocolOptions("http2")))
        config = ProxyConfig(listeners(), clusters=tuple(clusters))
        real = stack.enter_context(EnvoyProcess(envoy, tmp_path_factory.mktemp("custom"), config))
        worker = stack.enter_context(WorkerProcess())
        applied = worker.apply(config)
        assert isinstance(applied, ipc.Applied), applied
        yield real, worker


@pytest.mark.parametrize(
    ("port", "path", "verdict", "status", "asked"),
    [
        ("http", "/asked", "allowed", 200, 1),
        ("http", "/asked/b", "denied", 403, 1),
        ("http", "/asked", "unavailable", 403, 1),
        ("http", "/other", "denied", 200, 0),
        ("tcp", "/", "allowed", 200, 1),
        ("tcp", "/", "denied", 0, 1),
        ("tcp", "/", "unavailable", 0, 1),
    ],
)  # fmt: skip
def test_who_is_to_be_asked_about_gets_what_the_server_says(
    proxies: tuple[EnvoyProcess | WorkerProcess, ...],
    judge: Judge,
    port: str,
    path: str,
    verdict: str,
    status: int,
    asked: int,
) -> None:
    for proxy in proxies:
        judge.verdict = verdict
        judge.asked.clear()
        with Client(proxy.port(port)) as client:
            client.send(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
            try:
                found = client.reply().status
            except (AssertionError, OSError, EOFError):
                found = 0  # a connection that is closed without a word
        assert (found, len(judge.asked)) == (status, asked), proxy

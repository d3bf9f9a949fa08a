"""``mesh observe`` of what only a proxy reaches: a gateway at an address, and the gateway and the pods of a cluster."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

pytestmark = pytest.mark.integration
ROUTING = {("/api/v1", ""): 200, ("/api/v1", "v2"): 301, ("/api/v2", "v2"): 200}
"""Path and version that is asked for, to the status of a gateway in the scenario ``routing``."""
PODS = "/api/v1/namespaces/default/pods"
API = {
    "/api/v1/namespaces/istio-system/services/istio-ingressgateway": {
        "spec": {"ports": [{"name": "http2", "port": 80}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.80"}]}},
    },
    "/api/v1/nodes": {"items": []},
    PODS: {
        "items": [
            {
                "metadata": {"name": "books", "labels": {"app": "book-store"}},
                "spec": {
                    "containers": [{"name": "application", "ports": [{"containerPort": 8080}]}],
                    "initContainers": [{"name": "istio-proxy"}],
                },
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            }
        ]
    },
}
COUNTED = "\n".join(
    f'envoy_cluster_{name}{{envoy_cluster_name="outbound|{port}||{service}.default.svc.cluster.local"}} {number}'
    for service, port, stood, by_tls in (("postgres", 5432, 2, 0), ("order", 8380, 3, 3))
    for name, number in (("upstream_cx_total", stood), ("upstream_cx_connect_fail", 0), ("ssl_handshake", by_tls))
)


class _Entrance(BaseHTTPRequestHandler):
    """An HTTP proxy behind which are a gateway and an API server: it answers for both, and notes whom it was asked for."""

    asked: list[tuple[str, str]]
    refusal = "read tcp 10.77.0.11:1->10.244.1.2:8080: connection reset by peer"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.asked.append((url.netloc, self.headers["host"]))
        if url.netloc == "192.0.2.80":
            self._gateway(url.path)
        elif url.path in API:
            self._answer(200, json.dumps(API[url.path]), "application/json")
        elif url.path == f"{PODS}/http:books:8080/proxy/api/v1/books":
            message = f"error trying to reach service: {self.refusal}"
            status = {"kind": "Status", "status": "Failure", "message": message, "code": 503}
            self._answer(503, json.dumps(status), "application/json")
        elif url.path == f"{PODS}/http:books:15090/proxy/stats/prometheus":
            self._answer(200, COUNTED)
        else:
            self._answer(404, "")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(422, '{"message": "warehouse: 403 RBAC: access denied"}')

    def _gateway(self, path: str) -> None:
        if path == "/api/v1/books":
            token = self.headers.get("authorization", "")
            # Four bad ones come first.
            good = token and self.server.seen_tokens == 4  # type: ignore[attr-defined]
            self.server.seen_tokens += bool(token)  # type: ignore[attr-defined]
            self._answer(200 if good else 401 if token else 403, "" if token else "RBAC: access denied")
            return
        status = ROUTING.get((path, self.headers.get("x-api-version", "")), 404)
        self._answer(status, "v2" if status == 200 else "", location="/api/v2" if status == 301 else "")

    def _answer(self, status: int, body: str, kind: str = "text/plain", location: str = "") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if location:
            self.send_header("location", location)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test has its own words."""


@pytest.fixture
def entrance() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """URL of the proxy, and whom it was asked for by which Host."""
    handler = type("Entrance", (_Entrance,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.seen_tokens = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def observe(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh_cli", "observe", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def login(tmp_path: Path, entrance: tuple[str, list[tuple[str, str]]]) -> Path:
    """Of an API server that is reached by the proxy alone."""
    value = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://192.0.2.11:6443", "proxy-url": entrance[0]}}],
        "users": [],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(value))
    return path


def test_a_gateway_behind_a_proxy_is_asked_by_the_published_name(entrance: tuple[str, list[tuple[str, str]]]) -> None:
    url, asked = entrance
    seen = observe("routing", "--gateway", "http://192.0.2.80", "--proxy", url)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert set(asked) == {("192.0.2.80", "book-store.local")}


def test_a_cluster_says_where_everything_is(login: Path, entrance: tuple[str, list[tuple[str, str]]]) -> None:
    seen = observe("routing", "--kubeconfig", str(login))
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert "the gateway is at http://192.0.2.80:80" in seen.stderr
    assert {netloc for netloc, _host in entrance[1]} == {"192.0.2.11:6443", "192.0.2.80"}


def test_the_api_server_asks_pods_in_plain_text(login: Path) -> None:
    seen = observe("authentication", "--kubeconfig", str(login), "--output", "json")
    rows = {row["what"]: row for row in json.loads(seen.stdout)["expectations"]}
    assert rows["plain text is not served"]["met"], seen.stdout
    assert "read tcp 10.77.0.11:1->10.244.1.2:8080" in rows["plain text is not served"]["seen"]
    assert rows["all others by TLS"]["met"]
    assert seen.returncode == 0, seen.stdout + seen.stderr


def test_a_pod_that_was_not_reached_has_refused_nothing(login: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Entrance, "refusal", "dial tcp 10.244.1.2:8080: connect: connection refused")
    seen = observe("authentication", "--kubeconfig", str(login))
    assert seen.returncode == 2
    assert "no pod was asked in plain text: error trying to reach service: dial tcp" in seen.stderr


def test_a_cluster_without_a_mesh_is_told(login: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(API, "/api/v1/namespaces/istio-system/services/istio-ingressgateway")
    seen = observe("routing", "--kubeconfig", str(login))
    assert (seen.returncode, seen.stderr.splitlines()[-1]) == (
        2,
        "there is no Service istio-ingressgateway; is the mesh in the cluster?",
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--proxy", "127.0.0.1:1"], "--proxy 127.0.0.1:1: http://HOST:PORT is wanted"),
        (["--kubeconfig", "/nowhere"], "/nowhere: [Errno 2] No such file"),
        (["--kubeconfig", "/nowhere", "--direct", "http://a"], "leave --direct and --statistics out"),
    ],
)
def test_options_that_cannot_be_are_told(arguments: list[str], reason: str) -> None:
    refused = observe("routing", *arguments)
    assert (refused.returncode, reason in refused.stderr) == (2, True), refused.stderr

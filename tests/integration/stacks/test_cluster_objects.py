"""Objects of a cluster by Pulumi's real CLI and engine, pulumi-kubernetes and the double of its provider, and a real API
server."""

import asyncio
import base64
import contextlib
import http.server
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks.layers.cluster_objects import FIELD_MANAGER
from tests.support import go_programs, kube_apiserver
from tests.support.pulumi_program import TOOLS, Program, running

sys.path.insert(0, str(TOOLS))
from meshwright_tools import kubernetes_plugin
from meshwright_tools.progress import Progress

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PROGRAM = Path(__file__).parent / "cluster_program"
PASSWORD = "correct-horse-battery"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
                        },
                    }
                },
            }
        ],
    },
}
WIDGET = {
    "apiVersion": "example.com/v1",
    "kind": "Widget",
    "metadata": {"name": "w", "namespace": "shop"},
    "spec": {"size": 3},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "books"}}}
SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "settings", "namespace": "shop"},
    "data": {"mesh.yaml": "a: 1\n", "other": "x"},
}
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "login", "namespace": "shop"},
    "stringData": {"password": PASSWORD},
}
ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "reader", "namespace": "shop"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    "subjects": [{"kind": "User", "name": "somebody", "apiGroup": "rbac.authorization.k8s.io"}],
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "books", "namespace": "shop"},
    "spec": {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "books"}},
        "template": {
            "metadata": {"labels": {"app": "books"}},
            "spec": {
                "containers": [
                    {
                        "name": "books",
                        "image": "books:1",
                        "ports": [{"containerPort": 80}],
                        # The server answers it in another form, which is no drift.
                        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                    }
                ]
            },
        },
    },
}
ALL = [WIDGET, SETTINGS, SECRET, ROLE, DEPLOYMENT, NAMESPACE, DEFINITION]


@dataclass
class Stack:
    """The program's stack, and the server whose objects it has."""

    program: Program
    server: kube_apiserver.Server

    @property
    def directory(self) -> Path:
        return self.program.directory

    def run(self, *arguments: str, status: int | None = 0) -> str:
        return self.program.run(*arguments, status=status)

    def up(self, *manifests: Mapping[str, Any], status: int = 0, arguments: tuple[str, ...] = ()) -> str:
        self.declare(*manifests)
        return self.run("up", "--yes", "--skip-preview", *arguments, status=status)

    def declare(self, *manifests: Mapping[str, Any]) -> None:
        (self.directory / "manifests.json").write_text(json.dumps(manifests))

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        command = [self.server.programs / "kubectl", f"--kubeconfig={self.server.kubeconfig()}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def live(self, *which: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *which, "-o", "json", "--show-managed-fields")))


@pytest.fixture(scope="module")
def server() -> Iterator[kube_apiserver.Server]:
    """A server, with the controllers that delete namespaces and look at Deployments."""
    try:
        manager_program = go_programs.kubernetes_program("kube-controller-manager")
        go_programs.kubernetes_program("kubectl")
        with kube_apiserver.running() as made:
            asyncio.run(made.ready())
            with (made.folder / "manager.log").open("ab") as log:
                manager = subprocess.Popen(
                    [
                        manager_program,
                        f"--kubeconfig={made.kubeconfig()}",
                        "--controllers=namespace-controller,deployment-controller,replicaset-controller",
                        "--leader-elect=false",
                        "--secure-port=0",
                    ],
                    stdout=log,
                    stderr=log,
                    cwd=made.folder,
                )
            try:
                yield made
            finally:
                manager.kill()
                manager.wait()
    except go_programs.NotBuiltError as error:
        pytest.skip(str(error))


@pytest.fixture
def stack(tmp_path: Path, server: kube_apiserver.Server) -> Iterator[Stack]:
    with running(tmp_path, PROGRAM) as program:
        kubernetes_plugin.ensure("double", program.checkout, program.programs, program.environment, Progress())
        made = Stack(program, server)
        program.configure({"kubeconfig": server.kubeconfig(), "manifests": made.directory / "manifests.json"})
        yield made


def changed(manifest: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy of a manifest with another value at ``A.B.C``."""
    copy: dict[str, Any] = json.loads(json.dumps(manifest))
    *folders, name = place.split(".")
    inner = copy
    for folder in folders:
        inner = inner[folder]
    inner[name] = value
    return copy


def appliers(live: Mapping[str, Any]) -> list[str]:
    return [entry["manager"] for entry in live["metadata"]["managedFields"] if entry["operation"] == "Apply"]


def test_objects_live_and_die(stack: Stack) -> None:
    stack.declare(*ALL)
    foretold = stack.run("preview")
    assert "+ 10 to create" in foretold
    assert "a test double of pulumi-kubernetes' provider" in foretold
    assert "warning" not in foretold
    assert "shop" not in stack.kubectl("get", "namespaces")

    stack.up(*ALL)
    assert stack.live("-n", "shop", "widget", "w")["spec"] == {"size": 3}
    login = stack.live("-n", "shop", "secret", "login")
    assert base64.b64decode(login["data"]["password"]).decode() == PASSWORD
    assert appliers(login) == appliers(stack.live("-n", "shop", "deployment", "books")) == [FIELD_MANAGER]
    kept = stack.program.state
    assert "widgets.example.com" in kept
    assert PASSWORD not in kept
    assert login["data"]["password"] not in kept
    stack.run("up", "--yes", "--skip-preview", "--expect-no-changes")

    # Behind its back: a field of ours, a whole object of ours, and fields that nobody here has named.
    stack.kubectl("-n", "shop", "patch", "configmap", "settings", "--type=merge", "-p", '{"data": {"other": "edited"}}')
    stack.kubectl("-n", "shop", "delete", "widget", "w")
    stack.kubectl("label", "namespace", "shop", "owner=others")
    stack.kubectl("-n", "shop", "annotate", "deployment", "books", "note=others")
    found = stack.run("refresh", "--yes", "--skip-preview")
    assert re.search(r"~ 1 updated.*\n.*- 1 deleted.*\n.*8 unchanged", found), found
    repaired = stack.run("up", "--yes", "--skip-preview")
    assert re.search(r"\+ 1 created.*\n.*~ 1 updated.*\n.*8 unchanged", repaired), repaired
    assert stack.live("-n", "shop", "configmap", "settings")["data"] == SETTINGS["data"]
    assert stack.live("-n", "shop", "widget", "w")["spec"] == {"size": 3}
    assert stack.live("namespace", "shop")["metadata"]["labels"]["owner"] == "others"

    renamed, other_role = changed(SETTINGS, "metadata.name", "renamed"), changed(ROLE, "roleRef.name", "edit")
    stack.up(*(manifest for manifest in ALL if manifest not in (SETTINGS, ROLE)), renamed, other_role)
    assert "settings" not in stack.kubectl("-n", "shop", "get", "configmaps", "-o", "name")
    assert stack.live("-n", "shop", "configmap", "renamed")["data"] == SETTINGS["data"]
    assert stack.live("-n", "shop", "rolebinding", "reader")["roleRef"]["name"] == "edit"

    stack.run("destroy", "--yes", "--skip-preview")
    assert "shop" not in stack.kubectl("get", "namespaces")
    assert "widgets" not in stack.kubectl("get", "customresourcedefinitions")


def test_what_the_server_refuses_is_told_by_a_preview(stack: Stack) -> None:
    placed = changed(DEPLOYMENT, "metadata.namespace", "default")
    stack.declare(changed(placed, "spec.replicas", -1))
    said = stack.run("preview", status=1)
    assert "Deployment default/books: the API server says:" in said
    assert "spec.replicas: Invalid value: -1" in said
    stack.declare(changed(placed, "spec.replica", 1))
    assert ".spec.replica: field not declared in schema" in stack.run("preview", status=1)


def test_a_cluster_that_is_yet_to_come_is_no_obstacle_for_a_preview(stack: Stack) -> None:
    stack.run("config", "set", "kubeconfig", "/none")
    stack.declare(NAMESPACE)
    assert "+ 4 to create" in stack.run("preview")
    assert "the cluster cannot be reached: kubeconfig /none: No such file" in stack.up(NAMESPACE, status=1)


def test_others_fields_are_a_conflict_unless_they_are_taken_over(stack: Stack) -> None:
    mine = changed(SETTINGS, "metadata.namespace", "default")
    others = changed(mine, "data", {"other": "theirs", "third": "theirs"})
    stack.kubectl("apply", "--server-side", "--field-manager=others", "-f", "-", stdin=json.dumps(others))
    try:
        stack.run("config", "set", "force", "false")
        said = stack.up(mine, status=1)
        assert "ConfigMap default/settings: the API server says: Apply failed with 1 conflict" in said
        assert 'conflict with "others": .data.other' in said
        assert f'Field manager "{FIELD_MANAGER}" applies these fields' in said
        stack.run("config", "set", "force", "true")
        stack.up(mine)
        live = stack.live("-n", "default", "configmap", "settings")
        assert live["data"] == {**SETTINGS["data"], "third": "theirs"}
        # As the role `kubernetes` applies: the same manager, so nothing is left of a former say.
        by_role = changed(mine, "data", {"other": "by the role"})
        stack.kubectl(
            "apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "-f", "-", stdin=json.dumps(by_role)
        )
        live = stack.live("-n", "default", "configmap", "settings")
        assert live["data"] == {"other": "by the role", "third": "theirs"}
        assert appliers(live).count(FIELD_MANAGER) == 1
    finally:
        stack.kubectl("-n", "default", "delete", "--ignore-not-found", "configmap", "settings")


def test_what_does_not_become_ready_is_kept_and_mended(stack: Stack, server: kube_apiserver.Server) -> None:
    """There is no kubelet, so no pod is ever ready. By the way the login leads through a proxy, as that of machines of this
    host."""
    placed = changed(DEPLOYMENT, "metadata.namespace", "default")
    placed["metadata"]["annotations"] = {"pulumi.com/timeoutSeconds": "2"}
    with proxy() as (port, asked):
        login = yaml.safe_load(server.kubeconfig().read_text())
        login["clusters"][0]["cluster"]["proxy-url"] = f"http://127.0.0.1:{port}"
        through = server.folder / "kubeconfig-proxy"
        through.write_text(yaml.safe_dump(login))
        group = stack.directory / "group.yaml"
        group.write_text(yaml.safe_dump_all([changed(WIDGET, "metadata.namespace", "default"), DEFINITION]))
        stack.program.configure({"kubeconfig": through, "group": group})
        said = stack.up(changed(placed, "spec.replicas", 1), status=1)
        assert re.search(r"Deployment default/books: not ready after 2 s: . of 1 replicas are", said), said
        stack.up(changed(placed, "spec.replicas", 0))
        assert stack.live("-n", "default", "widget", "w")["spec"] == {"size": 3}
        stack.run("destroy", "--yes", "--skip-preview")
        assert asked
        assert set(asked) == {f"127.0.0.1:{server.port}"}
    assert "books" not in stack.kubectl("-n", "default", "get", "deployments", "-o", "name")


@contextlib.contextmanager
def proxy() -> Iterator[tuple[int, list[str]]]:
    """An HTTP proxy on loopback, and where connections through it went."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port))) as far:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=pump, args=(far, self.connection), daemon=True)
                back.start()
                pump(self.connection, far)
                back.join()
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        try:
            yield made.server_port, asked
        finally:
            made.shutdown()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

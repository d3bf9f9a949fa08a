"""A real kube-apiserver over a real etcd on loopback: both built from their Go modules once, kept in the cache by version.

No kubelet and no controllers: objects are what tests make of them. Whoever asks shows a token of ``TOKENS``; what it may do
is for RBAC to say, but for ``ADMIN``.
"""

import asyncio
import contextlib
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mesh_control.sources.kubernetes.access import Access, from_kubeconfig
from mesh_control.sources.kubernetes.api import APPLY, Api, ApiError
from tests.support import go_programs
from tests.support.ports import free_port

ADMIN, CONTROL, STRANGER = "admin-token", "control-token", "stranger-token"
TOKENS = f'{ADMIN},admin,u1,"system:masters"\n{CONTROL},meshwright,u2,\n{STRANGER},stranger,u3,\n'
SUBJECT = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "meshwright"}
"""Whom ``CONTROL`` stands for, as roles are bound to it."""
PATIENCE = 60.0
"""Seconds for whatever is waited for: a machine may be busy."""


def build() -> Path:
    """The folder with both programs. Raises :class:`go_programs.NotBuiltError`."""
    return go_programs.build_kubernetes()


@dataclass
class Server:
    """Both processes and where they keep things. ``start`` and ``kill`` are of the API server alone: etcd stays."""

    programs: Path
    folder: Path
    port: int = field(default_factory=free_port)
    etcd_port: int = field(default_factory=free_port)
    peer_port: int = field(default_factory=free_port)
    etcd: "subprocess.Popen[bytes] | None" = None
    process: "subprocess.Popen[bytes] | None" = None

    def access(self, token: str = ADMIN) -> Access:
        """The way to it, of a kubeconfig file."""
        return from_kubeconfig(self.kubeconfig(token))

    def kubeconfig(self, token: str = ADMIN) -> Path:
        """A kubeconfig file of whoever has that token."""
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority": "certificates/apiserver.crt"}
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path = self.folder / f"kubeconfig-{token}"
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
        return path

    def start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self.peer_port}"
        self.etcd = self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )

    def start(self) -> None:
        self.process = self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self.folder / 'key.pem'}",
            f"--service-account-key-file={self.folder / 'key.pem'}",
            "--disable-admission-plugins=ServiceAccount",
            "--watch-cache=true",
            "--etcd-compaction-interval=0",
            "--profiling=false",
        )

    def kill(self) -> None:
        """As a machine that loses power would end it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        for process in (self.process, self.etcd):
            if process is not None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _run(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen([self.programs / name, *arguments], stdout=log, stderr=log, cwd=self.folder)

    async def ready(self) -> None:
        """Wait until it answers."""
        deadline, told = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            certificate = self.folder / "certificates" / "apiserver.crt"
            if certificate.exists():
                try:
                    async with Api(self.access()) as api:
                        await api.request("GET", "/readyz")
                        return
                except ApiError as error:
                    told = error.message
            await asyncio.sleep(0.1)
        raise AssertionError(f"{told}\n{self.log()}")

    def log(self) -> str:
        return (self.folder / "kube-apiserver.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    async def compact(self) -> None:
        """Make etcd forget everything but the present, as it does by itself every five minutes."""
        import aiohttp

        base = f"http://127.0.0.1:{self.etcd_port}/v3/kv"
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{base}/range", json={"key": "AA==", "range_end": "AA==", "limit": "1"}) as answer:
                revision = (await answer.json())["header"]["revision"]
            async with session.post(f"{base}/compaction", json={"revision": revision, "physical": True}) as answer:
                assert answer.status == 200, await answer.text()


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """A server in a folder of its own; the caller waits for it (:meth:`Server.ready`)."""
    programs = build()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(programs, Path(folder))
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (server.folder / "key.pem").write_bytes(key.private_bytes(*form))
        (server.folder / "tokens.csv").write_text(TOKENS, encoding="utf-8")
        try:
            server.start_etcd()
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.asynccontextmanager
async def client(server: Server, token: str = ADMIN) -> AsyncIterator["Client"]:
    """What ``kubectl`` would do."""
    async with Api(server.access(token)) as api:
        yield Client(api)


@dataclass
class Client:
    api: Api

    async def apply(self, *values: Mapping[str, Any]) -> None:
        """Server-side apply of objects."""
        for value in values:
            query = {"fieldManager": "test", "force": "true"}
            await self.api.request("PATCH", path_of(value), value, query, APPLY)

    async def delete(self, *values: Mapping[str, Any]) -> None:
        for value in values:
            await self.api.request("DELETE", path_of(value))

    async def get(self, value: Mapping[str, Any]) -> Any:
        return await self.api.request("GET", path_of(value))


PLURALS = {
    "EndpointSlice": "endpointslices",
    "ServiceEntry": "serviceentries",
    "AuthorizationPolicy": "authorizationpolicies",
    "GatewayClass": "gatewayclasses",
}
CLUSTER_WIDE = (
    "Namespace",
    "Node",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "GatewayClass",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)


def path_of(value: Mapping[str, Any], sub: str = "") -> str:
    """Where the API server has an object."""
    group, _, version = value["apiVersion"].rpartition("/")
    root = f"/apis/{group}/{version}" if group else f"/api/{version}"
    kind, metadata = value["kind"], value["metadata"]
    place = "" if kind in CLUSTER_WIDE else f"/namespaces/{metadata.get('namespace', 'default')}"
    return f"{root}{place}/{PLURALS.get(kind, kind.lower() + 's')}/{metadata['name']}{sub}"

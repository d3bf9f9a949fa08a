"""Where a Kubernetes API server is and how to speak to it: of a kubeconfig file, or as a pod finds it."""

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from mesh_policy import json_text
from mesh_policy.objects import Fields, ObjectError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(ValueError):
    """There is no way to the API server; the message names the file and the field."""


@dataclass(frozen=True, slots=True)
class Access:
    """An API server. ``token_file`` is read for each connection anew, since tokens are replaced while they are in use;
    ``proxy`` is the HTTP proxy by which it is reached, empty: none."""

    url: str
    tls: ssl.SSLContext | None = None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    namespace: str = "default"
    proxy: str = ""

    def headers(self) -> Mapping[str, str]:
        """What a request must say. Raises :class:`AccessError`."""
        token = self.token
        if self.token_file is not None:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise AccessError(f"{self.token_file}: cannot be read: {error.strerror}") from None
        return {"Authorization": f"Bearer {token}"} if token else {}


def in_cluster(environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT) -> Access:
    """As Kubernetes tells a pod. Raises :class:`AccessError` elsewhere."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessError("kubernetes: this is no pod; name a kubeconfig file in kubernetes.kubeconfig")
    address = f"[{host}]" if ":" in host else host
    namespace = folder / "namespace"
    try:
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        own = namespace.read_text(encoding="utf-8").strip() if namespace.exists() else "default"
    except (OSError, ssl.SSLError) as error:
        raise AccessError(f"{folder}: the service account cannot be used: {error}") from None
    return Access(f"https://{address}:{port}", tls, token_file=folder / "token", namespace=own)


def from_kubeconfig(path: Path, context: str = "") -> Access:
    """As a kubeconfig file says, by default of its current context. Raises :class:`AccessError`.

    Programs that make tokens (``exec``) and passwords are not taken.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        fields = Fields.of(value)
        chosen = context or fields.required("current-context")
        where = _named(fields, "contexts", chosen).inner("context")
        cluster = _named(fields, "clusters", where.required("cluster")).inner("cluster")
        user = _named(fields, "users", where.text("user")).inner("user") if where.has("user") else Fields.of(None)
        return _access(path, cluster, user, where.text("namespace", "default"))
    except RecursionError:
        raise AccessError(f"{path}: {json_text.TOO_DEEP}; a kubeconfig has a few") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ssl.SSLError) as error:
        raise AccessError(f"{path}: {error}") from None
    except ObjectError as error:
        raise AccessError(f"{path}: {'.'.join(map(str, error.path))}: {error.message}") from None


def _named(fields: Fields, kind: str, name: str) -> Fields:
    found = next((item for item in fields.items(kind) if item.text("name") == name), None)
    if found is None:
        raise ObjectError((kind,), f"there is none of the name {name!r}")
    return found


def _access(path: Path, cluster: Fields, user: Fields, namespace: str) -> Access:
    for name in ("exec", "auth-provider", "username"):
        if user.has(name):
            raise ObjectError((*user.path, name), "is not taken; use a token, a file of one, or a client certificate")
    url = cluster.required("server").rstrip("/")
    token_file = path.parent / user.text("tokenFile") if user.has("tokenFile") else None
    tls = _tls(path, cluster, user) if url.startswith("https:") else None
    return Access(url, tls, user.text("token"), token_file, namespace, _proxy(cluster))


def _proxy(cluster: Fields) -> str:
    proxy = cluster.text("proxy-url")
    if proxy and not proxy.startswith("http://"):
        raise ObjectError((*cluster.path, "proxy-url"), "is not taken; of proxies there is http://HOST:PORT")
    return proxy


def _tls(path: Path, cluster: Fields, user: Fields) -> ssl.SSLContext:
    authority = _content(path, cluster, "certificate-authority")
    tls = ssl.create_default_context(cadata=None if authority is None else authority.decode())
    if cluster.flag("insecure-skip-tls-verify"):
        raise ObjectError((*cluster.path, "insecure-skip-tls-verify"), "is not taken; give certificate-authority-data")
    certificate, key = _content(path, user, "client-certificate"), _content(path, user, "client-key")
    if certificate is not None and key is not None:
        _load(tls, certificate, key)
    return tls


def _content(path: Path, fields: Fields, name: str) -> bytes | None:
    """What a field ``NAME-data`` holds, or the file that a field ``NAME`` names."""
    if fields.has(f"{name}-data"):
        try:
            return base64.b64decode(fields.text(f"{name}-data"), validate=True)
        except binascii.Error:
            raise ObjectError((*fields.path, f"{name}-data"), "is not base64") from None
    return (path.parent / fields.text(name)).read_bytes() if fields.has(name) else None


def _load(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python takes certificates of its own from files alone; one that only we can open is gone again at once."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate + b"\n" + key)
        file.flush()
        tls.load_cert_chain(file.name)

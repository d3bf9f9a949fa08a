"""How to reach an API server, as a kubeconfig says: its contents, or a file."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubernetes_provider_double.errors import UnreachableError

NOT_TAKEN = ("exec", "auth-provider", "username")
"""Ways to log in that the double does not know."""


@dataclass(frozen=True)
class Login:
    """An API server and who asks it. ``proxy``: the HTTP proxy on the way there, as the URL that ``proxy-url`` has."""

    server: str
    tls: ssl.SSLContext | None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = None
    namespace: str = "default"


def read(given: str | None, context: str | None = None, cluster: str | None = None) -> Login:
    """The login of ``context`` (default: the current one) in the kubeconfig whose contents or path is given; ``None``: where
    kubectl looks. Raises :class:`UnreachableError` naming the file and the field."""
    where, folder, text = _text(given)
    try:
        config = yaml.safe_load(text)
        chosen = context or config["current-context"]
        found = _named(config, "contexts", chosen)["context"]
        place = _named(config, "clusters", cluster or found["cluster"])["cluster"]
        user = _named(config, "users", found["user"]).get("user") or {} if found.get("user") else {}
        return _login(place, user, folder, found.get("namespace") or "default")
    except (KeyError, TypeError) as error:
        raise UnreachableError(f"{where}: is no kubeconfig, or lacks {error}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # ssl.SSLError is an OSError
        raise UnreachableError(f"{where}: {error}") from None


def _text(given: str | None) -> tuple[str, Path, str]:
    """What to call it, where its relative paths begin, and the text."""
    if given and ("\n" in given.strip() or given.lstrip().startswith("{")):
        return "kubeconfig", Path.cwd(), given
    path = Path(given or os.environ.get("KUBECONFIG") or "~/.kube/config").expanduser()
    try:
        return str(path), path.parent, path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreachableError(f"kubeconfig {path}: {error.strerror}") from None


def _named(config: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    for item in config.get(kind) or []:
        if item["name"] == name:
            return dict(item)
    raise ValueError(f"{kind}: there is none of the name {name!r}")


def _login(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path, namespace: str) -> Login:
    for name in NOT_TAKEN:
        if name in user:
            raise ValueError(f"users.{name}: not known to the test double; use a token or a client certificate")
    server = str(cluster["server"]).rstrip("/")
    token = user.get("token") or (
        (folder / user["tokenFile"]).read_text(encoding="utf-8").strip() if "tokenFile" in user else None
    )
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    tls = _tls(cluster, user, folder) if server.startswith("https:") else None
    return Login(server, tls, headers, cluster.get("proxy-url"), namespace)


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    tls = ssl.create_default_context(cadata=None if authority is None else authority.decode())
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    certificate, key = _content(user, "client-certificate", folder), _content(user, "client-key", folder)
    if certificate is not None and key is not None:
        # Python takes certificates of its own from files alone; one that only we can open is gone again at once.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    return tls


def _content(fields: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    """What a field ``NAME-data`` holds, or the file that a field ``NAME`` names."""
    if f"{name}-data" in fields:
        try:
            return base64.b64decode(fields[f"{name}-data"], validate=True)
        except binascii.Error:
            raise ValueError(f"{name}-data is not base64") from None
    return (folder / fields[name]).read_bytes() if name in fields else None

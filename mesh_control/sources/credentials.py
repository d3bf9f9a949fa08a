"""A folder with keys and certificates as a source of secrets for proxies: ``NAMESPACE/NAME/KEY``, under the keys of Secrets
in Kubernetes (``tls.crt``, ``tls.key``, ``ca.crt``, ...).

Every proxy that has proven to be of a namespace gets what is in the folder of that name, whatever its account. The folder of
policies is another one: policies are for many eyes.
"""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from mesh_control.gateway_api import Surroundings
from mesh_control.secrets.references import SecretError
from mesh_control.sources.kubernetes.surroundings import surroundings
from mesh_control.sources.source import Parts
from mesh_control.sources.watching import watch

PRIVATE = ("tls.key", "key")
KEYS = (*PRIVATE, "tls.crt", "cert", "tls.ocsp-staple", "ca.crt", "cacert", "ca.crl", "crl")
"""Files that are looked at."""
LARGEST = 1 << 20
"""Bytes of a file (as of an object in Kubernetes)."""


class CredentialFolder:
    """See the module's docstring: a :class:`~mesh_control.sources.source.Source` and a
    :class:`~mesh_control.secrets.desk.Keeper`."""

    name: ClassVar[str] = "credentials"
    synced: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[tuple[str, str], Mapping[str, bytes]] = {}

    def read(self) -> Parts:
        """See :class:`~mesh_control.sources.source.Source`: nothing of the world is here but which certificates there are."""
        missing = () if self.path.is_dir() else (f"credentials_dir: {self.path}: there is no such folder",)
        return Parts(problems=missing, surroundings=self._surroundings())

    def _surroundings(self) -> Surroundings:
        """For Gateways of the Gateway API: what names a secret that cannot be used opens no listener."""
        values = []
        for folder in self.path.glob("*/*"):
            try:
                content = self.content("Secret", folder.parent.name, folder.name)
            except SecretError:
                continue  # whoever asks for it is told why
            text = {key: data.decode(errors="replace") for key, data in (content or {}).items()}
            metadata = {"namespace": folder.parent.name, "name": folder.name}
            values.append({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": text})
        return surroundings(values)

    async def watch(self, changed: Callable[[], None]) -> None:
        """See :class:`~mesh_control.sources.source.Source`."""

        def forget() -> None:
            self._read.clear()
            changed()

        await watch(self.path, lambda path: True, forget, recursive=True)

    def content(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        """See :class:`~mesh_control.secrets.desk.Keeper`."""
        folder = self.path / namespace / name
        if kind != "Secret" or not folder.is_dir():
            return None
        if (namespace, name) not in self._read:
            found = {key: data for key in KEYS if (data := _content(folder / key, private=key in PRIVATE)) is not None}
            self._read[namespace, name] = found
        return self._read[namespace, name]

    async def may_read(self, namespace: str, service_account: str) -> bool:
        """See :class:`~mesh_control.secrets.desk.Keeper`: the namespace was looked at already."""
        return True


def _content(file: Path, *, private: bool) -> bytes | None:
    try:
        if not file.exists():
            return None
        if not file.is_file():  # to open a pipe would wait for ever
            raise SecretError(f"{file}: is no file")
        with file.open("rb") as opened:
            if private and stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise SecretError(f"{file}: others may read it; its mode has to be 0600")
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise SecretError(f"{file}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise SecretError(f"{file}: has more than {LARGEST} bytes")
    return content

"""Certificates of the cases of TLS: files that configurations name, and what clients and servers show."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.authority import Authority

OWN = "spiffe://cluster.local/ns/default/sa/proxy"
CLIENT = "spiffe://cluster.local/ns/default/sa/client"
SEVERAL = ("named.example", "*.wild.example", "spiffe://named.example", "192.0.2.1")
NAMES = {
    "proxy": (OWN, "test.example"),
    "other": ("other.example",),
    "client": (CLIENT,),
    "named": SEVERAL,
    "admin": ("spiffe://cluster.local/ns/default/sa/admin",),
    "elsewhere": ("spiffe://cluster.local/ns/elsewhere/sa/client",),
    "alike": ("spiffe://cluster.local/ns/default/sa/client-two",),
    "capitals": ("spiffe://cluster.local/ns/default/sa/CLIENT",),
    "foreign": ("spiffe://elsewhere.example/ns/default/sa/client",),
    "longer": ("spiffe://cluster.local/ns/default/sa/client/sa/admin",),
    "pathless": ("spiffe://cluster.local",),
    "two": (CLIENT, "spiffe://cluster.local/ns/default/sa/admin"),
}
"""Certificates of the trusted authority, by the name of their file (``NAME.pem``, ``NAME.key``), and whom they are for."""
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Certificates:
    """Made anew for each run, in ``folder``: besides :data:`NAMES`, ``roots.pem``, and ``stranger.pem`` of nobody known.

    ``more`` are others of the trusted authority: whom each is for, and its subject's common name.
    """

    def __init__(self, folder: Path, more: Mapping[str, tuple[tuple[str, ...], str]] | None = None) -> None:
        self._authority, self._strangers = Authority(), Authority("strangers")
        self._made = {name: self._authority.certificate(*names) for name, names in NAMES.items()}
        for name, (names, subject) in (more or {}).items():
            self._made[name] = self._authority.certificate(*names, subject=subject)
        self._made["stranger"] = self._strangers.certificate(CLIENT)
        self._made["expired"] = self._authority.certificate(CLIENT, days=-1)
        (folder / "roots.pem").write_bytes(self._authority.pem)
        for name, one in self._made.items():
            (folder / f"{name}.pem").write_bytes(one.chain)
            (folder / f"{name}.key").write_bytes(one.key)

    def servers(self) -> dict[str, ssl.SSLContext]:
        """What the servers that speak TLS do so with."""
        own = self._made["other"]
        return {
            "secure": self._authority.server(own, "h2", "http/1.1"),
            "mutual": self._authority.server(own, "http/1.1", mutual=True),
            "named": self._authority.server(self._made["named"], "h2", "http/1.1"),
        }

    def client(self, wanted: Mapping[str, Any]) -> ssl.SSLContext:
        """A client: ``certificate`` (one of the names), ``protocols``, ``versions`` (first and last)."""
        shown = wanted.get("certificate")
        context = self._authority.client(None if shown is None else self._made[shown], *wanted.get("protocols", ()))
        if "versions" in wanted:
            context.minimum_version, context.maximum_version = (VERSIONS[v] for v in wanted["versions"])
        return context

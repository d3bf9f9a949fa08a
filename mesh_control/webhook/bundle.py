"""The ``caBundle`` of the ValidatingWebhookConfiguration, kept right while the authority's roots come and go.

An API server that does not know the root of the webhook's certificate keeps no policy at all. So the order is: first the
bundle has the former and the next root, then the certificate changes (:class:`~mesh_control.webhook.certificate.Keeper` asks
:meth:`Bundle.covers`), then the former root goes. The object itself is made by whoever installs (``mesh webhook``): without
it nobody asks, and nothing is written.
"""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_control.ca import pem
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError
from mesh_control.sources.kubernetes.rbac import CONFIGURATION
from mesh_control.webhook.manifest import NAME

log = logging.getLogger("mesh_control.webhook")

PATH = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{CONFIGURATION}"
STRATEGIC = "application/strategic-merge-patch+json"
"""By which one webhook of the list, and of it one field, is changed."""
TURN_SECONDS = 5.0
SETTLE_SECONDS = 30.0
"""How long every API server may take to take up a bundle that was written to one of them."""
NOT_FOUND, CONFLICT = 404, 409


def united(*bundles: str) -> str:
    """Every root of some bundles (PEM) once, in their order."""
    return pem.write_certificates(
        tuple(dict.fromkeys(root for text in bundles for root in pem.read_certificates(text)))
    )


def bundle_of(configuration: Mapping[str, Any]) -> str | None:
    """The bundle (PEM) of our webhook in a ValidatingWebhookConfiguration; ``None``: that has no such webhook."""
    found = next((hook for hook in configuration.get("webhooks") or () if hook.get("name") == NAME), None)
    if found is None:
        return None
    try:
        return base64.b64decode((found.get("clientConfig") or {}).get("caBundle") or "").decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def patch_of(bundle: str) -> dict[str, Any]:
    """What makes that bundle (PEM) our webhook's."""
    encoded = base64.b64encode(bundle.encode()).decode()
    return {"webhooks": [{"name": NAME, "clientConfig": {"caBundle": encoded}}]}


@dataclass(slots=True)
class Bundle:
    """Keeps it. ``wanted`` gives the roots (PEM) that it is to have, ``leads``: whether this replica may write."""

    access: Access
    wanted: Callable[[], str]
    leads: Callable[[], bool] = lambda: True
    turn_seconds: float = TURN_SECONDS
    settle_seconds: float = SETTLE_SECONDS
    clock: Callable[[], float] = time.monotonic
    problem: str = ""
    _since: dict[str, float] = field(default_factory=dict)
    """Roots (PEM) that the object has, and since when that is known."""
    _asked: bool = True
    """Whether any API server asks, as far as is known."""

    def covers(self, root: str) -> bool:
        """Whether every API server knows that root (PEM) by now, or none asks."""
        since = self._since.get(root)
        return not self._asked or (since is not None and self.clock() - since >= self.settle_seconds)

    async def run(self) -> None:
        """Keep it right for ever."""
        async with Api(self.access) as api:
            while True:
                before = self.problem
                await self.turn(api)
                if self.problem and self.problem != before:
                    log.error("%s", self.problem)
                await asyncio.sleep(self.turn_seconds)

    async def turn(self, api: Api) -> None:
        """Look once, and write what is to be written."""
        try:
            found = bundle_of(await api.request("GET", PATH))
            if found is not None and self.leads():
                wanted = self.wanted()
                if _roots(found) != _roots(wanted):
                    found = bundle_of(await api.request("PATCH", PATH, patch_of(wanted), content=STRATEGIC))
                    log.info("the webhook's caBundle has %d roots", len(_roots(found or "")))
            self._see(found)
            self.problem = ""
        except ApiError as error:
            if error.status == NOT_FOUND:
                self._see(None)
            elif error.status != CONFLICT:
                told = "the webhook's certificate changes as late as it can"
                self.problem = f"kubernetes: {CONFIGURATION}: the caBundle cannot be kept: {error.message}; {told}"

    def _see(self, found: str | None) -> None:
        now = self.clock()
        self._asked = found is not None
        self._since = {root: self._since.get(root, now) for root in _roots(found or "")}


def _roots(bundle: str) -> frozenset[str]:
    """The roots of a bundle, each in one form; what cannot be read has none."""
    try:
        return frozenset(_forms(pem.read_certificates(bundle)))
    except ValueError:
        return frozenset()


def _forms(certificates: Iterable[Any]) -> Iterable[str]:
    return (pem.write_certificates((certificate,)) for certificate in certificates)

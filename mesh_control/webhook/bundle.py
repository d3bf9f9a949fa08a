"""The ``caBundle`` of a webhook configuration, kept right while the authority's roots come and go.

An API server that does not know the root of the webhook's certificate keeps no policy at all. So the order is: first the
bundle has the former and the next root, then the certificate changes (:class:`~mesh_control.webhook.certificate.Keeper` asks
:meth:`Bundle.covers`), then the former root goes. Of several replicas each adds its own roots, and the one that leads takes
away those that nobody claims (:mod:`~mesh_control.webhook.claims`). The object itself is made by whoever installs (``mesh
manifests``, ``mesh webhook``): without it nobody asks, and nothing is written.
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
from mesh_control.injection import manifest as injection
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError
from mesh_control.sources.kubernetes.rbac import CONFIGURATION
from mesh_control.webhook import claims
from mesh_control.webhook.manifest import NAME

log = logging.getLogger("mesh_control.webhook")


@dataclass(frozen=True, slots=True)
class Target:
    """An object by which API servers ask: its collection and name, and the names of those of its webhooks that are ours."""

    plural: str
    name: str
    webhooks: tuple[str, ...]

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"/apis/admissionregistration.k8s.io/v1/{self.plural}/{self.name}"


VALIDATION = Target("validatingwebhookconfigurations", CONFIGURATION, (NAME,))
INJECTION = Target("mutatingwebhookconfigurations", injection.CONFIGURATION, injection.NAMES)
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


def bundle_of(configuration: Mapping[str, Any], target: Target = VALIDATION) -> str | None:
    """The bundle (PEM) that all of our webhooks in a configuration have; empty where theirs differ, ``None`` where it has
    none of ours."""
    ours = [hook for hook in configuration.get("webhooks") or () if hook.get("name") in target.webhooks]
    if not ours:
        return None
    found = {_decoded((hook.get("clientConfig") or {}).get("caBundle") or "") for hook in ours}
    return found.pop() if len(found) == 1 else ""


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def patch_of(
    configuration: Mapping[str, Any], own: str, replica: str, now: float, *, leads: bool, target: Target = VALIDATION
) -> dict[str, Any] | None:
    """What is to be changed in an object that has our webhook, for a replica whose answers need the roots ``own`` (PEM);
    ``None``: nothing. Roots that other replicas claim stay, and such as nobody claims until one that ``leads`` takes them
    away. ``now`` is in seconds since 1970."""
    found, known, mine = (
        _roots(bundle_of(configuration, target) or ""),
        claims.read(configuration),
        claims.place_of(replica),
    )
    good = {place: claim for place, claim in known.items() if claim is not None and claims.is_good(claim, now)}
    taken = frozenset(root for place, claim in good.items() if place != mine for root in claim.roots)
    kept = [root for root in sorted(found) if not leads or claims.fingerprint(root) in taken]
    wanted = united(own, *kept)
    annotations: dict[str, str | None] = {}
    if (claim := claims.renewed(known.get(mine), replica, _roots(own), now)) is not None:
        annotations[mine] = claims.write(claim)
    if leads:
        annotations |= {place: None for place in known if place not in good and place != mine}
    if _roots(wanted) == found and not annotations:
        return None
    encoded = base64.b64encode(wanted.encode()).decode()
    # The version makes what another replica has just written count: then it is looked at again.
    version = (configuration.get("metadata") or {}).get("resourceVersion")
    there = {hook.get("name") for hook in configuration.get("webhooks") or ()}
    return {
        "metadata": {"resourceVersion": version, **({"annotations": annotations} if annotations else {})},
        "webhooks": [
            {"name": name, "clientConfig": {"caBundle": encoded}} for name in target.webhooks if name in there
        ],
    }


@dataclass(slots=True)
class Bundle:
    """Keeps it. ``wanted`` gives the roots (PEM) that this replica's answers may need, ``leads`` says whether it is the one
    that takes away what nobody needs; ``replica`` is its name among the others."""

    access: Access
    wanted: Callable[[], str]
    leads: Callable[[], bool] = lambda: True
    replica: str = ""
    target: Target = VALIDATION
    turn_seconds: float = TURN_SECONDS
    settle_seconds: float = SETTLE_SECONDS
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
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
            present = await api.request("GET", self.target.path)
            found = bundle_of(present, self.target)
            if found is not None:
                wanted, leads = self.wanted(), self.leads()
                patch = patch_of(present, wanted, self.replica, self.today(), leads=leads, target=self.target)
                if patch is not None:
                    written = await api.request("PATCH", self.target.path, patch, content=STRATEGIC)
                    before, found = found, bundle_of(written, self.target)
                    if _roots(before) != _roots(found or ""):
                        log.info("the caBundle of %s has %d roots", self.target.name, len(_roots(found or "")))
            self._see(found)
            self.problem = ""
        except ApiError as error:
            if error.status == NOT_FOUND:
                self._see(None)
            elif error.status != CONFLICT:
                told = "the webhook's certificate changes as late as it can"
                self.problem = f"kubernetes: {self.target.name}: the caBundle cannot be kept: {error.message}; {told}"

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

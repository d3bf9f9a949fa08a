"""Connects the webhook to the rest of the control plane: its settings, its certificate, the present world."""

import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator

from mesh_control.ca.authority import Authority
from mesh_control.control import Control
from mesh_control.injection.pods import Surroundings
from mesh_control.injection.review import Outcome, outcome
from mesh_control.injection.template import Template
from mesh_control.settings import Settings
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError
from mesh_control.sources.kubernetes.reporting import Reporter
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.wiring import access_of
from mesh_control.webhook.bundle import INJECTION, VALIDATION, Bundle, united
from mesh_control.webhook.certificate import AuthorityIssuer, IssueError, Keeper
from mesh_control.webhook.review import Review
from mesh_control.webhook.server import Injector, Webhook, serving
from mesh_policy import Finding, Policy


@contextlib.asynccontextmanager
async def from_settings(
    settings: Settings, control: Control, authority: Authority | None
) -> AsyncIterator[Keeper | None]:
    """The webhook of a control plane while this is open; gives what keeps its certificate, ``None`` where none is wanted.

    Raises :class:`OSError`, which says what cannot be used.
    """
    if settings.webhook is None or authority is None:
        yield None
        return

    def judge(policy: Policy) -> list[Finding]:
        return control.state.judge(policy, Cluster.name)

    inject = None if settings.injection is None else await injector(settings, control, settings.injection)
    try:
        keeper = Keeper(AuthorityIssuer(authority), settings.webhook.server_names, settings.state_dir, time.time)
    except IssueError as error:
        raise OSError(f"webhook: {error}") from None
    async with serving(Webhook(judge, control.metrics, inject), settings.webhook.address, keeper.context):
        yield keeper


async def injector(settings: Settings, control: Control, template: Template) -> Injector:
    """What puts proxies into pods, as the cluster's version allows. Raises :class:`OSError` where that cannot be asked
    for."""
    namespace, version = "istio-system", None
    if settings.kubernetes is not None:
        access = access_of(settings.kubernetes)
        namespace = settings.kubernetes.lease_namespace or access.namespace
        version = await _version(access) if template.native == "auto" else None

    def inject(review: Review) -> Outcome:
        around = Surroundings(template, control.state.world.mesh, version)
        return outcome(review, around, namespace)

    return inject


async def _version(access: Access) -> tuple[int, int]:
    """Of the cluster, such as (1, 34); a provider may write ``34+``."""
    try:
        async with Api(access) as api:
            found = await api.request("GET", "/version")
        return int(found["major"]), int(re.sub(r"\D.*", "", found["minor"]))
    except (ApiError, KeyError, ValueError) as error:
        raise OSError(f"injection: the cluster's version cannot be asked for: {error}") from None


def bundles_of(settings: Settings, keeper: Keeper, reporter: Reporter | None) -> list[Bundle]:
    """What keeps the roots of the webhook's certificate known to the API server; nothing where there is no cluster.

    Of several replicas the one that leads takes roots away.
    """
    if settings.kubernetes is None:
        return []

    def leads() -> bool:
        return reporter is None or reporter.leader.leads

    def wanted() -> str:
        return united(keeper.issuer.bundle(), keeper.root)

    replica = settings.kubernetes.identity or socket.gethostname()
    targets = [VALIDATION] if settings.injection is None else [VALIDATION, INJECTION]
    access = access_of(settings.kubernetes)
    made = [Bundle(access, wanted, leads, replica, target) for target in targets]
    keeper.covers = lambda root: all(bundle.covers(root) for bundle in made)
    return made

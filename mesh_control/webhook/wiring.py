"""Connects the webhook to the rest of the control plane: its settings, its certificate, the present world."""

import contextlib
import socket
import time
from collections.abc import AsyncIterator

from mesh_control.ca.authority import Authority
from mesh_control.control import Control
from mesh_control.settings import Settings
from mesh_control.sources.kubernetes.reporting import Reporter
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.wiring import access_of
from mesh_control.webhook.bundle import Bundle, united
from mesh_control.webhook.certificate import AuthorityIssuer, IssueError, Keeper
from mesh_control.webhook.server import Webhook, serving
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

    try:
        keeper = Keeper(AuthorityIssuer(authority), settings.webhook.server_names, settings.state_dir, time.time)
    except IssueError as error:
        raise OSError(f"webhook: {error}") from None
    async with serving(Webhook(judge, control.metrics), settings.webhook.address, keeper.context):
        yield keeper


def bundle_of(settings: Settings, keeper: Keeper, reporter: Reporter | None) -> Bundle | None:
    """What keeps the roots of the webhook's certificate known to the API server; ``None`` where there is no cluster.

    Of several replicas the one that leads takes roots away.
    """
    if settings.kubernetes is None:
        return None

    def leads() -> bool:
        return reporter is None or reporter.leader.leads

    def wanted() -> str:
        return united(keeper.issuer.bundle(), keeper.root)

    replica = settings.kubernetes.identity or socket.gethostname()
    made = Bundle(access_of(settings.kubernetes), wanted, leads, replica)
    keeper.covers = made.covers
    return made

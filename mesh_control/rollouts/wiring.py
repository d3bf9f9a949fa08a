"""Connects releases to the rest of the control plane: policies go the way of every set, statistics come over HTTP."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp

from mesh_control.control import Control
from mesh_control.policy_sets import Refused
from mesh_control.push import Progress
from mesh_control.rollouts import replicas
from mesh_control.rollouts.measurements import Measurements
from mesh_control.rollouts.prometheus import PrometheusMeasurements
from mesh_control.rollouts.proxies import Fetch, ProxyMeasurements
from mesh_control.rollouts.runner import RefusedError, Releases, Runner
from mesh_control.rollouts.shared import SharedRunner
from mesh_control.rollouts.store import Store
from mesh_control.rollouts.this_replica import ThisReplica
from mesh_control.settings import Settings
from mesh_control.sources.kubernetes.api import Api
from mesh_control.sources.kubernetes.config_maps import ConfigMaps
from mesh_control.sources.kubernetes.reporting import Reporter, View
from mesh_policy import Policy, dump

FETCH_SECONDS = 3.0
"""How long an answer with statistics may take."""
WAIT_SECONDS = 15.0
"""How long a step waits for the proxies before it is counted as not taken; they may take it later."""
IN_FORCE = 504
"""Status of a set that is in force, and that not every proxy has taken in time."""


@dataclass(frozen=True, slots=True)
class ControlTarget:
    """See :class:`~mesh_control.rollouts.runner.Target`."""

    control: Control

    async def put(self, owner: str, policies: list[Policy]) -> None:
        """See :class:`~mesh_control.rollouts.runner.Target`."""
        try:
            await self.control.apply(owner, dump(policies), WAIT_SECONDS)
        except Refused as refused:
            if refused.status != IN_FORCE:
                raise RefusedError("; ".join(refused.lines)) from None

    def acknowledged(self) -> bool:
        """See :class:`~mesh_control.rollouts.runner.Target`."""
        progress = self.control.hub.progress().values()
        # Of nobody, as after a restart, nothing is known: that is not everybody.
        return bool(progress) and not self.control.missing() and all(p is Progress.ACKNOWLEDGED for p in progress)

    def in_force(self, owner: str) -> list[Policy]:
        """See :class:`~mesh_control.rollouts.runner.Target`."""
        return self.control.state.directory.of_owner(owner)


@asynccontextmanager
async def fetching(seconds: float = FETCH_SECONDS) -> AsyncIterator[Fetch]:
    """What reads URLs for the sources of measurements; an answer may take ``seconds``."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session:

        async def fetch(url: str) -> str:
            try:
                async with session.get(url) as answer:
                    answer.raise_for_status()
                    return await answer.text(errors="replace")
            except aiohttp.ClientError as error:
                raise OSError(str(error)) from None

        yield fetch


@asynccontextmanager
async def releases(control: Control, settings: Settings, reporter: Reporter | None) -> AsyncIterator[Releases]:
    """Those of a control plane; of one of several replicas those of all, of which the one moves them that leads."""
    async with fetching() as fetch:
        if reporter is None or not settings.replicated:
            source = _measurements(control, settings, fetch, dict)
            yield Runner(Store(settings.state_dir / "rollouts.sqlite"), ControlTarget(control), source, time.time)
            return
        cluster, leader = reporter.cluster, reporter.leader
        here = ThisReplica(control, cluster, lambda: leader.leads)
        source = _measurements(control, settings, fetch, here.statistics)
        async with Api(cluster.access) as api:
            maps = ConfigMaps(api, cluster.home)
            shared = SharedRunner(leader.election.identity, maps, here, source, time.time, time.monotonic)
            reporter.beside = lambda: f"kubernetes: {shared.problem}" if shared.problem else ""
            view = reporter.view

            def of_all() -> View:
                """What objects are told counts the proxies of every replica."""
                seen = view()
                return replace(seen, proxies=replicas.united(seen.proxies, here.world, shared.others()))

            reporter.view, reporter.ready = of_all, lambda: shared.heard
            yield shared


def _measurements(
    control: Control, settings: Settings, fetch: Fetch, elsewhere: Callable[[], Mapping[str, str]]
) -> Measurements:
    """By the Prometheus of the settings, or by the proxies where there is none."""
    if settings.prometheus_url is None:
        return ProxyMeasurements(control.hub.nodes, fetch, elsewhere)
    return PrometheusMeasurements(settings.prometheus_url, fetch)

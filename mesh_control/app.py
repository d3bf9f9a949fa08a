"""Wires the control plane: settings, sources, streams, pages; runs until it is told to end."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from importlib import metadata
from pathlib import Path

from aiohttp import web

from mesh_api.notify import notify
from mesh_control import validate
from mesh_control.addresses.given import Given
from mesh_control.addresses.store import Store
from mesh_control.ca.wiring import Office, from_settings
from mesh_control.control import Control
from mesh_control.databases import StoreError
from mesh_control.registration.proof import believing, withdrawing
from mesh_control.rollouts.runner import Releases
from mesh_control.rollouts.wiring import releases
from mesh_control.serve.admin import Api, Pages, Replica
from mesh_control.serve.debug import DebugPages
from mesh_control.serve.entrance import entrance_of
from mesh_control.serve.limits import Limits
from mesh_control.serve.xds import XdsServer
from mesh_control.settings import ProxyLimits, Settings
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.kubernetes.reporting import Reporter
from mesh_control.sources.kubernetes.wiring import reporter_of
from mesh_control.sources.table import sources
from mesh_control.state import State
from mesh_control.webhook import wiring as webhook
from mesh_policy import Policy

log = logging.getLogger("mesh_control")
ENDING_SECONDS = 5.0
"""How long is waited for what has to be done in the end, such as to leave a lease to the next replica."""


def control_of(settings: Settings) -> Control:
    """The control plane's state, read from disk."""
    directory = PolicyDirectory(settings.state_dir, _refuse)
    try:
        given = Given(Store(settings.state_dir / "addresses.sqlite"))
    except StoreError as error:
        raise OSError(str(error)) from None
    state = State(directory, sources(settings), certified=settings.ca is not None, given=given)
    return Control(state, rollback_share=settings.rollback_share)


def _limits(settings: ProxyLimits) -> Limits:
    return Limits(
        settings.requests_per_second,
        settings.requests_at_once,
        settings.streams_per_address,
        settings.streams_per_identity,
    )


def _refuse(policy: Policy) -> list[str]:
    """Fields that would be passed over are as bad in a file written by hand as in a set that is handed in."""
    return [str(finding) for finding in validate.unsupported(policy)]


async def run(settings: Settings, token: str | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises :class:`OSError` when a port cannot be bound."""
    control = control_of(settings)
    gc.freeze()  # most of what was read stays
    server = XdsServer(control, settings.xds_address, token, limits=_limits(settings.proxy_limits))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        office = await stack.enter_async_context(
            from_settings(settings, control.metrics, lambda made: server.handler(entrance_of(made)))
        )
        await stack.enter_async_context(_pages(control, office, settings, token))
        stack.callback(settings.socket.unlink, missing_ok=True)
        bundle = str if office is None else office.authority.bundle
        reporter = reporter_of(control, settings.kubernetes, bundle, injects=settings.injection is not None)
        rollouts = await stack.enter_async_context(releases(control, settings, reporter))
        await stack.enter_async_context(_api(control, rollouts, office, settings.socket, _replica(settings, reporter)))
        authority = office.authority if office is not None else None
        keeper = await stack.enter_async_context(webhook.from_settings(settings, control, authority))
        tasks = [
            asyncio.create_task(control.run(), name="push"),
            asyncio.create_task(_watch(control), name="sources"),
            asyncio.create_task(rollouts.run(), name="rollouts"),
            asyncio.create_task(_serve(control, server, settings), name="proxies"),
        ]
        if office is not None:
            _believe(server, office, reporter)
            tasks.append(asyncio.create_task(office.run(), name="certificates"))
        if reporter is not None:
            tasks.append(asyncio.create_task(reporter.run(), name="reports"))
        if keeper is not None:
            tasks.append(asyncio.create_task(keeper.run(), name="webhook"))
            tasks += [
                asyncio.create_task(hooked.run(), name=f"roots of {hooked.target.name}")
                for hooked in webhook.bundles_of(settings, keeper, reporter)
            ]
        try:
            await _until(stop, tasks)
        finally:
            notify("STOPPING=1")
            log.info("ending")
            await server.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=ENDING_SECONDS)


def _believe(server: XdsServer, office: Office, reporter: Reporter | None) -> None:
    """Let proxies in by what the authority says; one of several replicas does what is due when it leads."""
    server.believe, server.withdrawn = believing(office.authority), withdrawing(office.authority)
    office.on_withdrawal = server.look_again
    if office.sharing is not None:
        office.sharing.leads = lambda: reporter is None or reporter.leader.leads


def _replica(settings: Settings, reporter: Reporter | None) -> Replica | None:
    """Which of several replicas this is; ``None``: there are no others."""
    if not settings.replicated or reporter is None:
        return None
    return Replica(reporter.leader.election.identity, lambda: reporter.leader.leads)


async def _until(stop: asyncio.Event, tasks: list["asyncio.Task[None]"]) -> None:
    """Wait for the signal; a task that ends before is a defect and ends the process, which is started again."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _watch(control: Control) -> None:
    """Tell the control plane of every change of every source."""
    async with asyncio.TaskGroup() as group:
        for source in control.state.sources:
            group.create_task(source.watch(control.touch), name=f"source {source.name}")


async def _serve(control: Control, server: XdsServer, settings: Settings) -> None:
    """Accept proxies, once every source is known: a world of half of them would take services away."""
    await control.until_synced()
    await server.start()
    secure = settings.ca.address if settings.ca is not None else None
    served = " and ".join(address for address in (settings.xds_address, secure) if address is not None)
    notify("READY=1", f"STATUS=serving {served}")
    log.info("ready: configuration on %s, pages on %s", served, settings.monitoring_address)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def _pages(control: Control, office: Office | None, settings: Settings, token: str | None) -> AsyncIterator[None]:
    address = settings.monitoring_address
    host, _, port = address.rpartition(":")
    debug = DebugPages(control, token, on_loopback=settings.debug_on_loopback)
    pages = Pages(control, metadata.version("meshwright"), debug, office)
    served = web.AppRunner(pages.application(), access_log=None)
    await served.setup()
    try:
        await web.TCPSite(served, host.strip("[]"), int(port)).start()
    except OSError as error:
        await served.cleanup()
        raise OSError(f"monitoring_address: {address} cannot be bound: {error.strerror}; set another one") from None
    try:
        yield
    finally:
        await served.cleanup()


@contextlib.asynccontextmanager
async def _api(
    control: Control, rollouts: Releases, office: Office | None, path: Path, replica: Replica | None
) -> AsyncIterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    served = web.AppRunner(Api(control, rollouts, office, replica).application(), access_log=None)
    await served.setup()
    await web.SockSite(served, _unix_socket(path)).start()
    try:
        yield
    finally:
        await served.cleanup()


def _unix_socket(path: Path) -> socket.socket:
    """A socket that only its owner and group can open, from the first moment (the umask applies to the bind)."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    bound.listen(64)
    return bound

"""Wires the control plane: settings, sources, streams, pages; runs until it is told to end."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from importlib import metadata
from pathlib import Path

from aiohttp import web
from watchfiles import Change, awatch

from mesh_api.notify import notify
from mesh_control import validate
from mesh_control.control import Control
from mesh_control.rollouts.runner import Runner
from mesh_control.rollouts.wiring import runner
from mesh_control.serve.admin import Api, Pages
from mesh_control.serve.xds import XdsServer
from mesh_control.settings import Settings
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.state import State
from mesh_policy import Policy

log = logging.getLogger("mesh_control")


def control_of(settings: Settings) -> Control:
    """The control plane's state, read from disk."""
    return Control(State(PolicyDirectory(settings.state_dir, _refuse), settings.inventory))


def _refuse(policy: Policy) -> list[str]:
    """Fields that would be passed over are as bad in a file written by hand as in a set that is handed in."""
    return [str(finding) for finding in validate.unsupported(policy)]


async def run(settings: Settings, token: str | None) -> None:
    """Serve until SIGTERM or SIGINT. Raises :class:`OSError` when a port cannot be bound."""
    control = control_of(settings)
    server = XdsServer(control, settings.xds_address, token)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_pages(control, settings.monitoring_address))
        stack.callback(settings.socket.unlink, missing_ok=True)
        rollouts = await stack.enter_async_context(runner(control, settings.state_dir, settings.prometheus_url))
        await stack.enter_async_context(_api(control, rollouts, settings.socket))
        await server.start()
        tasks = [
            asyncio.create_task(control.run(), name="push"),
            asyncio.create_task(_watch(control, settings), name="sources"),
            asyncio.create_task(rollouts.run(), name="rollouts"),
        ]
        notify("READY=1", f"STATUS=serving {settings.xds_address}")
        log.info("ready: configuration on %s, pages on %s", settings.xds_address, settings.monitoring_address)
        try:
            await _until(stop, tasks)
        finally:
            notify("STOPPING=1")
            log.info("ending")
            await server.stop()
            for task in tasks:
                task.cancel()


async def _until(stop: asyncio.Event, tasks: list["asyncio.Task[None]"]) -> None:
    """Wait for the signal; a task that ends before is a defect and ends the process, which is started again."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _watch(control: Control, settings: Settings) -> None:
    """Tell the control plane when a source changes on disk: the policies' tree, and the inventory's own folder alone.

    What lies deeper beside the inventory may belong to others and need not even be readable.
    """
    policies = settings.state_dir / "policies"
    async with asyncio.TaskGroup() as group:
        group.create_task(_touch(control, policies, lambda path: policies in path.parents, recursive=True))
        if settings.inventory is not None:
            folder = settings.inventory.parent
            group.create_task(_touch(control, folder, lambda path: path == settings.inventory, recursive=False))


async def _touch(control: Control, folder: Path, matters: Callable[[Path], bool], *, recursive: bool) -> None:
    def wanted(_change: Change, path: str) -> bool:
        return matters(Path(path))

    async for _ in awatch(folder, watch_filter=wanted, debounce=50, step=50, recursive=recursive):
        control.touch()


@contextlib.asynccontextmanager
async def _pages(control: Control, address: str) -> AsyncIterator[None]:
    host, _, port = address.rpartition(":")
    served = web.AppRunner(Pages(control, metadata.version("meshwright")).application(), access_log=None)
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
async def _api(control: Control, rollouts: Runner, path: Path) -> AsyncIterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    served = web.AppRunner(Api(control, rollouts).application(), access_log=None)
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

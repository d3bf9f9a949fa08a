"""The pool of workers: started, told what to run, asked for statistics, started again when they die.

A configuration counts as applied when every worker that is up has applied it. A worker that refuses it, dies over it or
does not answer makes it rejected, and all of them go back to what was in force; so a poisonous configuration costs one
worker one restart, not the service.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from mesh_api.config import ProxyConfig, Secret
from mesh_proxy import ipc
from mesh_proxy.supervisor.stats import merge
from mesh_proxy.supervisor.worker_process import COMMAND, WorkerGoneError, WorkerProcess

log = logging.getLogger(__name__)

READY_TIMEOUT: Final = 60.0
APPLY_TIMEOUT: Final = 30.0
"""Seconds that a worker may take to start, or to apply a configuration, before it counts as stuck and is killed."""
STATS_TIMEOUT: Final = 2.0
END_TIMEOUT: Final = 2.0
"""Seconds from asking a worker to end to killing it."""
BACK_OFF_BASE: Final = 0.1
BACK_OFF_MAX: Final = 10.0
"""Seconds before a dead worker is started again: doubled each time, from the base after a life longer than the maximum."""


class Workers:
    """``count`` workers. ``on_change`` is called when one comes up or goes away."""

    def __init__(
        self, count: int, on_change: Callable[[], None] = lambda: None, command: Sequence[str] = COMMAND
    ) -> None:
        self._slots: list[WorkerProcess | None] = [None] * count
        self._started: set[WorkerProcess] = set()
        self._on_change = on_change
        self._command = tuple(command)
        self._current: ipc.Apply | None = None
        self._applying = asyncio.Lock()
        self._arrived = asyncio.Event()
        self._first_lives: set[int] = set(range(count))
        self._keepers: list[asyncio.Task[None]] = []
        self._log_level = "info"
        self._ending = False
        self._retired: list[ipc.Stats] = []
        self.introduction: ipc.Introduce | None = None
        """Whose proxy it is."""
        self.on_told: Callable[[ipc.Told], None] = lambda told: None
        """Takes what workers have for services of telemetry."""
        self.restarts = 0
        """Workers that were started again since the start."""

    def start(self, log_level: str) -> None:
        """Starts the workers; they come up in their own time."""
        self._log_level = log_level
        self._keepers = [
            asyncio.create_task(self._keep(index), name=f"worker-{index}") for index in range(len(self._slots))
        ]

    @property
    def up(self) -> list[WorkerProcess]:
        """The workers that are there."""
        return [worker for worker in self._slots if worker is not None and not worker.gone]

    @property
    def count(self) -> int:
        """How many there should be."""
        return len(self._slots)

    @property
    def running(self) -> int:
        """How many of them run the configuration in force."""
        wanted = None if self._current is None else self._current.version
        return sum(worker.running == wanted for worker in self.up) if wanted is not None else 0

    async def apply(self, number: int, config: ProxyConfig, secrets: tuple[Secret, ...] = ()) -> ipc.Rejected | None:
        """Has every worker run ``config`` with ``secrets``; ``None`` when they do.

        Waits until each worker came up, or failed to, once; and then for one at least.
        """
        wanted = ipc.Apply(number, config, secrets)
        encoded = ipc.encode(wanted)
        async with self._applying:
            await self._arrived.wait()
            while not (asked := self.up):  # the last one has just ended, which is no fault of this configuration
                self._arrived.clear()
                await self._arrived.wait()
            answers = await asyncio.gather(*(self._apply_one(worker, wanted, encoded) for worker in asked))
            refused = next((answer for answer in answers if answer is not None), None)
            if refused is not None:
                await self._go_back([w for w, answer in zip(asked, answers, strict=True) if answer is None])
                return refused
            self._current = wanted
        # A worker that came up meanwhile got the configuration before this one.
        for worker in self.up:
            if worker not in asked:
                await self._catch_up(worker)
        return None

    async def stats(self) -> ipc.Stats:
        """The sum over the workers, with what those that are gone last reported."""
        replies = await asyncio.gather(*(self._stats_of(worker) for worker in self.up))
        return merge([*self._retired, *(reply for reply in replies if reply is not None)])

    def broadcast(self, message: ipc.SetLogLevel | ipc.Reopen) -> None:
        """Tells every worker, also those that come later in the case of the log level."""
        if isinstance(message, ipc.SetLogLevel):
            self._log_level = message.level
        for worker in self.up:
            worker.send(message)

    def reset_counters(self) -> None:
        """Has every counter begin anew, also those of workers that are gone."""
        self._retired = []
        for worker in self.up:
            worker.send(ipc.ResetCounters())

    async def drain(self, seconds: float) -> None:
        """Has every worker take nothing new and finish what is under way, for at most ``seconds``."""
        waits = [asyncio.create_task(_drained(worker, seconds)) for worker in self.up]
        if waits:
            # The workers keep the time; the margin is for one that does not.
            _, late = await asyncio.wait(waits, timeout=seconds + END_TIMEOUT)
            for wait in late:
                wait.cancel()

    async def stop(self) -> None:
        """Ends every worker, those that do not go by force."""
        self._ending = True
        for worker in self._started:
            worker.terminate()
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=END_TIMEOUT)
            for worker in self._started if late else ():
                log.warning("worker %d (process %d) does not end and is killed", worker.index, worker.pid)
                worker.kill()
            # Those in their back-off hold no process.
            for keeper in late if not self._started else ():
                keeper.cancel()
            await asyncio.gather(*self._keepers, return_exceptions=True)

    async def _keep(self, index: int) -> None:
        """Has a worker in slot ``index``, for ever."""
        loop = asyncio.get_running_loop()
        back_off = BACK_OFF_BASE
        while not self._ending:
            begin = loop.time()
            try:
                await self._live(index)
            except OSError as error:
                log.error("worker %d cannot be started: %s", index, error)
            if self._ending:
                return
            self._settle(index)
            back_off = BACK_OFF_BASE if loop.time() - begin > BACK_OFF_MAX else min(back_off * 2, BACK_OFF_MAX)
            self.restarts += 1
            self._on_change()
            await asyncio.sleep(back_off)

    async def _live(self, index: int) -> None:
        """One worker's life."""
        worker = await WorkerProcess.spawn(index, self._command)
        self._started.add(worker)
        worker.on_told = self.on_told
        if self._ending:
            worker.kill()
        welcome = asyncio.create_task(self._welcome(worker), name=f"worker-{index}-welcome")
        try:
            status = await worker.serve()
            if not self._ending:
                log.error("worker %d (process %d) ended: %s", index, worker.pid, _describe(status))
        except ipc.ProtocolError as error:
            log.error("worker %d (process %d) is killed: %s", index, worker.pid, error)
        finally:
            welcome.cancel()
            self._started.discard(worker)
            self._slots[index] = None
            if not self.up:
                self._arrived.clear()
            if worker.last_stats is not None:
                # Counters go on from where it left; what it held is gone with it.
                self._retired = [merge([*self._retired, _lasting(worker.last_stats)])]
            self._on_change()

    async def _welcome(self, worker: WorkerProcess) -> None:
        """Brings a new worker to what the others run."""
        try:
            await asyncio.wait_for(worker.ready(), READY_TIMEOUT)
        except WorkerGoneError:
            return
        except TimeoutError:
            log.error("worker %d (process %d) does not come up and is killed", worker.index, worker.pid)
            worker.kill()
            return
        worker.send(ipc.SetLogLevel(self._log_level))
        if self.introduction is not None:
            worker.send(self.introduction)
        await self._catch_up(worker)
        self._slots[worker.index] = worker
        # What was applied while it caught up, it did not get.
        await self._catch_up(worker)
        self._settle(worker.index)
        log.info("worker %d (process %d) is up", worker.index, worker.pid)
        self._on_change()

    def _settle(self, index: int) -> None:
        """Slot ``index`` had its first chance; once all had theirs and one made it, configurations are applied."""
        self._first_lives.discard(index)
        if not self._first_lives and self.up:
            self._arrived.set()

    async def _catch_up(self, worker: WorkerProcess) -> None:
        while (current := self._current) is not None and worker.running != current.version:
            refused = await self._apply_one(worker, current, ipc.encode(current))
            if refused is not None:
                log.error("worker %d does not take the configuration in force: %s", worker.index, refused.reason)
                return

    async def _go_back(self, workers: Sequence[WorkerProcess]) -> None:
        """After a refusal elsewhere, back to what was in force (before the first: to nothing)."""
        current = self._current or ipc.Apply(0, ProxyConfig())
        encoded = ipc.encode(current)
        await asyncio.gather(*(self._apply_one(worker, current, encoded) for worker in workers))

    async def _apply_one(self, worker: WorkerProcess, wanted: ipc.Apply, encoded: bytes) -> ipc.Rejected | None:
        try:
            return await asyncio.wait_for(worker.apply(wanted, encoded), APPLY_TIMEOUT)
        except WorkerGoneError:
            return ipc.Rejected(wanted.version, "", f"worker {worker.index} ended while it applied the configuration")
        except TimeoutError:
            worker.kill()
            return ipc.Rejected(wanted.version, "", f"worker {worker.index} did not answer within {APPLY_TIMEOUT:g} s")

    async def _stats_of(self, worker: WorkerProcess) -> ipc.Stats | None:
        try:
            return await asyncio.wait_for(worker.stats(), STATS_TIMEOUT)
        except (WorkerGoneError, TimeoutError):
            return worker.last_stats if worker in self.up else None


def _lasting(stats: ipc.Stats) -> ipc.Stats:
    """What goes on counting."""
    return ipc.Stats(counters=stats.counters, labelled=stats.labelled)


async def _drained(worker: WorkerProcess, seconds: float) -> None:
    try:
        await worker.drain(seconds)
    except WorkerGoneError:
        return


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"

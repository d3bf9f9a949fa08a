"""One worker process, from its start to its end, as the supervisor sees it."""

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from mesh_proxy import ipc

COMMAND: Final = (sys.executable, "-m", "mesh_proxy.worker")
READ_SIZE: Final = 256 * 1024


class WorkerGoneError(ConnectionError):
    """The worker ended before it answered."""


class WorkerProcess:
    """A started worker. :meth:`serve` must run for answers to arrive; it ends with the process.

    The worker holds the other end of a socket pair, so it sees the end of the stream when the supervisor is gone, however
    that happened, and ends as well.
    """

    def __init__(self, index: int, process: asyncio.subprocess.Process, stream: Any) -> None:
        self.index = index
        self._process = process
        self._reader, self._writer = stream
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[object, asyncio.Future[Any]] = {}
        self._report_id = 0
        self.on_told: Callable[[ipc.Told], None] = lambda told: None
        """Takes entries for services of telemetry."""
        self.running: int | None = None
        """Number of the configuration that it runs."""
        self.last_stats: ipc.Stats | None = None
        """The latest answer to :meth:`stats`."""

    @classmethod
    async def spawn(cls, index: int, command: Sequence[str] = COMMAND) -> "WorkerProcess":
        """Starts the process. Raises :class:`OSError` when that fails."""
        ours, theirs = socket.socketpair()
        try:
            # A process group of its own: Ctrl-C on a terminal is for the supervisor, which drains first.
            process = await asyncio.create_subprocess_exec(
                *command,
                "--ipc-fd",
                str(theirs.fileno()),
                "--index",
                str(index),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(index, process, await asyncio.open_connection(sock=ours))

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it has ended, or is about to: it answers nothing any more."""
        return bool(self._writer.is_closing())

    async def serve(self) -> int:
        """Takes messages until the worker ends; returns its exit status (negative: the signal that ended it)."""
        decoder = ipc.Decoder()
        try:
            while data := await self._reader.read(READ_SIZE):
                for message in decoder.feed(data):
                    self._on_message(message)
        except ConnectionError:
            pass
        except Exception:
            # What says something that is no message is no worker that could be relied on.
            self.kill()
            raise
        finally:
            await self._close()
        return await self._process.wait()

    async def ready(self) -> None:
        """Waits until the worker runs. Raises :class:`WorkerGoneError`."""
        await self._future(ipc.Ready)

    async def apply(self, wanted: ipc.Apply, encoded: bytes) -> ipc.Rejected | None:
        """Has it run ``wanted`` (and ``encoded``, the same as bytes); ``None`` when it does.

        Raises :class:`WorkerGoneError`.
        """
        future = self._future((ipc.Applied, wanted.version))
        self._writer.write(encoded)
        answer: ipc.Rejected | None = await future
        if answer is None:
            self.running = wanted.version
        return answer

    async def stats(self) -> ipc.Stats:
        """Its numbers. Raises :class:`WorkerGoneError`."""
        self._report_id += 1
        future = self._future((ipc.StatsReply, self._report_id))
        self.send(ipc.StatsRequest(self._report_id))
        stats: ipc.Stats = await future
        return stats

    async def drain(self, seconds: float) -> None:
        """Has it finish what is under way, for at most ``seconds``. Raises :class:`WorkerGoneError`."""
        future = self._future(ipc.Drained)
        self.send(ipc.Drain(seconds))
        await future

    def send(self, message: ipc.Message) -> None:
        """Sends what has no answer; to a worker that is gone, nothing."""
        if not self.gone:
            self._writer.write(ipc.encode(message))

    def terminate(self) -> None:
        """Closes the connection, whereupon a worker ends as it does when the supervisor is gone."""
        self._writer.close()

    def kill(self) -> None:
        """Ends it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _future(self, key: object) -> asyncio.Future[Any]:
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = self._loop.create_future()
            if self.gone:
                self._fail(key)
        return future

    def _on_message(self, message: ipc.Message) -> None:
        match message:
            case ipc.Ready():
                # May arrive before anybody waits for it.
                self._resolve(ipc.Ready, None, keep=True)
            case ipc.Applied(version):
                self._resolve((ipc.Applied, version), None)
            case ipc.Rejected(version):
                self._resolve((ipc.Applied, version), message)
            case ipc.StatsReply(number, stats):
                self.last_stats = stats
                self._resolve((ipc.StatsReply, number), stats)
            case ipc.Told():
                self.on_told(message)
            case ipc.Drained():
                self._resolve(ipc.Drained, None)
            case _:
                raise ipc.ProtocolError(f"a worker does not send {type(message).__name__}")

    def _resolve(self, key: object, value: object, *, keep: bool = False) -> None:
        future = self._future(key) if keep else self._waiting.pop(key, None)
        if future is not None and not future.done():
            future.set_result(value)

    def _fail(self, key: object) -> None:
        future = self._waiting[key]
        if not future.done():
            future.set_exception(WorkerGoneError(f"worker {self.index} (process {self.pid}) is gone"))
            # Nobody may be waiting any more, which is no error.
            future.exception()

    async def _close(self) -> None:
        self._writer.close()
        for key in self._waiting:
            self._fail(key)
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

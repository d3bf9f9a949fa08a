"""A real Prometheus of a test's own: the one on PATH, else Debian's package, which is unpacked into the cache once for each
version and not installed."""

import asyncio
import contextlib
import fcntl
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.go_programs import cache
from tests.support.worker_process import LIMIT

NAME = "prometheus"
SCRAPED_EVERY = "200ms"
_LISTENS = re.compile(r'msg="Listening on".* address=(\S+)')
_READY = "Server is ready to receive web requests"


class NoPrometheusError(Exception):
    """There is none here, and why."""


def program() -> Path:
    """The program. Raises :class:`NoPrometheusError` where neither PATH nor the sources of packages have it."""
    installed = shutil.which(NAME)
    if installed is not None:
        return Path(installed)
    if not all(shutil.which(tool) for tool in ("apt-cache", "apt-get", "dpkg")):
        raise NoPrometheusError("there is no prometheus on PATH, and no apt-get that could fetch Debian's package")
    shown = _run(["apt-cache", "show", "--no-all-versions", NAME])
    version = re.search(r"^Version: (\S+)", shown, re.MULTILINE)
    if version is None:
        raise NoPrometheusError(f"there is no prometheus on PATH, and apt-cache shows no version of it: {shown[-300:]}")
    folder = cache() / f"{NAME}-{version[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / NAME).exists():
            _unpack(version[1], folder)
    return folder / NAME


def _unpack(version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as place:
        _run(["apt-get", "download", "-q", f"{NAME}={version}"], Path(place))
        (package,) = Path(place).glob("*.deb")
        _run(["dpkg", "-x", str(package), "."], Path(place))
        (Path(place) / "usr" / "bin" / NAME).replace(folder / NAME)


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=True)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or "")[-300:]
        raise NoPrometheusError(f"there is no prometheus on PATH, and not from packages: {error}: {said}") from None
    return done.stdout


@contextlib.asynccontextmanager
async def running(found: Path, scraped: int) -> AsyncIterator[str]:
    """The URL of one that scrapes a port of loopback every :data:`SCRAPED_EVERY`; its data are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="meshwright-prometheus-") as folder:
        target = {"job_name": "istio", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
        times = {"scrape_interval": SCRAPED_EVERY, "scrape_timeout": SCRAPED_EVERY}
        settings = Path(folder) / "prometheus.yml"
        settings.write_text(json.dumps({"global": times, "scrape_configs": [target]}))  # JSON is YAML
        options = (
            f"--config.file={settings}",
            f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:0",
        )
        process = await asyncio.create_subprocess_exec(
            found, *options, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            yield f"http://{await _ready(process)}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()


async def _ready(process: asyncio.subprocess.Process) -> str:
    """The address that it listens at, when it is ready."""
    assert process.stderr is not None
    log: list[str] = []
    address, ready = "", False
    async with asyncio.timeout(LIMIT):
        while not (address and ready):
            line = (await process.stderr.readline()).decode(errors="replace")
            assert line, f"it ended: {''.join(log)}"
            log.append(line)
            listens = _LISTENS.search(line)
            address = listens[1] if listens else address
            ready = ready or _READY in line
    return address

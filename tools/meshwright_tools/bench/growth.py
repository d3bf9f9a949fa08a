"""``make bench-growth``: whether our proxy's memory grows under full load, however long that lasts.

Proxies of each topology run at once on one core, and their clients ask all the time, as fast as they are answered. What a
worker holds is read all along; what it holds at the end is compared with what it held after a tenth of the time.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from meshwright_tools.bench import proxy
from meshwright_tools.bench.measure import CommandError
from meshwright_tools.bench.proxy_cases import Case, cases
from meshwright_tools.bench.proxy_processes import Process
from meshwright_tools.checkout import Checkout

CASES = (
    "http1_get_realistic", "http1_post_10k", "http1_1m", "mtls_10k", "mtls_handshake", "grpc_unary", "grpc_stream", "tcp",
)  # fmt: skip
"""What is asked, of one proxy for each topology (two with mutual TLS between them)."""
ALLOWED = 2.0
"""MB that a worker may hold more at the end: allocators keep a page here and there, and tables fill up."""
_TENTH = 10


@dataclass
class Watched:
    """A worker, and what it held over the time, in MB."""

    name: str
    process: Process
    held: list[float] = field(default_factory=list)

    def told(self) -> bool:
        """Print its line; whether it has stayed as it was."""
        number = max(len(self.held) // _TENTH, 1)
        early, late = (
            statistics.median(self.held[number : 2 * number] or self.held),
            statistics.median(self.held[-number:]),
        )
        grown = late - early
        word = "met" if grown <= ALLOWED else "MISSED"
        print(
            f"growth {self.name} {grown:+.2f} MB ({early:.1f} MB after a tenth of the time, {late:.1f} MB at its end, "
            f"at most {max(self.held):.1f}) [{word}: {ALLOWED:g}]",
            flush=True,
        )
        return grown <= ALLOWED


@dataclass
class Asked:
    """A case while its clients ask; ``failed`` says why they stopped."""

    case: Case
    requests: int = 0
    failed: str = ""

    def go(self, bench: proxy.Bench, port: int, seconds: float) -> None:
        """Ask for so long."""
        try:
            self.requests = self.case.load.run(bench.programs, port, seconds, bench.core, bench.log).requests
        except CommandError as error:
            self.failed = str(error)


def run(checkout: Checkout, seconds: float) -> int:
    """Measure and print. Ends with 1 when a worker holds more than it did, or a request failed."""
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as name, ExitStack() as stack:
        bench = proxy.Bench(checkout, Path(name), [proxy.COMPILED])
        proxy.certify(bench.folder)
        print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
        print(f"{seconds:g} s of full load on one core, load {os.getloadavg()[0]:.1f}", flush=True)
        chosen = {case.name: case for case in cases(bench.folder) if case.name in CASES}
        origin = bench.origin(stack, bench.core)
        standings = {
            topology: proxy.Standings(bench, topology, stack, bench.core, origin, logs=False)
            for topology in {case.topology for case in chosen.values()}
        }
        watched = [
            Watched(f"{topology}-{number}", process)
            for topology, standing in sorted(standings.items())
            for number, process in enumerate(standing.counted[proxy.COMPILED])
        ]
        asked = [Asked(case) for case in chosen.values()]
        _ask(bench, asked, standings, watched, seconds)
    print("requests: " + ", ".join(f"{one.case.name} {one.requests}" for one in asked))
    for one in asked:
        if one.failed:
            print(f"{one.case.name} failed: {one.failed}")
    stayed = [one.told() for one in watched]
    return 0 if all(stayed) and not any(one.failed for one in asked) else 1


def _ask(
    bench: proxy.Bench,
    asked: list[Asked],
    standings: dict[str, proxy.Standings],
    watched: list[Watched],
    seconds: float,
) -> None:
    threads = []
    for one in asked:
        port = standings[one.case.topology].ports[proxy.COMPILED]
        threads.append(threading.Thread(target=one.go, args=(bench, port, seconds)))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for worker in watched:
            worker.held.append(worker.process.resident())
        time.sleep(min(1.0, seconds / 100))
    for thread in threads:
        thread.join()

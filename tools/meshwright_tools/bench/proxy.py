"""``make bench``: CPU time per request of our proxy, interpreted and compiled, beside a real Envoy configured alike.

Everything is pinned to one core (so that a proxy is always busy, and its cost does not depend on who else is), the proxies
have their turn in short rounds, and each ratio is the median of those of the rounds: what others do on the machine meets all
of them alike.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from meshwright_tools import compiled, separate_environments
from meshwright_tools.bench import proxy_bootstrap as form
from meshwright_tools.bench.proxy_cases import TOPOLOGIES, Case, cases
from meshwright_tools.bench.proxy_processes import Load, Process, Standing, build, free_port
from meshwright_tools.checkout import Checkout
from meshwright_tools.progress import Progress
from meshwright_tools.pythons import probe

ENVOY, INTERPRETED, COMPILED = "envoy", "interpreted", "compiled"
FORMS = (ENVOY, INTERPRETED, COMPILED)
_WARM = 0.5
_IDLE = 10_000
_RATE = 1000


class Bench:
    """What is the same for all cases: programs, cores, a folder, and how our forms are started."""

    def __init__(self, checkout: Checkout, folder: Path, forms: Sequence[str]) -> None:
        progress = Progress()
        self.folder = folder
        self.forms = forms
        self.programs = build(folder)
        self.envoy = separate_environments.ensure("envoy", checkout, progress) / "bin" / "envoy"
        self.python = interpreter(checkout)
        self.trees = {INTERPRETED: checkout.root}
        if COMPILED in forms:
            self.trees[COMPILED] = compiled.tree(checkout, progress)
        allowed = sorted(os.sched_getaffinity(0))
        self.core, self.other = {allowed[-1]}, {allowed[0]}
        self.log = folder / "log"

    def proxy(self, form_: str, bootstrap: dict[str, object], cores: set[int]) -> Process:
        """One proxy with that bootstrap."""
        file = self.folder / f"{form_}-{free_port()}.json"
        file.write_text(json.dumps(bootstrap))
        if form_ == ENVOY:
            command = [self.envoy, "-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "error"]
            return Process(command, cores, self.log)
        command = [self.python, "-m", "mesh_proxy", "--bootstrap", file]
        known = compiled.environment(self.trees[form_])
        known["PYTHONPATH"] += f":{sysconfig.get_paths()['purelib']}"
        return Process(command, cores, self.log, known)

    def origin(self, stack: ExitStack, cores: set[int]) -> int:
        """The application's port."""
        port = free_port()
        stack.enter_context(Process([self.programs.origin, port], cores, self.log)).until_open(port)
        return port


def interpreter(checkout: Checkout) -> Path:
    """The system's own Python where it is of the environment's version, since hosts run proxies with theirs: distributions
    build it with optimisations that another may lack. Else the environment's."""
    own = Path(f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    return own if own.exists() else checkout.venv / "bin" / "python"


class Standings:
    """The proxies of one topology, each form's: those whose CPU counts, and the port that clients ask. ``logs``: whether what
    they write to their access logs is kept."""

    def __init__(
        self, bench: Bench, topology: str, stack: ExitStack, cores: set[int], origin: int, *, logs: bool = True
    ) -> None:
        self.ports: dict[str, int] = {}
        self.counted: dict[str, list[Process]] = {}
        for form_ in bench.forms:
            self.counted[form_] = []
            port = origin
            for listener, mutual_to_host in chain_of(topology):
                to, port = port, free_port()
                log = bench.folder / f"{form_}-{port}.log"
                if not logs:
                    log.symlink_to(os.devnull)
                bootstrap = bootstrap_of(topology, listener, mutual_to_host, port, to, log)
                process = stack.enter_context(bench.proxy(form_, bootstrap, cores))
                process.until_open(port)
                self.counted[form_].append(process)
            self.ports[form_] = port

    def cpu(self, form_: str) -> float:
        """Microseconds so far."""
        return sum(process.cpu() for process in self.counted[form_])


def chain_of(topology: str) -> list[tuple[bool, bool]]:
    """From the application to the client: whether a proxy's clients come with TLS, and whether its host is spoken to so."""
    return [(True, False), (False, True)] if topology.startswith("mtls") else [(False, False)]


def bootstrap_of(topology: str, mutual: bool, mutual_to_host: bool, port: int, to: int, log: Path) -> dict[str, object]:
    http2 = topology == "grpc"
    listener = (
        form.tcp_listener(port, log) if topology == "tcp" else form.http_listener(port, log, http2=http2, mutual=mutual)
    )
    one = topology == "mtls_handshake"
    clusters = [form.cluster(name, to, http2=http2, mutual=mutual_to_host, one_request=one) for name in ("v1", "v2")]
    if one and mutual_to_host:
        clusters = [form.without_sessions(cluster) for cluster in clusters]
    return form.bootstrap(listener, clusters, form.secrets(log.parent) if topology.startswith("mtls") else [])


def run(checkout: Checkout, rounds: int, seconds: float, wanted: Sequence[str], forms: Sequence[str] = FORMS) -> int:
    """Measure and print; ``wanted`` names the cases (none: all). Ends with 1 when a bar is missed."""
    with tempfile.TemporaryDirectory(prefix="meshwright-bench-") as name:
        bench = Bench(checkout, Path(name), forms)
        certify(bench.folder)
        come_first()
        print(time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))
        version = probe(str(bench.python))
        whose = "the system's" if bench.python.parent == Path("/usr/bin") else "the environment's"
        python = f"Python {'' if version is None else version.version} ({whose})"
        print(f"{platform.platform()}, {python}, load {os.getloadavg()[0]:.1f}")
        print(f"one core for all; median of {rounds} rounds of {seconds:g} s by turns", flush=True)
        met = True
        every = [case for case in cases(bench.folder) if not wanted or case.name in wanted]
        for topology in TOPOLOGIES:
            chosen = [case for case in every if case.topology == topology]
            if chosen:
                with _running(bench, topology, bench.core) as standings:
                    for case in chosen:
                        met &= _cpu_case(bench, standings, case, rounds, seconds)
        for row, measure in (("rss", _rss), ("rss_10k_idle", _idle), ("p99_at_1000rps", _p99)):
            if not wanted or row in wanted:
                met &= measure(bench, rounds, seconds)
    return 0 if met else 1


@contextmanager
def _running(bench: Bench, topology: str, cores: set[int], origin: set[int] | None = None) -> Iterator[Standings]:
    with ExitStack() as stack:
        port = bench.origin(stack, origin or cores)
        yield Standings(bench, topology, stack, cores, port)


def _cpu_case(bench: Bench, standings: Standings, case: Case, rounds: int, seconds: float) -> bool:
    costs: dict[str, list[float]] = {form_: [] for form_ in bench.forms}
    for number in range(rounds + 1):
        for form_ in bench.forms:
            before = standings.cpu(form_)
            time_ = seconds if number else _WARM
            found = case.load.run(bench.programs, standings.ports[form_], time_, bench.core, bench.log)
            if number:
                costs[form_].append((standings.cpu(form_) - before) / found.requests)
    return told(case.name, costs, "us CPU per request", case.bar, case.interpreted)


def told(name: str, costs: dict[str, list[float]], unit: str, bar: float, interpreted: float | None = None) -> bool:
    """Print the line of a case: Envoy's costs over ours, by round. Whether its bars are met."""
    theirs, bars = costs[ENVOY], {COMPILED: bar, INTERPRETED: interpreted}
    line, met = "", True
    for form_ in (COMPILED, INTERPRETED):
        if form_ not in costs:
            continue
        ratio = statistics.median(envoy / ours for envoy, ours in zip(theirs, costs[form_]))
        middle = statistics.median(costs[form_])
        wanted = bars[form_]
        met &= wanted is None or ratio >= wanted
        goal = "" if wanted is None else f" [{'met' if ratio >= wanted else 'MISSED'}: {wanted:g}]"
        if line:
            line += f"; {form_} {ratio:.2f} ({middle:.1f}){goal}"
        else:
            line = f"ratio {name} {ratio:.2f} (envoy {statistics.median(theirs):.1f}, ours {middle:.1f} {unit}){goal}"
            line = line.replace(",", f" {unit.split()[0]},", 1)
    print(line, flush=True)
    return met


def _rss(bench: Bench, rounds: int, seconds: float) -> bool:
    """After traffic: what a proxy needs at work."""
    with _running(bench, "http1", bench.core) as standings:
        case = next(case for case in cases(bench.folder) if case.name == "http1_get_realistic")
        used: dict[str, list[float]] = {}
        for form_ in bench.forms:
            case.load.run(bench.programs, standings.ports[form_], seconds, bench.core, bench.log)
            used[form_] = [standings.counted[form_][0].resident()]
    return told("rss", used, "MB of a worker", 2.0)


def _idle(bench: Bench, rounds: int, seconds: float) -> bool:
    """With connections of clients that have asked once."""
    get = next(case for case in cases(bench.folder) if case.name == "http1_get").load
    used: dict[str, list[float]] = {}
    for form_ in bench.forms:
        with _running(bench, "http1", bench.core) as standings:
            load = Load("idle", get.requests, _IDLE)
            with Standing(load, bench.programs, standings.ports[form_], bench.core, bench.log):
                used[form_] = [standings.counted[form_][0].resident()]
    met = told("rss_10k_idle", used, "MB of a worker", 1.0)
    return met and used.get(COMPILED, used.get(INTERPRETED, [0.0]))[0] <= 150.0


def _p99(bench: Bench, rounds: int, seconds: float) -> bool:
    """What a proxy on a core of its own adds to the latency that clients see without one."""
    real = next(case for case in cases(bench.folder) if case.name == "http1_get_realistic").load
    load = Load("rate", real.requests, 16, _RATE)
    added: dict[str, list[float]] = {form_: [] for form_ in bench.forms}
    with ExitStack() as stack:
        port = bench.origin(stack, bench.other)
        standings = Standings(bench, "http1", stack, bench.core, port)
        for _ in range(rounds):
            direct = load.run(bench.programs, port, 2 * seconds, bench.other, bench.log).p99
            for form_ in bench.forms:
                found = load.run(bench.programs, standings.ports[form_], 2 * seconds, bench.other, bench.log)
                added[form_].append(max(found.p99 - direct, 1.0))
    middle = {form_: [statistics.median(values)] for form_, values in added.items()}
    return told("p99_at_1000rps", middle, "us added", 1.0)


def come_first() -> None:
    """Before what else runs on the machine, where we may: the kernel shares out cores among sessions."""
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("-10")


def certify(folder: Path) -> None:
    """A root, and the application's certificate with its key: P-256, as Istio's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    pem = serialization.Encoding.PEM
    root, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "bench")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
        return made.not_valid_after(now + datetime.timedelta(1))

    trusted = builder(issuer, root.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    (folder / "roots.pem").write_bytes(trusted.sign(root, hashes.SHA256()).public_bytes(pem))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(form.IDENTITY)])
    own = builder(x509.Name([]), key.public_key()).add_extension(names, True)
    (folder / "certificate.pem").write_bytes(own.sign(root, hashes.SHA256()).public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))

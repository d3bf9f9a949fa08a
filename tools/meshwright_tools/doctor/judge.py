"""From facts to findings: what each fact means for the stacks, and what mends it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone

from meshwright_tools.doctor.facts import LAPTOP_PORTS, LOCAL_NETWORK, Facts
from meshwright_tools.system_packages import mend as install_command

OK, MISSING, BLOCKS = "ok", "missing", "blocks"
"""Good; something is lacking that setup brings or only some tests miss; a stack cannot come up."""

LOCAL_NODES_MEMORY = 6.0
"""GiB: three machines of 2 GiB; that is a limit, they use less."""

BUILD_DISK = 6.0
"""GiB: Go's caches and the binary while Pulumi is built, and the environments."""

OLDEST_GO = (1, 21)


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    check: str
    state: str
    """:data:`OK`, :data:`MISSING` or :data:`BLOCKS`."""
    found: str
    needed_for: str
    mend: str = ""
    stacks: tuple[str, ...] = ()
    """The stacks that cannot come up, when the state is :data:`BLOCKS`."""


EVERY = ("laptop", "local")
LOCAL = ("local",)


def findings(facts: Facts) -> list[Finding]:
    """Every finding, good and bad, in the order of the table."""
    families = (_system, _programs, _namespaces, _resources, _network, _packages, _certificates)
    return [finding for family in families for finding in family(facts)]


def _row(good: bool, check: str, found: str, needed_for: str, mend: str = "", stacks: tuple[str, ...] = ()) -> Finding:
    if good:
        return Finding(check, OK, found, needed_for)
    return Finding(check, BLOCKS if stacks else MISSING, found, needed_for, mend, stacks)


def _system(facts: Facts) -> Iterator[Finding]:
    linux = facts.system == "Linux"
    yield _row(linux, "system", facts.distribution, "all stacks", "use a Linux, such as Debian 12", EVERY)
    yield _row(
        facts.root, "root", "yes" if facts.root else "no", "local: machines", "run as root (sudo -E make up)", LOCAL
    )
    mend = "install python3 >= 3.11 (Debian 12: apt-get install python3 python3-venv), or set PYTHON"
    yield _row(facts.python is not None, "python >= 3.11", facts.python or "none", "everything", mend, EVERY)
    if facts.python:
        stacks = () if facts.apt else EVERY
        mend = "apt-get install python3-venv" + (" (make up does it)" if facts.apt else "")
        found = "yes" if facts.python_has_venv else "no"
        yield _row(facts.python_has_venv, "python venv", found, "the environment .venv", mend, stacks)


def _programs(facts: Facts) -> Iterator[Finding]:
    yield _row(facts.git is not None, "git", facts.git or "none", "working on the project", "apt-get install git")
    new = go_is_new_enough(facts.go)
    yield _row(
        new or facts.pulumi is not None,
        "go >= 1.21",
        facts.go or "none",
        "building Pulumi where its release cannot be downloaded",
        "install Go from the Go project (Debian 12's is 1.19), or Pulumi",
    )
    found = facts.pulumi or "none yet: make up downloads it" + (" or builds it" if new else "")
    yield Finding(
        "pulumi", OK if facts.pulumi or new else MISSING, found, "all stacks", "" if new else "install Pulumi or Go"
    )
    ssh_stacks = () if facts.apt else LOCAL
    yield _row(
        facts.ssh is not None, "ssh", facts.ssh or "none", "local, static", "apt-get install openssh-client", ssh_stacks
    )
    stacks = () if facts.apt else ("laptop",)
    mend = "apt-get install postgresql" + (" (make up does it)" if facts.apt else "")
    yield _row(
        facts.initdb is not None, "postgresql", facts.initdb or "none", "laptop: the demo's database", mend, stacks
    )
    yield _row(facts.qemu is not None, "qemu", facts.qemu or "none", "driver qemu", "apt-get install qemu-system-x86")
    kvm = "usable (a boot probe decides)" if facts.kvm else "none: qemu emulates, 10 to 40 times slower"
    yield _row(facts.kvm, "kvm", kvm, "driver qemu at full speed", "a machine with /dev/kvm")


def go_is_new_enough(version: str | None) -> bool:
    """Whether ``go env GOVERSION`` names a Go that fetches the toolchain it is asked for."""
    found = re.match(r"go(\d+)\.(\d+)", version or "")
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_GO


def _namespaces(facts: Facts) -> Iterator[Finding]:
    mend = "run as root on a host or in a privileged container; otherwise the stack laptop"
    for check, reason in (
        ("namespaces", facts.why_no_processes_apart),
        ("network namespaces", facts.why_no_network_namespace),
        ("overlay file system", facts.why_no_overlay),
    ):
        yield _row(reason is None, check, reason or "tried: works", "local: machines", mend, LOCAL)
    reason = facts.why_no_nf_tables
    untried = reason is not None and "not installed" in reason
    yield _row(
        reason is None or untried,
        "nf_tables",
        reason or "tried: works",
        "local: redirect rules",
        "a kernel with nf_tables" if facts.root else mend,
        LOCAL,
    )
    missing = {"cpu", "memory"} - facts.controllers
    found = f"{facts.cgroup}: {' '.join(sorted(facts.controllers)) or 'no controllers'}"
    yield _row(
        not missing, "cgroups", found, "local: limits of the machines", "mount cgroups with cpu and memory", LOCAL
    )


def _resources(facts: Facts) -> Iterator[Finding]:
    yield _row(
        facts.cores >= 2, "cores", str(facts.cores), "local (2 for each machine, shared)", "expect it to be slow"
    )
    memory = f"{facts.memory:.1f} GiB available"
    mend = "free memory, or take the stack laptop"
    yield _row(facts.memory >= LOCAL_NODES_MEMORY, "memory", memory, "local (up to 6 GiB)", mend)
    for check, free in (("disk (checkout)", facts.disk), ("disk (cache)", facts.cache_disk)):
        mend = "free some, or set MESHWRIGHT_CACHE to another disk"
        yield _row(free >= BUILD_DISK, check, f"{free:.1f} GiB free", f"setup, local ({BUILD_DISK:.0f} GiB)", mend)


def _network(facts: Facts) -> Iterator[Finding]:
    taken = ", ".join(map(str, facts.ports_in_use))
    found = f"in use: {taken}" if taken else f"free: {', '.join(map(str, LAPTOP_PORTS))}"
    yield _row(not taken, "ports of laptop", found, "laptop", "stop what listens there (a stack that is up does)")
    free = facts.network_in_use is None
    found = f"in use: {facts.network_in_use}" if facts.network_in_use else f"{LOCAL_NETWORK} is free"
    yield _row(free, "network of local", found, "local", "set another network in the stack's configuration")


def _packages(facts: Facts) -> Iterator[Finding]:
    lacking = facts.missing_packages
    names = ", ".join(package.name for package in lacking) or "all installed"
    mend = "make up installs those it needs, make test the rest" if facts.apt else install_command(lacking)
    yield _row(not lacking, "system packages", names, "stacks and tests", mend)
    if not facts.apt and any(package.name == "mmdebstrap" for package in lacking):
        yield _row(
            False, "mmdebstrap", "none", "local: the machines' root file system", install_command(lacking), LOCAL
        )


def _certificates(facts: Facts) -> Iterator[Finding]:
    known = facts.certificates
    expired = [found for found in known if found.expires <= facts.now]
    if expired:
        found = ", ".join(f"{each.proxy} since {_moment(each.expires)}" for each in expired)
        found = f"expired: {found}"
    elif known:
        found = f"{len(known)} valid, the first until {_moment(min(each.expires for each in known))}"
    else:
        found = "no proxy of machines is here"
    mend = "see that the control plane runs, then make up: it gives them tokens to join anew (docs/certificates.md)"
    yield _row(not expired, "certificates", found, "proxies: their configuration", mend)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")

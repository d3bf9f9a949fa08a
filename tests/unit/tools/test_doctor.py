"""What the check-up makes of a machine."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from meshwright_tools.checkout import ROOT
from meshwright_tools.doctor import facts as gathering
from meshwright_tools.doctor.certificates import Certificate, certificates
from meshwright_tools.doctor.facts import Facts
from meshwright_tools.doctor.judge import BLOCKS, MISSING, OK, findings, go_is_new_enough
from meshwright_tools.doctor.report import as_json, exit_status, possible_stacks, table, verdict
from meshwright_tools.system_packages import SystemPackage

from mesh_control.ca import pem
from mesh_control.ca.certificates import make_root

MMDEBSTRAP = SystemPackage("mmdebstrap", "up", "root file system")
CURL = SystemPackage("curl", "test", "requests")

GOOD = Facts(
    system="Linux",
    distribution="Debian GNU/Linux 12 (bookworm)",
    root=True,
    apt=True,
    python="3.11.2 (/usr/bin/python3)",
    python_has_venv=True,
    git="git version 2.39.5",
    go="go1.25.0",
    pulumi="/usr/bin/pulumi",
    ssh="OpenSSH_9.2p1",
    initdb="/usr/lib/postgresql/15/bin/initdb",
    qemu="/usr/bin/qemu-system-x86_64",
    kvm=True,
    cores=4,
    memory=16.0,
    disk=50.0,
    cache_disk=50.0,
    cgroup="v2",
    controllers=frozenset({"cpu", "memory", "pids"}),
    why_no_processes_apart=None,
    why_no_network_namespace=None,
    why_no_overlay=None,
    why_no_nf_tables=None,
    ports_in_use=(),
    network_in_use=None,
    missing_packages=(),
)


def test_a_good_machine_has_nothing_to_mend() -> None:
    found = findings(GOOD)
    assert {item.state for item in found} == {OK}
    assert not any(item.mend for item in found)
    assert exit_status(found) == 0
    assert "make up" in verdict(found)


@pytest.mark.parametrize(
    ("changes", "check", "state", "status"),
    [
        ({"system": "Darwin"}, "system", BLOCKS, 2),
        ({"python": None}, "python >= 3.11", BLOCKS, 2),
        ({"python_has_venv": False}, "python venv", MISSING, 0),
        ({"python_has_venv": False, "apt": False}, "python venv", BLOCKS, 2),
        ({"root": False, "apt": False}, "root", BLOCKS, 1),
        ({"why_no_processes_apart": "unshare: Operation not permitted"}, "namespaces", BLOCKS, 1),
        ({"why_no_network_namespace": "ip: RTNETLINK"}, "network namespaces", BLOCKS, 1),
        ({"why_no_overlay": "overlay under /var/lib: wrong fs"}, "overlay file system", BLOCKS, 1),
        ({"why_no_nf_tables": "nftables: not supported"}, "nf_tables", BLOCKS, 1),
        ({"why_no_nf_tables": "nft is not installed (hosts install their own)"}, "nf_tables", OK, 0),
        ({"controllers": frozenset({"pids"})}, "cgroups", BLOCKS, 1),
        ({"cgroup": "none", "controllers": frozenset()}, "cgroups", BLOCKS, 1),
        ({"git": None}, "git", MISSING, 0),
        ({"go": None}, "go >= 1.21", OK, 0),
        ({"go": None, "pulumi": None}, "go >= 1.21", MISSING, 0),
        ({"go": None, "pulumi": None}, "pulumi", MISSING, 0),
        ({"pulumi": None}, "pulumi", OK, 0),
        ({"ssh": None}, "ssh", MISSING, 0),
        ({"ssh": None, "apt": False}, "ssh", BLOCKS, 1),
        ({"initdb": None}, "postgresql", MISSING, 0),
        ({"initdb": None, "apt": False}, "postgresql", BLOCKS, 0),
        ({"qemu": None}, "qemu", MISSING, 0),
        ({"kvm": False}, "kvm", MISSING, 0),
        ({"cores": 1}, "cores", MISSING, 0),
        ({"memory": 2.0}, "memory", MISSING, 0),
        ({"disk": 1.0}, "disk (checkout)", MISSING, 0),
        ({"cache_disk": 1.0}, "disk (cache)", MISSING, 0),
        ({"ports_in_use": (15432,)}, "ports of laptop", MISSING, 0),
        ({"network_in_use": "10.0.0.0/8 on eth0"}, "network of local", MISSING, 0),
        ({"missing_packages": (CURL,)}, "system packages", MISSING, 0),
        ({"certificates": (Certificate("store", 2.0),), "now": 1.0}, "certificates", OK, 0),
        ({"certificates": (Certificate("store", 1.0),), "now": 1.0}, "certificates", MISSING, 0),
        ({"missing_packages": (MMDEBSTRAP,), "apt": False}, "mmdebstrap", BLOCKS, 1),
    ],
)
def test_a_fault_is_found_judged_and_mended(changes: dict, check: str, state: str, status: int) -> None:
    found = findings(replace(GOOD, **changes))
    row = next(item for item in found if item.check == check)
    assert row.state == state
    assert bool(row.mend) is (state != OK)
    assert exit_status(found) == status


def test_certificates_of_proxies_are_found_here_and_on_the_disks_of_machines(tmp_path: Path) -> None:
    root = make_root("cluster.local", pem.new_key(), 1_800_000_000.0, 86400.0)
    late = make_root("cluster.local", pem.new_key(), 1_800_000_000.0, 86400.0 * 365 * 40)
    places = {
        "var/lib/meshwright/proxy/store": root,
        "var/lib/meshwright/machines/local/node2/upper/var/lib/meshwright/proxy/order": late,
    }
    for place, signer in places.items():
        folder = tmp_path / place / "identity"
        folder.mkdir(parents=True)
        text = pem.write_key(signer.key).decode() + pem.write_certificates((signer.certificate,))
        (folder / "identity.pem").write_text(text)
    (tmp_path / "var/lib/meshwright/proxy/broken/identity").mkdir(parents=True)
    (tmp_path / "var/lib/meshwright/proxy/broken/identity/identity.pem").write_text("nothing")
    assert certificates(tmp_path) == (
        Certificate("order on node2 of local", pem.expires(late.certificate)),
        Certificate("store", pem.expires(root.certificate)),
    )


def test_an_expired_certificate_is_named_with_its_time() -> None:
    found = findings(replace(GOOD, certificates=(Certificate("store on node2 of local", 60.0),), now=61.0))
    (row,) = [item for item in found if item.check == "certificates"]
    assert row.found == "expired: store on node2 of local since 1970-01-01 00:01:00Z"


def test_everything_is_said_at_once() -> None:
    poor = replace(
        GOOD, root=False, apt=False, git=None, ssh=None, ports_in_use=(15010, 18080), missing_packages=(CURL,)
    )
    text = table(findings(poor))
    for part in ("sudo", "apt-get install git", "openssh-client", "15010, 18080", "--no-install-recommends"):
        assert part in text


@pytest.mark.parametrize("width", [20, 100, 140, 300])
def test_the_table_cuts_nothing_off(width: int) -> None:
    found = findings(replace(GOOD, why_no_overlay="a reason " * 20, root=False))
    words = set(table(found, width).split())
    for item in found:
        assert set(item.mend.split()) <= words
        assert set(item.needed_for.split()) <= words


def test_json_holds_the_same() -> None:
    found = findings(replace(GOOD, root=False))
    content = json.loads(as_json(found))
    assert content["stacks"] == ["laptop"] == possible_stacks(found)
    assert [item["check"] for item in content["findings"]] == [item.check for item in found]


@pytest.mark.parametrize(
    ("version", "new"), [("go1.26.8", True), ("go1.21", True), ("go1.19.8", False), ("", False), (None, False)]
)
def test_go_versions(version: str | None, new: bool) -> None:
    assert go_is_new_enough(version) is new


ROUTES = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n"


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ("eth0\t00000000\t0100000A\t3\t0\t0\t0\t00000000\t0\n", None),
        ("eth0\t004D0A0A\t00000000\t1\t0\t0\t0\t00FFFFFF\t0\n", None),
        ("br0\t004D0A00\t00000000\t1\t0\t0\t0\t00FFFFFF\t0\n", None),
        ("br0\t00004D0A\t00000000\t1\t0\t0\t0\t00FFFFFF\t0\n", "10.77.0.0/24 on br0"),
        ("tun0\t0000000A\t00000000\t1\t0\t0\t0\t000000FF\t0\n", "10.0.0.0/8 on tun0"),
    ],
)
def test_routes_that_overlap(route: str, found: str | None) -> None:
    assert gathering.overlapping_route(ROUTES + route, "10.77.0.0/24") == found


def test_kinds_of_cgroups(tmp_path: Path) -> None:
    assert gathering.cgroups(tmp_path) == ("none", frozenset())
    for name in ("cpu,cpuacct", "memory", "systemd", "unified"):
        (tmp_path / name).mkdir()
    assert gathering.cgroups(tmp_path) == ("v1", frozenset({"cpu", "memory"}))
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    assert gathering.cgroups(tmp_path) == ("v2", frozenset({"cpu", "memory", "pids"}))


def test_a_port_that_somebody_holds_is_in_use() -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert gathering.ports_in_use((port,)) == (port,)
    assert gathering.ports_in_use((port,)) == ()


def test_the_real_check_up_runs_and_leaves_nothing_behind() -> None:
    before = set(Path("/var/lib").iterdir()), Path("/proc/mounts").read_text()
    done = subprocess.run(
        [sys.executable, "-B", str(ROOT / "tools" / "doctor.py"), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1, 2), done.stderr
    assert json.loads(done.stdout)["findings"]
    assert (set(Path("/var/lib").iterdir()), Path("/proc/mounts").read_text()) == before

"""The rules that have a pod's connections come to its proxy: their text, and that nft takes it."""

import shutil
import subprocess

import pytest

from mesh_proxy.pod import commands
from mesh_proxy.pod.redirect import Redirect, ports, ranges, rules


def test_everything_comes_to_the_proxy_but_its_own_ports() -> None:
    script = rules(Redirect(), ipv6=False)
    assert "tcp dport { 15020, 15021, 15090 } return" in script
    assert "meta l4proto tcp counter redirect to :15006" in script
    assert "meta l4proto tcp counter redirect to :15001" in script
    assert "ip6" not in script


def test_the_proxys_own_connections_go_out() -> None:
    script = rules(Redirect(user=4711), ipv6=False)
    assert script.index("meta skuid 4711 return") < script.index("redirect to :15001")
    assert script.index("ip saddr 127.0.0.6 return") < script.index("redirect to :15001")


@pytest.mark.parametrize(
    ("redirect", "there", "not_there"),
    [
        (
            Redirect(inbound_ports=(80, 443)),
            "tcp dport { 80, 443 } counter redirect to :15006",
            "meta l4proto tcp counter redirect to :15006\n}",
        ),
        (Redirect(inbound_ports=()), "type nat hook prerouting", "counter redirect to :15006\n}\nchain outbound"),
        (Redirect(excluded_inbound_ports=(22,)), "tcp dport { 22, 15020, 15021, 15090 } return", ""),
        (Redirect(excluded_outbound_ports=(5432,)), "tcp dport { 5432 } return", ""),
        (Redirect(excluded_outbound_ranges=("10.1.0.0/16", "fd00::/8")), "ip daddr { 10.1.0.0/16 } return", "{ fd00"),
        (
            Redirect(outbound_ranges=("10.0.0.0/8",)),
            "ip daddr { 10.0.0.0/8 } meta l4proto tcp counter redirect to :15001",
            "meta l4proto tcp counter redirect to :15001\nmeta",
        ),
        (
            Redirect(outbound_ranges=(), outbound_ports=(3306,)),
            "tcp dport { 3306 } counter redirect to :15001",
            "meta l4proto tcp counter redirect to :15001",
        ),
    ],
)
def test_what_is_listed(redirect: Redirect, there: str, not_there: str) -> None:
    script = rules(redirect, ipv6=False)
    assert there in script
    assert not not_there or not_there not in script


def test_by_ipv6_nothing_goes_past_the_proxy() -> None:
    script = rules(Redirect(excluded_outbound_ranges=("fd00::/8",)), ipv6=True)
    _ipv4, _, ipv6 = script.partition("table ip6 ")
    assert ipv6.count("reject with tcp reset") == 2
    assert "ip6 daddr { fd00::/8 } return" in ipv6


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed here")
@pytest.mark.parametrize(
    "redirect",
    [
        Redirect(),
        Redirect((80,), (22,), ("10.0.0.0/8",), ("10.1.0.0/16", "fd00::/8"), (5432,), (3306,)),
        Redirect(inbound_ports=(), outbound_ranges=()),
    ],
)
def test_nft_takes_them(redirect: Redirect) -> None:
    check = ["unshare", "--net", "--map-root-user", "nft", "--check", "--file", "-"]
    done = subprocess.run(check, input=rules(redirect, ipv6=True), capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("text", "found"), [("*", "*"), ("", ()), ("443,80, 80", (80, 443))])
def test_lists_of_ports(text: str, found: object) -> None:
    assert ports(text) == found


@pytest.mark.parametrize(("text", "found"), [("*", "*"), ("", ()), ("10.1.2.3/8", ("10.0.0.0/8",))])
def test_lists_of_networks(text: str, found: object) -> None:
    assert ranges(text) == found


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("inbound-ports", "http", "--inbound-ports: 'http' is no port"),
        ("exclude-inbound-ports", "*", "--exclude-inbound-ports: '*' is not allowed here"),
        ("outbound-ranges", "10.0.0.0/33", "--outbound-ranges: '10.0.0.0/33' does not appear to be"),
    ],
)
def test_a_wrong_option_is_named(option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    from mesh_proxy.__main__ import main

    assert main(["redirect", f"--{option}={value}", "--print"]) == commands.EX_USAGE
    assert message in capsys.readouterr().err

"""What the machine's files say about names."""

import os
from pathlib import Path

import pytest

from mesh_proxy.worker.name_service import Files, NameService

CONF = """
# a comment
nameserver 10.0.0.1
nameserver fe80::1%eth0
nameserver nonsense
search mesh.example. example
options ndots:2 timeout:3 attempts:4 rotate
"""


def test_servers_and_options_are_read() -> None:
    made = NameService(CONF, "")
    assert made.servers == [("10.0.0.1", 53), ("fe80::1%eth0", 53)]
    assert (made.search, made.dots, made.timeout, made.attempts) == (["mesh.example", "example"], 2, 3.0, 4)


def test_without_a_file_the_machine_itself_is_asked() -> None:
    made = NameService("", "")
    assert (made.servers, made.search, made.attempts) == ([("127.0.0.1", 53)], [], 2)


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("db", ["db.mesh.example", "db.example", "db"]),
        ("db.a", ["db.a.mesh.example", "db.a.example", "db.a"]),
        ("db.a.b", ["db.a.b", "db.a.b.mesh.example", "db.a.b.example"]),
        ("db.a.b.", ["db.a.b"]),
        ("db.", ["db"]),
    ],
)
def test_a_short_name_is_looked_for_in_the_search_list(name: str, tried: list[str]) -> None:
    assert NameService(CONF, "").names(name) == tried


def test_hosts_of_the_machine_are_known() -> None:
    made = NameService("", "127.0.0.1 localhost a # b\n::1 LOCALHOST\nnonsense c\n")
    assert made.hosts == {"localhost": ["127.0.0.1", "::1"], "a": ["127.0.0.1"]}


def test_files_are_read_again_when_they_are_others(tmp_path: Path) -> None:
    conf, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    files = Files(conf, hosts)
    assert files.read().servers == [("127.0.0.1", 53)]
    conf.write_text("nameserver 10.0.0.1\n")
    first = files.read()
    assert first.servers == [("10.0.0.1", 53)]
    assert files.read() is first
    conf.write_text("nameserver 10.0.0.2\n")
    os.utime(conf, (1, 1))
    assert files.read().servers == [("10.0.0.2", 53)]

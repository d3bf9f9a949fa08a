"""The list of Debian packages."""

import pytest
from meshwright_tools import system_packages
from meshwright_tools.checkout import here
from meshwright_tools.progress import StepError
from meshwright_tools.system_packages import SystemPackage


def test_the_committed_list_reads_and_gives_each_package_once_with_a_reason() -> None:
    found = system_packages.wanted(here(), ("up", "test"))
    assert len({package.name for package in found}) == len(found)
    assert all(len(package.reason) > 10 for package in found)


def test_the_machines_need_their_tools() -> None:
    names = {package.name for package in system_packages.wanted(here(), ("up",))}
    assert {"iproute2", "util-linux", "mmdebstrap", "openssh-client"} <= names


def test_lines_comments_and_blanks() -> None:
    assert system_packages.parse("# head\n\nabc  up  because it is so\n") == [
        SystemPackage("abc", "up", "because it is so")
    ]


@pytest.mark.parametrize("line", ["abc", "abc up", "abc sometimes because"])
def test_a_line_that_says_too_little_is_named(line: str) -> None:
    with pytest.raises(StepError, match=r"system-packages\.txt:2"):
        system_packages.parse(f"# head\n{line}\n")


def test_the_mend_is_a_command() -> None:
    packages = [SystemPackage("a", "up", "x"), SystemPackage("b", "test", "y")]
    assert system_packages.mend(packages) == "apt-get install --no-install-recommends a b"


def test_what_dpkg_does_not_know_is_missing() -> None:
    absent = SystemPackage("meshwright-no-such-package", "up", "x")
    assert system_packages.missing([absent]) == [absent]

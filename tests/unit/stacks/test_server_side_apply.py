"""Objects in a cluster: what is done for what the server says, by a ``kubectl`` that says it."""

import stat
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.modules import ansible_module

MANIFESTS = "kind: Widget\n"


class FailedError(Exception):
    pass


class Fake:
    """What a module has of Ansible."""

    def __init__(self, *, check_mode: bool = False, condition: str = "") -> None:
        self.check_mode = check_mode
        self.params = {"condition": condition, "seconds": 5}
        self.warnings: list[str] = []

    def fail_json(self, msg: str, **_more: Any) -> None:
        raise FailedError(msg)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return ansible_module("kubernetes", "server_side_apply")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the verbs stand that ``kubectl`` was asked for; what it does is the script ``answer`` beside it."""
    program, log = tmp_path / "kubectl", tmp_path / "asked"
    program.write_text(f'#!/bin/sh\ncat >/dev/null\necho "$2" >> {log}\nshift\n. {tmp_path}/answer\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def answer(asked: Path, script: str) -> None:
    asked.with_name("answer").write_text(script)


def verbs(asked: Path) -> list[str]:
    return asked.read_text().split()


DIFFERS = 'case "$1" in diff) echo "diff -u -N -r /tmp/a/v1.Widget.x /tmp/b/v1.Widget.x"; exit 1;; esac'


def test_a_condition_is_waited_for_when_something_has_changed(module: ModuleType, asked: Path) -> None:
    answer(asked, DIFFERS)
    done = module.have(Fake(condition="Established"), MANIFESTS, "login")
    assert done["changed"]
    assert done["changed_objects"] == ["v1.Widget.x"]
    assert verbs(asked) == ["diff", "apply", "wait"]
    asked.unlink()
    answer(asked, "exit 0")
    assert not module.have(Fake(condition="Established"), MANIFESTS, "login")["changed"]
    assert verbs(asked) == ["diff"]


def test_a_check_asks_and_changes_nothing(module: ModuleType, asked: Path) -> None:
    answer(asked, DIFFERS)
    assert module.have(Fake(check_mode=True, condition="Established"), MANIFESTS, "login")["changed"]
    answer(asked, 'case "$1" in get) echo widget/x;; esac')
    assert module.remove(Fake(check_mode=True), MANIFESTS, "login")["changed"]
    assert verbs(asked) == ["diff", "get"]


def test_objects_whose_kind_comes_with_them_are_new(module: ModuleType, asked: Path) -> None:
    answer(asked, 'case "$1" in diff) echo \'no matches for kind "Widget"\' >&2; exit 1;; esac')
    assert module.have(Fake(), MANIFESTS, "login")["changed"]
    assert verbs(asked) == ["diff", "apply"]


def test_what_is_there_is_removed_and_told(module: ModuleType, asked: Path) -> None:
    answer(asked, 'case "$1" in get) echo widget/x; echo \'no matches for kind "Gadget"\' >&2; exit 1;; esac')
    done = module.remove(Fake(), MANIFESTS, "login")
    assert (done["changed"], done["changed_objects"]) == (True, ["widget/x"])
    assert verbs(asked) == ["get", "delete"]
    asked.unlink()
    answer(asked, "exit 0")
    assert not module.remove(Fake(), MANIFESTS, "login")["changed"]
    assert verbs(asked) == ["get"]


def test_a_server_that_refuses_is_told_in_its_words(module: ModuleType, asked: Path) -> None:
    answer(asked, "echo forbidden >&2; exit 2")
    with pytest.raises(FailedError, match="kubectl diff: forbidden"):
        module.have(Fake(), MANIFESTS, "login")
    with pytest.raises(FailedError, match="kubectl get: forbidden"):
        module.remove(Fake(), MANIFESTS, "login")


def test_a_check_without_a_server_takes_all_for_new(module: ModuleType, asked: Path) -> None:
    answer(asked, "echo 'connection refused' >&2; exit 1")
    fake = Fake(check_mode=True)
    assert module.have(fake, MANIFESTS, "login")["changed"]
    assert not module.remove(fake, MANIFESTS, "login")["changed"]
    assert len(fake.warnings) == 2

"""The verbs of a cluster's life: which machines, what is told before, while and after, and what does not begin."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacks import playbooks
from stacks.operations import VERBS, __main__, told
from stacks.operations.place import Place, PlaceError, find
from stacks.operations.run import Operator, RefusedError
from stacks.playbooks import ROOT, Event, Outcome, PlaybookError

PROBLEM = {"host": "node2", "what": "port 6443 is held", "mend": "stop it"}


def test_every_verb_has_its_playbook() -> None:
    assert len({verb.playbook for verb in VERBS.values()}) == len(VERBS) - 1  # to make a cluster is to add its machines
    for verb in VERBS.values():
        assert (ROOT / verb.playbook).exists()


# Where.


def test_an_environment_stands_for_its_inventory(tmp_path: Path) -> None:
    made = tmp_path / "inventories/local/static.yml"
    made.parent.mkdir(parents=True)
    made.touch()
    assert find(None, "local", None, tmp_path) == Place(made, None)
    (tmp_path / ".vault_pass").touch()
    assert find(made, "", None, tmp_path) == Place(made, tmp_path / ".vault_pass")
    assert find(made, "", made, tmp_path) == Place(made, made)


@pytest.mark.parametrize(
    ("inventory", "environment", "password", "why"),
    [
        (None, "", None, r"say which machines: --inventory FILE, or --environment NAME \(of none\)"),
        (Path("a"), "b", None, "say which machines"),
        (None, "nowhere", None, r"there is no inventory .*nowhere/static\.yml; name one that is there"),
        (Path("/"), "", Path("/missing"), "there is no /missing; name the file with the vault's password"),
    ],
)
def test_machines_that_nobody_names_are_asked_for(
    inventory: Path | None, environment: str, password: Path | None, why: str, tmp_path: Path
) -> None:
    with pytest.raises(PlaceError, match=why):
        find(inventory, environment, password, tmp_path)


# What is told.


def test_problems_are_a_table_and_machines_that_leave_are_in_nobody_s_way() -> None:
    assert told.problem_table([PROBLEM]).splitlines() == [
        "MACHINE  WHAT               MEND",
        "node2    port 6443 is held  stop it",
    ]
    assert told.problems({"problems": [PROBLEM]}, ["node2"]) == []


def test_a_plan_has_each_task_once_in_its_order() -> None:
    changes = ["a: kubernetes : Stop", "b: kubernetes : Stop", "a: service : Run", "b: kubernetes : Stop"]
    assert told.plan(Outcome(changes=changes)) == ["Stop: a, b", "Run: a"]


def test_progress_says_what_was_done_and_now_and_then_what_goes_on() -> None:
    lines: list[str] = []
    now = [0.0]
    progress = told.Progress(lines.append, lambda: now[0])
    result = {"event": "result", "host": "a", "task": "kubernetes : Join", "seconds": 31.4, "changed": True}
    for moment, event in (
        (0, {"event": "task", "task": "kubernetes : Join"}),
        (10, {"event": "tick"}),
        (16, {"event": "tick"}),
        (17, {"event": "tick"}),
        (31, result | {"status": "ok"}),
        (32, result | {"status": "ok", "changed": False}),
        (33, result | {"status": "ignored", "changed": False}),
        (34, result | {"status": "failed", "changed": False}),
    ):
        now[0] = moment
        progress.hear(event)
    assert lines == ["... Join (16 s)", "a: Join (31 s)", "a: Join (failed, 31 s)"]


NODE = {"name": "node1", "control": True, "version": "v1.34.2", "ready": True, "schedulable": True}
PLANE = {
    "answers": True, "holds": True, "nodes": [NODE], "members": {"node1": True},
    "certificate": {"name": "apiserver", "days": 300},
}  # fmt: skip
REPORT: dict[str, Any] = {"cluster": "local", "endpoint": "10.0.0.10:6443", "control": {"node1": PLANE}}


def test_a_status_says_who_is_not_well() -> None:
    assert told.healthy(REPORT)
    assert told.status(REPORT).splitlines() == [
        "cluster local at 10.0.0.10:6443",
        "",
        "MACHINE  PART           VERSION  STATE",
        "node1    control plane  v1.34.2  ready",
        "",
        "CONTROL PLANE  API      ETCD                        FIRST CERTIFICATE TO END",
        "node1          answers  answers  holds the address  apiserver in 300 days",
    ]
    for sick in ({"answers": False}, {"members": {"node1": False}}, {"nodes": [NODE | {"ready": False}]}):
        assert not told.healthy(REPORT | {"control": {"node1": PLANE, "node2": PLANE | sick}})
    assert "no API server answers" in told.status(REPORT | {"control": {"node1": {}}})


# From the look to the end.


class Runs:
    """In Ansible's place: answers each playbook with what a test says, and remembers what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, problems: list[Any], changes: list[str]) -> None:
        self.problems, self.changes, self.done = problems, changes, list[tuple[str, bool, Mapping[str, str]]]()
        monkeypatch.setattr(playbooks, "operate", self.operate)

    def operate(
        self, _inventory: Path, _password: Path, given: Mapping[str, str], playbook: str, **more: Any
    ) -> Outcome:
        self.done.append((playbook, more["check"], given))
        if "report" in given:
            Path(given["report"]).write_text(json.dumps({"machines": ["node1"], "problems": self.problems}))
            if self.problems:
                raise PlaybookError("the table")
        event: Event = {"event": "result", "host": "a", "task": "b", "status": "ok", "changed": True, "seconds": 1}
        more["hear"](event)
        return Outcome(changes=self.changes)


PLACE = Place(Path("/inventory"), Path("/password"))


def test_a_verb_looks_tells_asks_and_does(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, lines, asked = Runs(monkeypatch, [], ["a: b"]), list[str](), list[str]()
    operator = Operator(PLACE, lines.append, lambda question: not asked.append(question))
    operator.carry_out("upgrade", {"kubernetes_version": "1.34.2"}, sure=False)
    assert [(playbook, check) for playbook, check, _given in runs.done] == [
        ("cluster/preflight.yml", False),
        ("cluster/upgrade.yml", True),
        ("cluster/upgrade.yml", False),
    ]
    assert dict(VERBS["restore"].look)["stopped"] == "true"
    assert runs.done[0][2]["differs"] == "kubernetesVersion"
    assert {given["kubernetes_version"] for _playbook, _check, given in runs.done} == {"1.34.2"}
    assert asked == ["do it?"]
    assert "  b: a" in lines[1]
    assert lines[2:] == ["a: b (1 s)", "done: 1 changes"]


@pytest.mark.parametrize(
    ("problems", "ask", "sure", "why", "played"),
    [
        ([], None, False, "say --yes", 0),
        ([PROBLEM], None, True, "port 6443 is held", 1),
        ([], lambda _question: False, False, "nothing was done", 2),
    ],
)
def test_what_does_not_begin_changes_nothing(
    problems: list[Any], ask: Any, sure: bool, why: str, played: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(monkeypatch, problems, ["a: b"])
    with pytest.raises(RefusedError, match=why):
        Operator(PLACE, lambda _line: None, ask).carry_out("create", {}, sure=sure)
    assert len(runs.done) == played
    assert all(check or playbook == "cluster/preflight.yml" for playbook, check, _given in runs.done)


def test_where_there_is_nothing_to_do_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    runs, lines = Runs(monkeypatch, [], []), list[str]()
    Operator(PLACE, lines.append, None).carry_out("create", {}, sure=True)
    assert [check for _playbook, check, _given in runs.done] == [False, True]
    assert lines[-1] == "nothing to do"


def test_a_machine_that_leaves_need_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(monkeypatch, [PROBLEM], ["a: b"])
    Operator(PLACE, lambda _line: None, None).carry_out("remove", {"machines": "node2,node3"}, sure=True)
    assert [playbook for playbook, _check, _given in runs.done][1:] == ["cluster/remove.yml"] * 2


def test_the_command_hands_on_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(monkeypatch, [], ["a: b"])
    (tmp_path / "hosts.yml").touch()
    words = ["restore", "x.backup", "--cluster=local", "--yes", f"--inventory={tmp_path}/hosts.yml"]
    assert __main__.main(words) == 0
    given = runs.done[-1][2]
    assert (given["cluster"], given["backup"]) == ("local", str(Path("x.backup").resolve()))
    assert __main__.main(["preflight", "--output=json", f"--inventory={tmp_path}/hosts.yml"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n{")[2].join(("{", ""))) == {
        "machines": ["node1"],
        "problems": [],
    }
    assert __main__.main(["create", "--yes"]) == __main__.REFUSED
    assert "say which machines" in capsys.readouterr().err

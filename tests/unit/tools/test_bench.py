"""The benchmark of policies: what it measures with, and how it counts."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from meshwright_tools.bench import control, corpus, decisions, policy
from meshwright_tools.bench.empty_cluster import empty_cluster
from meshwright_tools.bench.istio import ISTIOCTL
from meshwright_tools.bench.measure import CommandError, Times, in_turns

from mesh_policy import load_everything


def test_the_mesh_is_as_large_as_is_said_and_always_the_same() -> None:
    text = corpus.objects(1000)
    assert text == corpus.objects(1000)
    assert text.count("\nkind: ") == 3000
    assert text.count("kind: Service\n") == 1000


@pytest.mark.parametrize(("group", "policies"), [("plain", 2), ("mixed", 4)])
def test_its_documents_are_accepted(group: str, policies: int) -> None:
    found = load_everything([("f", f"{corpus.objects(40, group)}---\n{corpus.pods(40)}")])
    assert (len(found.policies), len(found.others)) == (40 * policies, 40 * 3)


def test_requests_go_to_every_service_in_turn() -> None:
    made = list(corpus.requests(20, 40))
    assert len({url.split("/")[2] for _, url, _ in made}) == 20
    assert {bool(headers) for _, _, headers in made} == {True, False}


def test_commands_take_turns_and_a_failure_is_told() -> None:
    quick, slow = [sys.executable, "-S", "-c", ""], [sys.executable, "-S", "-c", "sum(range(10**6))"]
    found = in_turns({"quick": quick, "slow": slow}, 2, {})
    assert [len(times.wall) for times in found.values()] == [2, 2]
    with pytest.raises(CommandError, match="ended with 3: why"):
        in_turns({"bad": [sys.executable, "-S", "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"]}, 1, {})


def test_a_missed_goal_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    times = Times([0.3, 0.2, 0.4], [0.1, 0.2, 0.3])
    assert policy._row("x", times, 0.25)
    assert not policy._row("x", times, 0.15)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["x", "0.200", "0.300", "0.100", "0.25", "met"],
        ["x", "0.200", "0.300", "0.100", "0.15", "MISSED"],
    ]


def test_a_named_peer_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ISTIOCTL", raising=False)
    assert ISTIOCTL.found(tmp_path) is None
    monkeypatch.setenv("ISTIOCTL", str(tmp_path / "istioctl"))
    with pytest.raises(SystemExit, match="there is no such file"):
        ISTIOCTL.found(tmp_path)
    (tmp_path / "istioctl").touch()
    assert ISTIOCTL.found(tmp_path) == tmp_path / "istioctl"


def test_columns_and_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    table = control.Table(["ours", "istiod"], 1000)
    table.row("start", [2.0, 4.0])
    table.row("lost, 1000", [0.0, 3.0])
    assert table.met
    table.row("policy, 100", [0.9, 1.8])
    assert not table.met
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["ours", "istiod", "istiod/ours", "goal"],
        ["start", "2.00", "4.00", "2.0", "3.00", "met"],
        ["lost,", "1000", "0.00", "3.00", "0.00", "met"],
        ["policy,", "100", "0.90", "1.80", "2.0", "0.80", "MISSED"],
    ]


def test_an_empty_cluster_has_nothing_and_takes_everything() -> None:
    with empty_cluster() as kubeconfig:
        server = json.loads(kubeconfig)["clusters"][0]["cluster"]["server"]
        with urllib.request.urlopen(f"{server}/api/v1/pods") as answer:
            assert json.load(answer)["items"] == []
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{server}/api/v1/namespaces/a/configmaps/b")
        with pytest.raises(urllib.error.HTTPError, match="422"):
            urllib.request.urlopen(f"{server}/api/v1/pods?watch=true&sendInitialEvents=true")
        made = urllib.request.Request(
            f"{server}/api/v1/namespaces/a/configmaps", b'{"kind": "ConfigMap"}', method="POST"
        )
        with urllib.request.urlopen(made) as answer:
            assert json.load(answer) == {"kind": "ConfigMap"}


def test_decisions_are_those_of_the_policies() -> None:
    assert decisions.costs("principal", 10).keys() == {1, decisions.MANY}
    gate, who = decisions.gate("host", range(20)), decisions.Asked(7)
    assert gate.on_request(who.head, None, lambda: 0.0, who.access()) is None
    other = decisions.Asked(20)
    assert gate.on_request(other.head, None, lambda: 0.0, other.access()) is not None

"""What a stack asks of the control plane, against one whose answers are written down."""

import json
from collections.abc import Sequence

import pytest

from stacks import control
from stacks.control import ControlPlane, PolicyError
from stacks.remote import Answer, Here


class Scripted:
    """Answers one command after the other, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def run(self, command: Sequence[str], stdin: str = "", seconds: float = 60.0) -> Answer:
        self.asked.append(" ".join(command))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


SOCKET = ["--socket", "/s"]


def said(**values: object) -> Answer:
    return Answer(0, json.dumps(values), "")


SYNCED, BEHIND = {"a.default": {"synced": True}}, {"a.default": {"synced": False}}


def test_policies_are_in_force_when_every_proxy_is_there() -> None:
    place = Scripted(said(version="7", proxies={}, missing=[]))
    assert ControlPlane(place, "mesh", SOCKET).apply("local", ["kind: A\n"], 5)["version"] == "7"
    assert place.asked == ["mesh policies apply --socket /s --owner local --wait 5 --output json"]


def test_a_proxy_that_was_away_is_waited_for() -> None:
    place = Scripted(
        said(version="7", proxies={}, missing=["a.default"]),
        said(proxies={}, missing=["a.default"]),
        said(proxies=BEHIND, missing=[]),
        said(proxies=SYNCED, missing=[]),
    )
    ControlPlane(place, "mesh", SOCKET).apply("local", [], 30)
    assert len(place.asked) == 4


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (said(proxies={}, missing=["a.default"]), "a.default is not connected"),
        (said(proxies=BEHIND, missing=[]), "a.default has not acknowledged"),
    ],
)
def test_a_proxy_that_stays_away_is_named(status: Answer, told: str) -> None:
    place = Scripted(said(version="7", proxies={}, missing=["a.default"]), status)
    with pytest.raises(PolicyError, match=told):
        ControlPlane(place, "mesh", SOCKET).apply("local", [], 0)


def test_a_refusal_is_told_as_it_is() -> None:
    place = Scripted(Answer(1, "", "subset 'v7' does not exist\n"))
    with pytest.raises(PolicyError, match="subset 'v7' does not exist"):
        ControlPlane(place, "mesh", SOCKET).apply("local", [], 1)


def where(phase: str, weight: int, **more: object) -> Answer:
    state = {"name": "books.default", "versions": ["v1", "v2"], "phase": phase, "weight": weight}
    rest: dict[str, object] = {"reason": "", "waiting": "", "measured": {}}
    return Answer(0, json.dumps([{**state, **rest, **more}]), "")


def test_a_release_is_followed_to_its_end_and_told_on_the_way() -> None:
    place = Scripted(where("progressing", 5), where("progressing", 5), where("promoted", 100, reason="every step"))
    told: list[str] = []
    assert ControlPlane(place, "mesh", SOCKET).follow("books.default", 30, told.append)["weight"] == 100
    assert told == [
        "books.default is progressing, v2 at 5 %",
        "books.default is promoted, v2 at 100 %; every step",
    ]


def test_an_aborted_release_is_a_failure_with_its_measurements() -> None:
    measured = {"error rate > 10% within 5s": "50 % of 20 requests"}
    place = Scripted(where("aborted", 0, reason="too many errors", measured=measured))
    with pytest.raises(PolicyError, match=r"aborted, v2 at 0 %; too many errors; error rate .*: 50 % of 20 requests"):
        ControlPlane(place, "mesh", SOCKET).follow("books.default", 30, lambda line: None)


def test_a_release_that_takes_longer_goes_on_and_says_how_to_look_at_it() -> None:
    place = Scripted(where("progressing", 5, waiting="3 of 5 requests"))
    with pytest.raises(PolicyError, match=r"3 of 5 requests: it has not ended within 0 s.*mesh canary status books"):
        ControlPlane(place, "mesh", SOCKET).follow("books.default", 0, lambda line: None)


def test_a_release_that_is_refused_says_why() -> None:
    place = Scripted(Answer(1, "", "a release of books.default is paused"))
    with pytest.raises(PolicyError, match="is paused"):
        ControlPlane(place, "mesh", SOCKET).begin({})


def test_a_release_that_has_ended_is_given_up_all_the_same() -> None:
    place = Scripted(Answer(1, "", "books.default: the release has ended (promoted)"), Answer(0, "", ""))
    ControlPlane(place, "mesh", SOCKET).give_up("books.default")
    assert [words.split()[2] for words in place.asked] == ["abort", "remove"]


def test_releases_of_a_cluster_are_reached_by_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Scripted(where("progressing", 5))
    monkeypatch.setattr(Here, "run", lambda _, *given, **more: place.run(*given, **more))
    values = control.of_cluster("/project/kubeconfig", "istio-system")
    plane = ControlPlane.at(values)
    plane.begin({})
    way = "--kubeconfig /project/kubeconfig --control-namespace istio-system"
    assert place.asked == [f"{values['command']} canary start - {way} --output json"]
    with pytest.raises(PolicyError, match=f"look at it with `mesh canary status books.default {way} --watch`"):
        plane.follow("books.default", 0, lambda line: None)

"""What a stack asks of the control plane, against one whose answers are written down."""

import json
from collections.abc import Sequence

import pytest

from stacks.control import ControlPlane, PolicyError
from stacks.remote import Answer


class Scripted:
    """Answers one command after the other, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def run(self, command: Sequence[str], stdin: str = "", seconds: float = 60.0) -> Answer:
        self.asked.append(" ".join(command))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def said(**values: object) -> Answer:
    return Answer(0, json.dumps(values), "")


SYNCED, BEHIND = {"a.default": {"synced": True}}, {"a.default": {"synced": False}}


def test_policies_are_in_force_when_every_proxy_is_there() -> None:
    place = Scripted(said(version="7", proxies={}, missing=[]))
    assert ControlPlane(place, "mesh", "/s").apply("local", ["kind: A\n"], 5)["version"] == "7"
    assert place.asked == ["mesh policies apply --socket /s --owner local --wait 5 --output json"]


def test_a_proxy_that_was_away_is_waited_for() -> None:
    place = Scripted(
        said(version="7", proxies={}, missing=["a.default"]),
        said(proxies={}, missing=["a.default"]),
        said(proxies=BEHIND, missing=[]),
        said(proxies=SYNCED, missing=[]),
    )
    ControlPlane(place, "mesh", "/s").apply("local", [], 30)
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
        ControlPlane(place, "mesh", "/s").apply("local", [], 0)


def test_a_refusal_is_told_as_it_is() -> None:
    place = Scripted(Answer(1, "", "subset 'v7' does not exist\n"))
    with pytest.raises(PolicyError, match="subset 'v7' does not exist"):
        ControlPlane(place, "mesh", "/s").apply("local", [], 1)

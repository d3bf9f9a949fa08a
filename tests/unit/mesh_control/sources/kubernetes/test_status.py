"""What objects are told about themselves, and how often."""

from typing import Any

import pytest

from mesh_control.conditions import Condition
from mesh_control.sources.kubernetes.status import (
    Budget,
    Proxies,
    conditions,
    event,
    event_object,
    only_words,
    status,
)

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"


def said(found: tuple[Condition, ...]) -> list[tuple[bool, str]]:
    return [(condition.holds, condition.reason) for condition in found]


@pytest.mark.parametrize(
    ("problem", "in_force", "proxies", "expected"),
    [
        ("", True, Proxies(2, 2), [(True, "Accepted"), (True, "Programmed"), (True, "Programmed")]),
        ("", True, Proxies(0, 0), [(True, "Accepted"), (True, "Programmed"), (True, "Programmed")]),
        ("", True, Proxies(1, 2), [(True, "Accepted"), (False, "Pending"), (False, "Pending")]),
        ("", False, Proxies(2, 2), [(True, "Accepted"), (False, "Pending"), (False, "Pending")]),
        ("", True, Proxies(1, 2, ("a refused LDS",)), [(True, "Accepted"), (False, "Refused"), (False, "Refused")]),
        (
            "",
            False,
            Proxies(2, 2, (), "too many refused it"),
            [(True, "Accepted"), (False, "RolledBack"), (False, "RolledBack")],
        ),
        ("", True, Proxies(2, 2, (), "another was refused"), [(True, "Accepted")] + [(True, "Programmed")] * 2),
        ("spec: no", True, Proxies(2, 2), [(False, "Invalid"), (False, "Invalid"), (False, "Invalid")]),
    ],
)
def test_the_conditions(problem: str, in_force: bool, proxies: Proxies, expected: list[tuple[bool, str]]) -> None:
    assert said(conditions(problem, in_force, proxies)) == expected


def test_the_messages_name_the_proxies_and_the_problem() -> None:
    waiting = conditions("", True, Proxies(1, 2))
    assert [condition.message for condition in waiting[1:]] == [
        "acknowledged by 1 of 2 proxies",
        "1/2 proxies up to date.",
    ]
    assert conditions("x" * 5000, True, Proxies())[0].message.endswith("xx ...")


def value(**content: Any) -> dict[str, Any]:
    metadata = {"name": "a", "namespace": "ns", "generation": 3, "uid": "u", "resourceVersion": "9"}
    return {"metadata": metadata, **content}


def test_a_status_is_written_once_and_times_change_with_the_state_alone() -> None:
    done, waiting = conditions("", True, Proxies(2, 2)), conditions("", True, Proxies(1, 2))
    first = status(value(), waiting, NOW)
    assert first is not None
    assert first["observedGeneration"] == 3
    assert status(value(status=first), waiting, LATER) is None
    second = status(value(status=first), done, LATER)
    assert second is not None
    assert [item["lastTransitionTime"] for item in second["conditions"]] == [NOW, LATER, LATER]


def test_conditions_of_others_stay() -> None:
    theirs = {"type": "Theirs", "status": "True"}
    made = status(value(status={"conditions": [theirs]}), conditions("", True, Proxies()), NOW)
    assert made is not None
    assert [item["type"] for item in made["conditions"]] == ["Theirs", "Accepted", "Programmed", "Reconciled"]


def test_a_new_generation_is_told_and_a_count_is_in_no_hurry() -> None:
    two, three = conditions("", True, Proxies(2, 2)), conditions("", True, Proxies(3, 3))
    known = value(status=status(value(), two, NOW))
    assert only_words(known, three)
    assert status(known, three, NOW) is not None
    assert not only_words(known, conditions("", True, Proxies(2, 3)))
    changed = {**known, "metadata": {**known["metadata"], "generation": 4}}
    assert not only_words(changed, two)
    assert status(changed, two, NOW) is not None


def test_events_tell_what_is_wrong_and_what_no_longer_is() -> None:
    good, bad = conditions("", True, Proxies()), conditions("spec: no", True, Proxies())
    assert event(value(), good) is None
    wrong = event(value(), bad)
    assert wrong is not None
    assert (wrong.warning, wrong.reason, wrong.message) == (True, "Invalid", "spec: no")
    known = value(status=status(value(), bad, NOW))
    assert event(known, bad) is None
    mended = event(known, good)
    assert mended is not None
    assert (mended.warning, mended.reason) == (False, "Accepted")
    made = event_object(value(), "networking.istio.io/v1", "Gateway", wrong, NOW, "replica")
    assert (made["involvedObject"]["name"], made["type"], made["metadata"]["namespace"]) == ("a", "Warning", "ns")


def test_a_budget() -> None:
    budget = Budget(rate=2.0, burst=3.0)
    assert [budget.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert [budget.take(11.0) for _ in range(3)] == [True, True, False]
    assert [budget.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_rollback_is_an_event_and_is_told_once() -> None:
    back = conditions("", False, Proxies(2, 2, (), "too many refused it"))
    told = event(value(), back)
    assert told is not None
    assert (told.warning, told.reason, told.message) == (True, "RolledBack", "too many refused it")
    assert event(value(status=status(value(), back, NOW)), back) is None

"""Conditions on what filters left behind, by themselves and in a table of routes."""

from collections.abc import Mapping

import pytest

from mesh_api.config import StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    AnyValueOf,
    BoolValue,
    ListValue,
    MetadataMatch,
    NullValue,
    NumberValue,
    PresentValue,
    ValueMatch,
)
from mesh_proxy.routing.metadata import ABSENT, NOTHING, MetadataTest, value_at
from tests.unit.mesh_proxy.making import dice, head, match, route, table

TEXT = StringMatch(StringMatchKind.EXACT, "a")


def metadata(value: object) -> Mapping[str, object]:
    return {"f": {"k": value}}


@pytest.mark.parametrize(
    ("condition", "holding", "failing"),
    [
        (TEXT, ["a"], ["b", ["a"], 1, None, ABSENT]),
        (NullValue(), [None], ["", 0, False, ABSENT]),
        (PresentValue(), ["", None, 0, []], [ABSENT]),
        (PresentValue(False), [], ["", ABSENT]),
        (BoolValue(True), [True], [False, 1, "true", ABSENT]),
        (NumberValue(1), [1, 1.0], [2, True, "1", ABSENT]),
        (NumberValue(1, 3), [1, 2.9], [3, 0.9, ABSENT]),
        (ListValue(TEXT), [["a"], ["b", "a"]], ["a", ["b"], [], {"a": 1}, ABSENT]),
        (AnyValueOf((TEXT, NumberValue(1))), ["a", 1], ["b", 2]),
    ],
)
def test_values(condition: ValueMatch, holding: list[object], failing: list[object]) -> None:
    test = MetadataTest(MetadataMatch("f", ("k",), condition))
    inverted = MetadataTest(MetadataMatch("f", ("k",), condition, invert=True))
    for values, holds in ((holding, True), (failing, False)):
        for value in values:
            given = NOTHING if value is ABSENT else metadata(value)
            assert test.holds(given) is holds
            assert inverted.holds(given) is not holds


def test_a_path_leads_through_mappings_alone() -> None:
    given = {"f": {"a": {"b": 1}, "c": ["d"]}}
    assert value_at(given, "f", ("a", "b")) == 1
    assert value_at(given, "f", ()) == given["f"]
    assert [value_at(given, "f", path) for path in (("a", "x"), ("a", "b", "x"), ("c", "d"))] == [ABSENT] * 3
    assert value_at(given, "g", ("a",)) is ABSENT


def test_a_route_is_for_those_of_whom_filters_have_found_something() -> None:
    wanted = (MetadataMatch("f", ("k",), TEXT),)
    routes = table(route(match("/", dynamic_metadata=wanted), name="members"), route("/", name="anybody"))
    host = routes.host(b"h")
    assert host is not None
    found = [host.find(head(), b"/", b"", dice(), given) for given in (NOTHING, metadata("b"), metadata("a"))]
    assert [one.config.name for one in found if one is not None] == ["anybody", "anybody", "members"]

"""JSON of others: a value or a ValueError, however deep."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_policy import json_text
from mesh_policy.errors import PolicyError
from mesh_policy.positions import Document

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(values)
def test_what_is_not_deep_is_read_as_it_is(value: object) -> None:
    text = json.dumps(value)
    assert json_text.parse(text) == json_text.parse(text.encode()) == json_text.parse_cut(text) == value


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "[" * 65 + "]" * 65, "[" * 900 + "]" * 900])
def test_what_is_too_deep_is_no_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"nested deeper|Expecting"):
        json_text.parse(text)


def test_the_deepest_is_taken() -> None:
    assert json_text.parse("[" * 64 + "]" * 64) is not None


@settings(deadline=None)
@given(values)
def test_of_many_objects_one_too_deep_keeps_nobody_from_being_read(value: object) -> None:
    deep = '{"a":[' * 5000 + "1" + "]}" * 5000
    text = f'{{"items": [{json.dumps(value)}, {deep}, {json.dumps(value)}]}}'
    first, broken, last = json_text.parse_cut(text)["items"]
    assert first == last == value
    assert json_text.too_deep(broken)


@pytest.mark.parametrize("text", ["[" * 5000, "[" * 5000 + "}" * 9000, '"' + "[" * 5000, "]" + "[" * 5000 + "]" * 5000])
def test_what_is_deep_and_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.parse_cut(text)


def test_an_object_that_is_too_deep_names_the_field() -> None:
    value = {"kind": "EnvoyFilter", "spec": {"priority": 1, "configPatches": json.loads("[" * 500 + "]" * 500)}}
    with pytest.raises(PolicyError) as error:
        Document.of(value)
    (problem,) = error.value.problems
    assert (problem.subject, problem.field) == ("EnvoyFilter", "spec.configPatches")
    assert "nested deeper than 64 levels" in problem.message

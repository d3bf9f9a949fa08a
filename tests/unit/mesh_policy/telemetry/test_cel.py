"""Syntax of CEL. The same rows are put before cel-go in ``tests/integration/mesh_policy/test_cel_verdicts.py``."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy.telemetry.cel import check_expression
from tests.support.cel_rows import RIGHT, WRONG


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_an_expression(text: str) -> None:
    assert check_expression(text) == text


@pytest.mark.parametrize("text", WRONG)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"CEL: |nested|at most"):
        check_expression(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("response.code >=", "column 17: expected a value, found the end"),
        ("a && (b", "column 8: expected `)`, found the end"),
        ("a b", "column 3: expected an operator, found `b`"),
        ("a.?b", "column 3: optional syntax (`?`) is not allowed"),
        ("a ||\nb c", "line 2, column 3: expected an operator"),
        ("'a", 'column 1: "\'" begins a text that does not end'),
        ("has(a)", "column 1: has() takes the selection of a field"),
        ("a.all(1, b)", "column 3: the first argument of all() is the name of a variable"),
        ("if", "column 1: `if` is a reserved word"),
        ("9223372036854775808", "column 1: `9223372036854775808` is out of the range of its type"),
    ],
)
def test_the_error_says_where_and_what(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        check_expression(text)
    assert said in str(error.value)


@given(st.text(alphabet="ab.()[]{},:?!-+'\"rx1u\\ \n`&|<=in", max_size=30))
def test_no_text_is_too_odd(text: str) -> None:
    with suppress(ValueError):
        assert check_expression(text) == text

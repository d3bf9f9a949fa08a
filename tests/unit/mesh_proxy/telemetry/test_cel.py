"""Expressions about a record; what a real Envoy makes of them stands beside the access logs' integration tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_api import expressions
from mesh_proxy.telemetry.cel import ATTRIBUTES, compile_expression, compile_value
from mesh_proxy.telemetry.operators import FormatError
from mesh_proxy.telemetry.record import Record
from tests.unit.mesh_proxy.making import head


def record() -> Record:
    made = Record(1.0, 0.0)
    made.request, made.path, made.status = head("/a?b=c", "x-a: value"), b"/a?b=c", 404
    return made


HOLDS = [
    ("true", True),
    ("!true || false", False),
    ("response.code == 404", True),
    ("response.code == 404.0", False),
    ("response.code >= 400 && response.code < 500", True),
    ("response.code", False),
    ("request.headers['x-a'].startsWith('val')", True),
    ("request.headers['none'] == 'a' || true", True),
    ("true || request.headers['none'] == 'a'", True),
    ("request.headers['none'] == 'a' || false", False),
    ("false && request.headers['none'] == 'a' || true", True),
    ("!(request.headers['none'] == 'a')", False),
    ("has(response.code) && !has(connection.tls_version)", True),
    ("request.path in ['/a?b=c', 'x']", True),
    ("'x' in request.path", False),
    ("size('abc') == 3 && 'abc'.size() == 3", True),
    ("-1 < 0", True),
    ("'a' < 1", False),
    ("[1, 2][1] == 2", True),
    ("[1, 2][7] == 2", False),
    (r"'a\n\'' == " + '"a\\n\'"', True),
    (r"r'\d' == '\\d'", True),
    ("'abc'.matches('[')", False),
    ("((((response.code == 404))))", True),
    ("response.code + 1 == 405", True),
    ("'a' + 1 == 'a1'", False),
    ("request.method + '!' == 'GET!'", True),
    ("response.code == 404 ? true : false", True),
    ("response.code == 200 ? true : response.code == 404 ? false : true", False),
    ("1 ? true : true", False),
    ("string(response.code) == '404'", True),
    ("string(true) == 'true'", True),
    ("string([1]) == '1'", False),
]


@pytest.mark.parametrize(("text", "expected"), HOLDS)
def test_an_expression_holds_or_does_not(text: str, expected: bool) -> None:
    assert compile_expression(text)(record()) is expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("response.code", "404"),
        ("'text'", "text"),
        ("response.code >= 400", "true"),
        ("has(request.headers['x-none']) ? 'yes' : 'no'", "no"),
        ("request.headers['x-none']", ""),
        ("request.method + '-' + string(response.code)", "GET-404"),
    ],
)
def test_a_value_is_text_and_one_that_is_not_there_is_none(text: str, value: str) -> None:
    assert compile_value(text)(record()) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "'the end' is not supported there"),
        ("response.code +", "'the end' is not supported there"),
        ("response.code * 1 > 2", "'*' is not supported there"),
        ("response.nothing == 1", "the attribute response.nothing is not supported"),
        ("filter_state['x'] == 'y'", "filter_state is not supported"),
        ("request.path.lower() == 'a'", "the function lower is not supported"),
        ("request.path.lower('a') == 'a'", "the function lower is not supported"),
        ("(true", "')' is missing before 'the end'"),
        ("request.path.1", "'1' is no name"),
        ("'open", '"\'open" is not understood'),
        ("a ? b : c", "a is not supported"),
        ("has(", "'the end' is not supported there"),
        ("true ? 1", "':' is missing before 'the end'"),
        ("!" * 5000 + "true", "is nested too deep"),
        ("(" * 5000, "is nested too deep"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(FormatError) as caught:
        compile_expression(text)
    assert told in str(caught.value)


def test_both_planes_know_the_same_attributes() -> None:
    assert ATTRIBUTES.keys() == expressions.ATTRIBUTES


@given(st.text(alphabet="ab.()[]'\"!&|<>=-1 ,rqe\\", max_size=30))
def test_anything_is_refused_or_evaluated(text: str) -> None:
    try:
        holds = compile_expression(text)
    except FormatError:
        return
    assert holds(record()) in (True, False)

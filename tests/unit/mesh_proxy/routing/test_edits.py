"""Header edits: what is taken off, written anew and added."""

import pytest

from mesh_api.config import HeaderValue
from mesh_proxy.protocol.http1 import Field
from mesh_proxy.routing.edits import Edits
from mesh_proxy.telemetry.access_log import FormatError
from mesh_proxy.telemetry.record import Record
from tests.unit.mesh_proxy.making import head


def edited(lines: list[str], values: tuple[HeaderValue, ...] = (), remove: tuple[str, ...] = ()) -> list[str]:
    request = head("/", *lines)
    record = Record(0.0, 0.0)
    record.request, record.path = request, request.target
    fields = [field for field in request.fields if field.name != b"host"]
    return [field.line.decode("latin-1") for field in checked(Edits(values, remove).apply(fields, record))]


def checked(fields: list[Field]) -> list[Field]:
    for field in fields:
        assert field.line == field.name + b": " + field.value + b"\r\n"
    return fields


ROWS = [
    ("only where there is none, there", ["a: 1"], (HeaderValue("a", "2", only="ABSENT"),), (), ["a: 1"]),
    ("only where there is none, absent", [], (HeaderValue("a", "2", only="ABSENT"),), (), ["a: 2"]),
    ("only where there is one, there", ["a: 1"], (HeaderValue("a", "2", only="PRESENT"),), (), ["a: 2"]),
    ("only where there is one, absent", [], (HeaderValue("a", "2", only="PRESENT"),), (), []),
    ("without a value", ["a: 1"], (HeaderValue("a", ""), HeaderValue("b", "%REQ(X-NONE)%")), (), ["a: 1"]),
    ("kept without a value", ["a: 1"], (HeaderValue("a", "", keep_empty=True),), (), ["a: "]),
    ("set, absent", ["a: 1"], (HeaderValue("X-B", "2"),), (), ["a: 1", "x-b: 2"]),
    ("set, there twice", ["b: 1", "a: 1", "B: 3"], (HeaderValue("b", "2"),), (), ["a: 1", "b: 2"]),
    ("append, absent", ["a: 1"], (HeaderValue("b", "2", append=True),), (), ["a: 1", "b: 2"]),
    ("append, there", ["b: 1", "a: 1"], (HeaderValue("b", "2", append=True),), (), ["b: 1", "a: 1", "b: 2"]),
    ("remove", ["A: 1", "b: 2", "a: 3"], (), ("A",), ["b: 2"]),
    ("remove, absent", ["a: 1"], (), ("b",), ["a: 1"]),
    ("remove comes before set", ["a: 1"], (HeaderValue("a", "2"),), ("a",), ["a: 2"]),
    ("remove comes before append", ["a: 1"], (HeaderValue("a", "2", append=True),), ("a",), ["a: 2"]),
    ("in their order", [], (HeaderValue("a", "1"), HeaderValue("a", "2", append=True)), (), ["a: 1", "a: 2"]),
    ("set twice", [], (HeaderValue("a", "1"), HeaderValue("a", "2")), (), ["a: 2"]),
    ("operator", ["b: x"], (HeaderValue("a", "%REQ(B)%-%PROTOCOL%"),), (), ["b: x", "a: x-HTTP/1.1"]),
    ("per cent sign", [], (HeaderValue("a", "100%%"),), (), ["a: 100%"]),
    ("nothing", ["a: 1"], (), (), ["a: 1"]),
]


@pytest.mark.parametrize(
    ("lines", "values", "remove", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_edits_remove_and_then_write(
    lines: list[str], values: tuple[HeaderValue, ...], remove: tuple[str, ...], expected: list[str]
) -> None:
    assert edited(lines, values, remove) == [line + "\r\n" for line in expected]


@pytest.mark.parametrize("value", ["%NO_SUCH_THING%", "50%", "%REQ%"])
def test_a_value_with_an_unknown_operator_is_refused(value: str) -> None:
    with pytest.raises(FormatError):
        Edits((HeaderValue("a", value),), ())

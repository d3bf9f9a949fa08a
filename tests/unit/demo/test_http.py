"""Fields of a request's body."""

from collections.abc import Callable
from typing import Any

import pytest
from meshwright_demo.http import Body, InvalidRequestError
from meshwright_demo.model import Size

UID = "6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b"
Take = Callable[[Body], Any]


@pytest.mark.parametrize(
    ("take", "value", "expected"),
    [
        (lambda body: body.text("f"), "Lego 8070", "Lego 8070"),
        (lambda body: body.text("f"), "строка\n", "строка\n"),
        (lambda body: body.choice("f", Size), "XL", Size.XL),
        (lambda body: str(body.uid("f")), UID, UID),
        (lambda body: body.count("f"), 0, 0),
    ],
)
def test_taken(take: Take, value: Any, expected: Any) -> None:
    assert take(Body({"f": value, "unknown": 1})) == expected


@pytest.mark.parametrize(
    ("take", "values", "error"),
    [
        (lambda body: body.text("f"), {}, "f: must be given"),
        (lambda body: body.text("f"), {"f": None}, "f: must be given"),
        (lambda body: body.text("f"), {"f": " "}, "f: must be a text of 1 to 255 characters, got ' '"),
        (lambda body: body.text("f"), {"f": 7}, "f: must be a text"),
        (lambda body: body.text("f"), {"f": "x" * 256}, "f: must be a text"),
        (lambda body: body.text("f"), {"f": "a\0b"}, "f: must be a text"),
        (lambda body: body.text("f"), {"f": "\ud800"}, "f: must be a text"),
        (lambda body: body.choice("f", Size), {"f": "m"}, "f: must be one of S, M, L, XL, got 'm'"),
        (lambda body: body.choice("f", Size), {"f": ["M"]}, "f: must be one of S, M, L, XL, got ['M']"),
        (lambda body: body.uid("f"), {"f": "alex"}, "f: 'alex' is not a UUID"),
        (lambda body: body.uid("f"), {"f": 7}, "f: 7 is not a UUID"),
        (lambda body: body.count("f"), {"f": -1}, "f: must be a whole number of at least 0, got -1"),
        (lambda body: body.count("f"), {"f": True}, "f: must be a whole number"),
        (lambda body: body.count("f"), {"f": 1.0}, "f: must be a whole number"),
    ],
)
def test_refused(take: Take, values: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        take(Body(values))
    assert str(caught.value).startswith(error)

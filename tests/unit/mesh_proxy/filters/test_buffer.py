"""Requests that are waited for; ``tests/parity/cases/compression/buffered.yaml`` asks Envoy, too."""

import pytest

from mesh_api.config import BufferFilter, BufferOverride
from mesh_proxy.filters.base import Answer, Whole
from mesh_proxy.filters.buffer import TOO_LARGE, Buffer
from tests.unit.mesh_proxy.making import access, dice, head, route, table


def test_every_request_is_to_be_complete() -> None:
    item = Buffer(BufferFilter(10))
    assert item.concerns(None)
    assert item.on_request(head("/"), None, dice(), access()) == Whole(10, Answer(TOO_LARGE))


def test_one_for_another_protocol_has_no_end() -> None:
    asked = head("/")
    asked.upgrade = b"websocket"
    assert Buffer(BufferFilter(10)).on_request(asked, None, dice(), access()) is None


@pytest.mark.parametrize(
    ("host", "own", "expected"),
    [
        (None, None, 10),
        (BufferOverride(20), None, 20),
        (BufferOverride(20), BufferOverride(30), 30),
        (BufferOverride(20), BufferOverride(), None),
        (BufferOverride(), None, None),
    ],
)
def test_routes_have_the_last_word(
    host: BufferOverride | None, own: BufferOverride | None, expected: int | None
) -> None:
    item = Buffer(BufferFilter(10))
    made = table(route(buffer=own), buffer=host).host(b"h")
    assert made is not None
    found = made.routes[0]
    assert item.concerns(found) is (expected is not None)
    if expected is not None:
        assert item.on_request(head("/"), found, dice(), access()) == Whole(expected, Answer(TOO_LARGE))

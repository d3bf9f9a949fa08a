"""Requests that are waited for; ``tests/parity/cases/compression/buffered.yaml`` asks Envoy, too."""

from mesh_api.config import BufferFilter
from mesh_proxy.filters.base import Answer, Whole
from mesh_proxy.filters.buffer import TOO_LARGE, Buffer
from tests.unit.mesh_proxy.making import access, dice, head


def test_every_request_is_to_be_complete() -> None:
    item = Buffer(BufferFilter(10))
    assert item.concerns(None)
    assert item.on_request(head("/"), None, dice(), access()) == Whole(10, Answer(TOO_LARGE))


def test_one_for_another_protocol_has_no_end() -> None:
    asked = head("/")
    asked.upgrade = b"websocket"
    assert Buffer(BufferFilter(10)).on_request(asked, None, dice(), access()) is None

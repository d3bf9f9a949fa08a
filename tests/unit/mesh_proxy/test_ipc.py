"""What supervisor and workers say to each other arrives as it was said, wherever it is cut."""

import pickle
import struct
from typing import get_args

import pytest

from mesh_api.config import OpenTelemetryAccessLog, ProxyConfig
from mesh_proxy import ipc
from tests.unit.mesh_proxy.making import cluster, endpoint

CONFIG = ProxyConfig(clusters=(cluster(endpoint(1)),))
STATS = ipc.Stats(
    {"a": 1},
    {"g": 2},
    {"h": ipc.Histogram((1.0, float("inf")), (1, 2), 3.5, 3)},
    {"c": (ipc.HostStats("10.0.0.1:80", True, False, times_ejected=2),)},
    {"l": "127.0.0.1:80"},
)
MESSAGES: list[ipc.Message] = [
    ipc.Apply(7, CONFIG),
    ipc.StatsRequest(1),
    ipc.Drain(2.5),
    ipc.SetLogLevel("debug"),
    ipc.Reopen(),
    ipc.Ready(4711),
    ipc.Applied(7),
    ipc.Rejected(7, "cluster c", "is not supported"),
    ipc.StatsReply(1, STATS),
    ipc.Drained(),
    ipc.ResetCounters(),
    ipc.Introduce("sidecar~1.2.3.4~a.b~c", {"NAMESPACE": "b", "LABELS": {"app": "a"}}),
    ipc.Told(OpenTelemetryAccessLog("log", "collector"), ((1, b"body", (b"a",), b"", b""),)),
]


def test_every_kind_of_message_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(ipc.Message))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_arrives_as_it_was_said(message: ipc.Message) -> None:
    assert list(ipc.Decoder().feed(ipc.encode(message))) == [message]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_may_be_cut_anywhere(message: ipc.Message) -> None:
    data = ipc.encode(message) + ipc.encode(ipc.Ready(1))
    for cut in range(len(data) + 1):
        decoder = ipc.Decoder()
        assert [*decoder.feed(data[:cut]), *decoder.feed(data[cut:])] == [message, ipc.Ready(1)]


def test_messages_may_come_byte_by_byte_and_all_at_once() -> None:
    data = b"".join(map(ipc.encode, MESSAGES))
    decoder = ipc.Decoder()
    assert [message for byte in data for message in decoder.feed(bytes([byte]))] == MESSAGES
    assert list(decoder.feed(data)) == MESSAGES


def test_nothing_is_no_message() -> None:
    decoder = ipc.Decoder()
    assert list(decoder.feed(b"")) == []
    assert list(decoder.feed(ipc.encode(ipc.Reopen())[:-1])) == []


def framed(body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">I", len(body) if length is None else length) + body


BAD = [
    ("too long", framed(b"", ipc.LIMIT + 1), f"a message of {ipc.LIMIT + 1} bytes"),
    ("another object", framed(pickle.dumps({"a": 1})), "a dict is no message"),
    ("a class", framed(pickle.dumps(ipc.Ready)), "a type is no message"),
    ("no pickle", framed(b"hello"), "a message that cannot be read: "),
    ("empty", framed(b""), "a message that cannot be read: "),
    ("half a pickle", framed(pickle.dumps(ipc.Ready(1))[:-3]), "a message that cannot be read: "),
    ("an unknown class", framed(b"cmesh_proxy.ipc\nNone_such\n."), "a message that cannot be read: "),
]


@pytest.mark.parametrize(("data", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_message_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ipc.ProtocolError) as caught:
        list(ipc.Decoder().feed(data))
    assert str(caught.value).startswith(message)

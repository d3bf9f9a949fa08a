"""Random conversations with the library `h2` at the other end, which must understand everything and lose nothing.

Both directions: our server with its client, and our client with its server. What one end sends reaches the other whenever the
machine says so, in pieces of any size.
"""

from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
from hypothesis import settings as runs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from mesh_proxy.protocol.http1 import KINDS, field_of
from mesh_proxy.protocol.http2.settings import Settings
from tests.support.http2_recorder import End, pairs

Pairs = list[tuple[bytes, bytes]]
FIELD = st.sampled_from(
    [(b"content-type", b"text/plain"), (b"x-request-id", b"1"), (b"x-request-id", b"2"), (b"accept", b"*/*"),
     (b"x-a", b"\xe9"), (b"x-long", b"l" * 300), (b"authorization", b"Basic x"), (b"date", b"today"), (b"x-empty", b"")]
)  # fmt: skip
FIELDS = st.lists(FIELD, max_size=6)
CONTENT = st.one_of(st.binary(max_size=50), st.sampled_from([b"x" * 5000, b"y" * 70000]))
OURS = Settings(
    initial_stream_window_size=70000,
    initial_connection_window_size=100000,
    max_concurrent_streams=20,
    max_inbound_window_update_frames_per_data_frame_sent=1000,
    max_consecutive_inbound_frames_with_empty_payload=1000,
    max_outbound_control_frames=100000,
)


class Log:
    """What one end has said about a stream, or has heard."""

    def __init__(self) -> None:
        self.heads: dict[int, Pairs] = {}
        self.content: dict[int, bytes] = {}
        self.trailers: dict[int, Pairs] = {}
        self.ended: set[int] = set()
        self.reset: set[int] = set()


class Theirs:
    """The library's end, with its part of the flow control."""

    def __init__(self, client: bool) -> None:
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding=None)
        )
        self.connection.initiate_connection()
        self.heard, self.said = Log(), Log()
        self.unsent: dict[int, bytes] = {}
        self.ending: dict[int, Pairs | None] = {}
        self.settled = False
        """Whether its first settings are acknowledged: it takes that for an answer to later ones."""

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            self._on_event(event)
        self.flush()

    def _on_event(self, event: Any) -> None:
        assert not isinstance(event, h2.events.ConnectionTerminated), event
        if isinstance(event, h2.events.RequestReceived | h2.events.ResponseReceived):
            self.heard.heads[event.stream_id] = [(bytes(name), bytes(value)) for name, value in event.headers]
        elif isinstance(event, h2.events.DataReceived):
            number = event.stream_id
            self.heard.content[number] = self.heard.content.get(number, b"") + event.data
            self.connection.acknowledge_received_data(event.flow_controlled_length, number)
        elif isinstance(event, h2.events.TrailersReceived):
            self.heard.trailers[event.stream_id] = [(bytes(name), bytes(value)) for name, value in event.headers]
        elif isinstance(event, h2.events.SettingsAcknowledged):
            self.settled = True
        elif isinstance(event, h2.events.StreamEnded):
            self.heard.ended.add(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.heard.reset.add(event.stream_id)
            self.drop(event.stream_id)

    def drop(self, number: int) -> None:
        self.unsent.pop(number, None)
        self.ending.pop(number, None)

    def flush(self) -> None:
        """Send what the windows admit."""
        for number, content in list(self.unsent.items()):
            while content:
                size = min(len(content), self.connection.local_flow_control_window(number), 16384)
                if size <= 0:
                    break
                self.connection.send_data(number, content[:size])
                content = content[size:]
            self.unsent[number] = content
            if not content and number in self.ending:
                trailers = self.ending[number]
                if trailers is None:
                    self.connection.end_stream(number)
                else:
                    self.connection.send_headers(number, trailers, end_stream=True)
                self.drop(number)


class Conversation(RuleBasedStateMachine):
    """Our server and their client; or, with ``client``, the reverse."""

    client = False

    def __init__(self) -> None:
        super().__init__()
        self.ours = End(OURS, client=self.client, greeted=False)
        self.theirs = Theirs(client=not self.client)
        self.said = Log()
        self.to_us, self.to_them = b"", b""
        self.held: dict[int, int] = {}
        self.answered: set[int] = set()
        self.events = 0

    # The wire.

    def _collect(self) -> None:
        self.to_us += self.theirs.connection.data_to_send()
        self.to_them += self.ours.output()

    @rule(size=st.integers(1, 40000))
    def bring_some_to_us(self, size: int) -> None:
        self._collect()
        data, self.to_us = self.to_us[:size], self.to_us[size:]
        self.ours.give(data)
        self._take_note()

    @rule(size=st.integers(1, 40000))
    def bring_some_to_them(self, size: int) -> None:
        self._collect()
        data, self.to_them = self.to_them[:size], self.to_them[size:]
        self.theirs.receive(data)

    @rule()
    def bring_a_few_bytes_one_by_one(self) -> None:
        self._collect()
        for _ in range(min(30, len(self.to_us))):
            self.ours.give(self.to_us[:1])
            self.to_us = self.to_us[1:]
        self._take_note()

    def _take_note(self) -> None:
        """Content that we got is consumed later."""
        recorder = self.ours.recorder
        assert recorder.failure is None
        for event in recorder.events[self.events :]:
            number = int(str(event[0]))
            if event[1] == "data":
                content = event[2]
                assert isinstance(content, bytes)
                self.held[number] = self.held.get(number, 0) + len(content)
            elif event[1] == "reset":
                self.held.pop(number, None)
        self.events = len(recorder.events)

    # What either does.

    def _open_to_us(self) -> list[int]:
        return [
            number
            for number in self.ours.session.streams
            if number in self.said.heads and number not in self.said.ended
        ]

    @rule(content=CONTENT, which=st.integers(0, 20))
    def we_send_content(self, content: bytes, which: int) -> None:
        numbers = self._open_to_us()
        if numbers:
            number = numbers[which % len(numbers)]
            self.ours.session.data(self.ours.session.streams[number], content, False)
            self.said.content[number] = self.said.content.get(number, b"") + content

    @rule(trailers=st.one_of(st.none(), FIELDS), which=st.integers(0, 20))
    def we_end(self, trailers: Pairs | None, which: int) -> None:
        numbers = self._open_to_us()
        if numbers:
            number = numbers[which % len(numbers)]
            stream = self.ours.session.streams[number]
            if trailers:
                self.ours.session.trailers(stream, [field_of(*field) for field in trailers])
                self.said.trailers[number] = trailers
            else:
                self.ours.session.data(stream, b"", True)
            self.said.ended.add(number)

    @rule(which=st.integers(0, 20))
    def we_consume(self, which: int) -> None:
        if self.held:
            number = list(self.held)[which % len(self.held)]
            size = self.held.pop(number)
            self.ours.session.consumed(self._stream(number), size)

    @rule(which=st.integers(0, 20))
    def we_give_up(self, which: int) -> None:
        numbers = list(self.ours.session.streams)
        if numbers:
            number = numbers[which % len(numbers)]
            self.ours.session.reset(self.ours.session.streams[number], 8)
            self.said.reset.add(number)
            self.held.pop(number, None)

    def _open_to_them(self) -> list[int]:
        return [number for number in self.theirs.unsent if number not in self.theirs.ending]

    @rule(content=CONTENT, which=st.integers(0, 20))
    def they_send_content(self, content: bytes, which: int) -> None:
        numbers = self._open_to_them()
        if numbers:
            number = numbers[which % len(numbers)]
            self.theirs.unsent[number] += content
            self.theirs.said.content[number] = self.theirs.said.content.get(number, b"") + content
            self.theirs.flush()

    @rule(trailers=st.one_of(st.none(), FIELDS), which=st.integers(0, 20))
    def they_end(self, trailers: Pairs | None, which: int) -> None:
        numbers = self._open_to_them()
        if numbers:
            number = numbers[which % len(numbers)]
            self.theirs.ending[number] = trailers or None
            self.theirs.said.ended.add(number)
            if trailers:
                self.theirs.said.trailers[number] = trailers
            self.theirs.flush()

    @rule(which=st.integers(0, 20))
    def they_give_up(self, which: int) -> None:
        numbers = list(self.theirs.unsent)
        if numbers:
            number = numbers[which % len(numbers)]
            self.theirs.connection.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            self.theirs.said.reset.add(number)
            self.theirs.drop(number)

    @precondition(lambda self: self.theirs.settled)
    @rule(window=st.sampled_from([0, 100, 65535, 200000]), table=st.sampled_from([0, 100, 4096, 8192]))
    def they_change_their_settings(self, window: int, table: int) -> None:
        codes = h2.settings.SettingCodes
        if self.ours.recorder.streams:
            window = max(window, 65535)  # h2 takes what was sent before the window shrank for a fault (RFC 9113, 6.9.2)
        self.theirs.connection.update_settings({codes.INITIAL_WINDOW_SIZE: window, codes.HEADER_TABLE_SIZE: table})

    @rule()
    def they_ping(self) -> None:
        self.theirs.connection.ping(b"12345678")

    def _stream(self, number: int) -> Any:
        return self.ours.recorder.streams[number]

    # Ends.

    def teardown(self) -> None:
        for number in self._open_to_us():
            self.ours.session.data(self.ours.session.streams[number], b"", True)
            self.said.ended.add(number)
        for number in self._open_to_them():
            self.theirs.ending[number] = None
            self.theirs.said.ended.add(number)
        self.theirs.flush()
        for turn in range(200):
            if turn == 10:  # what is still held back by windows
                self.theirs.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 200000})
            self._collect()
            if not self.to_us and not self.to_them and turn > 10:
                break
            self.bring_some_to_us(1 << 20)
            while self.held:
                self.we_consume(0)
            self.bring_some_to_them(1 << 20)
        self._compare()

    def _compare(self) -> None:
        recorder, gone = self.ours.recorder, self.said.reset | self.theirs.said.reset
        gone |= {int(str(event[0])) for event in recorder.events if event[1] == "reset"} | self.theirs.heard.reset
        for number in self.said.ended - gone:
            assert number in self.theirs.heard.ended
            assert self.theirs.heard.content.get(number, b"") == self.said.content.get(number, b"")
            assert self.theirs.heard.trailers.get(number, []) == self.said.trailers.get(number, [])
            assert self.theirs.heard.heads[number] == self.said.heads[number]
        for number in self.theirs.said.ended - gone:
            assert number in recorder.ended
            assert recorder.content.get(number, b"") == self.theirs.said.content.get(number, b"")
            # What says something about a message is no trailer (RFC 9110 6.5.1).
            trailers = [field for field in self.theirs.said.trailers.get(number, []) if field[0] not in KINDS]
            assert recorder.trailers.get(number, []) == trailers
            assert pairs(recorder.heads[number].fields)[int(not self.client) :] == self.theirs.said.heads[number]
        session = self.ours.session
        assert session._receive_window + session._credit == 100000


class OurServer(Conversation):
    @precondition(lambda self: len(self.theirs.unsent) < 10)
    @rule(fields=FIELDS, path=st.sampled_from([b"/", b"/a?b", b"/long" * 20]))
    def they_ask(self, fields: Pairs, path: bytes) -> None:
        number = self.theirs.connection.get_next_available_stream_id()
        pseudo = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"a:80")]
        self.theirs.connection.send_headers(number, pseudo + fields)
        self.theirs.said.heads[number] = fields
        self.theirs.unsent[number] = b""

    @rule(which=st.integers(0, 20), fields=FIELDS, status=st.sampled_from([200, 204, 418, 500]))
    def we_answer(self, which: int, fields: Pairs, status: int) -> None:
        numbers = [number for number in self.ours.session.streams if number not in self.said.heads]
        if numbers:
            number = numbers[which % len(numbers)]
            sent = [field_of(*field) for field in fields]
            self.ours.session.respond(self.ours.session.streams[number], status, sent, False)
            self.said.heads[number] = [(b":status", b"%d" % status), *fields]


class OurClient(Conversation):
    client = True

    @precondition(lambda self: len(self.ours.session.streams) < 10)
    @rule(fields=FIELDS, path=st.sampled_from([b"/", b"/a?b", b"/long" * 20]))
    def we_ask(self, fields: Pairs, path: bytes) -> None:
        sent = [field_of(*field) for field in fields]
        stream = self.ours.session.request(b"POST", b"http", b"a:80", path, sent, False, 0.0)
        self.ours.recorder.streams[stream.id] = stream
        pseudo = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a:80"), (b":path", path)]
        self.said.heads[stream.id] = [*pseudo, *fields]

    @rule(which=st.integers(0, 20), fields=FIELDS)
    def they_answer(self, which: int, fields: Pairs) -> None:
        numbers = [
            number
            for number in self.theirs.heard.heads
            if number not in self.theirs.said.heads
            and number not in self.theirs.heard.reset
            and number not in self.theirs.said.reset
        ]
        if numbers:
            number = numbers[which % len(numbers)]
            self.theirs.connection.send_headers(number, [(b":status", b"200"), *fields])
            self.theirs.said.heads[number] = fields
            self.theirs.unsent[number] = b""


SIZE = runs(max_examples=40, stateful_step_count=40, deadline=None)
OurServer.TestCase.settings = SIZE
OurClient.TestCase.settings = SIZE
TestOurServer = pytest.mark.timeout(200)(OurServer.TestCase)
TestOurClient = pytest.mark.timeout(200)(OurClient.TestCase)

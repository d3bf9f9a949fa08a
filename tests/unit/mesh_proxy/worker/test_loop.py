"""The loop: deadlines by a clock of the test's, output that leaves when its handler has returned."""

import os
import socket
from collections.abc import Sequence

import pytest

from mesh_proxy.worker.connection import Connection, Owner
from mesh_proxy.worker.loop import READ, Loop, Waiter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Waiting(Waiter):
    def __init__(self) -> None:
        super().__init__()
        self.rung: list[float] = []

    def on_deadline(self, now: float) -> None:
        self.rung.append(now)


class Told(Owner):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def on_connected(self, connection: Connection) -> None:
        self.said.append("connected")

    def on_data(self, connection: Connection, data: bytes) -> None:
        self.said.append(f"data {data!r}")

    def on_drained(self, connection: Connection) -> None:
        self.said.append("drained")

    def on_lost(self, connection: Connection, reason: str) -> None:
        self.said.append(f"lost {reason}")


def test_a_deadline_rings_once_when_its_time_has_come() -> None:
    clock = Clock()
    loop, waiting = Loop(clock), Waiting()
    loop.watch(waiting, 100.5)
    loop.turn(0)
    assert waiting.rung == []
    clock.now = 100.6
    loop.turn(0)
    clock.now = 101.6
    loop.turn(0)
    assert (waiting.rung, waiting.deadline) == ([100.6], 0.0)
    loop.close()


def test_a_slow_deadline_may_be_moved_without_telling_the_loop() -> None:
    clock = Clock()
    loop, waiting = Loop(clock), Waiting()
    loop.watch_slowly(waiting)
    waiting.deadline = 101.0
    waiting.deadline = 103.0
    for clock.now in (102.0, 103.5, 105.0):
        loop.turn(0)
    assert waiting.rung == [103.5]
    waiting.deadline = 106.0
    loop.forget(waiting)
    clock.now = 107.0
    loop.turn(0)
    assert (waiting.rung, waiting.deadline) == ([103.5], 0.0)
    loop.close()


def test_what_one_event_brings_about_leaves_in_one_piece() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # one call of send is one packet
    ours.setblocking(False)
    owner = Told()
    connection = Connection(loop, ours, owner)
    trigger = os.eventfd(1)

    class Sender(Waiter):
        def on_event(self, event: int) -> None:
            os.eventfd_read(trigger)
            connection.send(b"head ")
            connection.send(b"")
            connection.send(b"body")

    loop.add(trigger, READ, Sender())
    loop.turn(0)
    assert theirs.recv(100) == b"head body"
    assert (connection.queued, owner.said) == (0, [])
    connection.close()
    loop.remove(trigger)
    os.close(trigger)
    theirs.close()
    loop.close()


def test_the_owner_is_told_when_a_full_queue_is_empty() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    owner = Told()
    connection = Connection(loop, ours, owner)
    content = os.urandom(1 << 20)
    connection.send(content[:1000])
    connection.send(content[1000:])
    received = b""
    while len(received) < len(content):
        loop.turn(0)
        received += theirs.recv(1 << 16)
    loop.turn(0)
    assert received == content
    assert (connection.queued, owner.said) == (0, ["drained"])
    connection.close()
    theirs.close()
    loop.close()


def test_a_peer_that_is_gone_is_told_after_the_handler_that_wrote_to_it() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    owner = Told()
    connection = Connection(loop, ours, owner)
    theirs.close()
    connection.send(b"too late")
    assert owner.said == []
    loop.turn(0)
    assert connection.closed
    assert owner.said[-1] in ("lost Broken pipe", "data b''")
    loop.close()


class Speaking(Waiter):
    """Has something to send whenever its descriptor is ready."""

    def __init__(self, loop: Loop, order: list[str], much: bool) -> None:
        super().__init__()
        self._loop = loop
        self._order = order
        self._much = much

    def on_event(self, event: int) -> None:
        self._order.append("handled")
        self._loop.flush_after(self)
        self._loop.much |= self._much

    def flush(self) -> None:
        self._order.append("sent")


def in_one_turn(much: Sequence[bool]) -> list[str]:
    """What happens with so many events, some of which bring about much."""
    loop, order = Loop(), list[str]()
    triggers = [os.eventfd(1) for _ in much]
    for trigger, each in zip(triggers, much, strict=True):
        loop.add(trigger, READ, Speaking(loop, order, each))
    loop.turn(0)
    for trigger in triggers:
        loop.remove(trigger)
        os.close(trigger)
    loop.close()
    return order


@pytest.mark.parametrize(
    ("much", "order"),
    [
        ([False] * 3, ["handled"] * 3 + ["sent"] * 3),
        ([False] * 20, ["handled"] * 16 + ["sent"] * 16 + ["handled"] * 4 + ["sent"] * 4),
        ([False, True, False], ["handled"] * 2 + ["sent"] * 2 + ["handled", "sent"]),
    ],
    ids=["several wait for each other", "but not too many", "nor much for little"],
)
def test_what_several_events_bring_about_is_sent_together(much: list[bool], order: list[str]) -> None:
    assert in_one_turn(much) == order


@pytest.mark.parametrize(("amount", "much"), [(16384, False), (16385, True)])
def test_a_connection_says_when_it_has_much_to_send(amount: int, much: bool) -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection(loop, ours, Told())
    connection.send(b"x" * amount)
    assert loop.much is much
    loop.turn(0)
    assert (loop.much, len(theirs.recv(1 << 16))) == (False, amount)
    connection.close()
    theirs.close()
    loop.close()


class Failing(Owner):
    """Whose handlers fail, as none should."""

    def on_data(self, connection: Connection, data: bytes) -> None:
        raise RuntimeError("not foreseen")

    def on_lost(self, connection: Connection, reason: str) -> None:
        raise RuntimeError("nor this")


def test_a_handler_that_fails_takes_its_own_connection_with_it_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    pairs = [socket.socketpair() for _ in range(2)]
    owner = Told()
    connections = [Connection(loop, ours, who) for (ours, _), who in zip(pairs, (Failing(), owner), strict=True)]
    for ours, theirs in pairs:
        ours.setblocking(False)
        theirs.send(b"hello")
    loop.turn(0)
    assert [connection.closed for connection in connections] == [True, False]
    assert owner.said == ["data b'hello'"]
    assert pairs[0][1].recv(10) == b""
    assert "not foreseen" in caplog.text
    connections[1].close()
    for _, theirs in pairs:
        theirs.close()
    loop.close()


class Late(Waiting):
    def on_deadline(self, now: float) -> None:
        raise RuntimeError("not foreseen")


def test_a_deadline_that_fails_keeps_no_other_from_ringing(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    loop, late, waiting = Loop(clock), Late(), Waiting()
    for timed in (late, waiting):
        loop.watch(timed, 100.5)
    clock.now = 101.0
    loop.turn(0)
    assert (waiting.rung, late.deadline) == ([101.0], 0.0)
    assert "not foreseen" in caplog.text
    loop.close()


def test_what_cannot_be_given_up_ends_the_loop() -> None:
    class Broken(Waiter):
        def on_event(self, event: int) -> None:
            raise RuntimeError("not foreseen")

    loop = Loop()
    ours, theirs = socket.socketpair()
    loop.add(ours.fileno(), READ, Broken())
    theirs.send(b"hello")
    with pytest.raises(RuntimeError, match="not foreseen"):
        loop.turn(0)
    ours.close()
    theirs.close()
    loop.close()

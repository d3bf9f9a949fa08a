"""Keep-alive: when a PING is sent, what counts as an answer, and when the peer is given up."""

from mesh_proxy.protocol.http2 import frames
from mesh_proxy.protocol.http2.frames import ACK, PING, frame
from mesh_proxy.protocol.http2.keepalive import OPAQUE
from mesh_proxy.protocol.http2.session import KEEPALIVE_TIMEOUT
from mesh_proxy.protocol.http2.settings import Settings
from tests.support.http2_recorder import End

KEPT = Settings(keepalive_interval=10.0, keepalive_timeout=3.0, keepalive_jitter=0.5)
ANSWER = frame(PING, ACK, 0, OPAQUE)


def test_without_an_interval_there_is_no_deadline() -> None:
    end = End()
    assert end.session.deadline == 0.0
    end.session.on_timer(1000.0, 0.0)
    assert end.output() == b""


def test_it_is_sent_after_the_interval_and_again_after_the_answer() -> None:
    end = End(KEPT)
    assert end.session.deadline == 10.0
    end.session.on_timer(9.9, 0.0)
    assert end.output() == b""
    end.session.on_timer(10.0, 0.5)
    assert end.take() == [(PING, 0, 0, OPAQUE)]
    assert end.session.deadline == 13.0
    end.give(ANSWER, now=11.0)
    assert end.session.deadline == 11.0 + 10.0 * 1.25
    assert end.recorder.events == []


def test_the_peer_is_given_up_when_nothing_comes() -> None:
    end = End(KEPT)
    end.session.on_timer(10.0, 0.0)
    end.take()
    end.session.on_timer(12.9, 0.0)
    assert end.recorder.failure is None
    end.session.on_timer(13.0, 0.0)
    assert end.recorder.failure == (frames.NO_ERROR, KEEPALIVE_TIMEOUT)


def test_anything_that_comes_gives_the_answer_more_time() -> None:
    end = End(KEPT)
    end.session.on_timer(10.0, 0.0)
    end.give(frame(99, 0, 0, b""), now=12.0)
    assert end.session.deadline == 15.0
    end.session.on_timer(13.0, 0.0)
    assert end.recorder.failure is None


def test_an_answer_that_nobody_asked_for_changes_nothing() -> None:
    end = End(KEPT)
    end.give(ANSWER, now=5.0)
    assert end.session.deadline == 10.0

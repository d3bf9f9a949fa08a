"""A request's body is sent, kept for another attempt while it is short."""

from mesh_proxy.worker.request_body import REPLAY_LIMIT, RequestBody


def test_what_came_before_the_connection_is_sent_then_and_at_every_attempt() -> None:
    body = RequestBody()
    body.keep(b"a", sent=False)
    body.keep(b"b", sent=True)
    assert body.parts() == body.parts() == [b"a", b"b"]
    assert body.replayable


def test_a_long_body_is_sent_once() -> None:
    body = RequestBody()
    body.keep(b"x" * REPLAY_LIMIT, sent=False)
    assert body.replayable
    body.keep(b"y", sent=False)
    assert not body.replayable
    assert b"".join(body.parts()) == b"x" * REPLAY_LIMIT + b"y"
    assert body.parts() == []


def test_a_body_that_grows_long_while_it_is_sent_is_not_kept() -> None:
    body = RequestBody()
    body.keep(b"x" * REPLAY_LIMIT, sent=True)
    body.keep(b"y", sent=True)
    assert (body.replayable, body.parts()) == (False, [])

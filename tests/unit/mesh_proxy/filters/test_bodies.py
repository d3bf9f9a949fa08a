"""Changes of bodies in a row."""

from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.bodies import BodyChange, BodyChanges
from mesh_proxy.protocol.http1 import Field, field_of
from mesh_proxy.worker.bodies import give_length
from tests.unit.mesh_proxy.making import head


class Pairs(BodyChange):
    """Hands on two bytes at a time, and the trailers as the end of the body."""

    def __init__(self, mark: bytes) -> None:
        super().__init__()
        self.mark, self.kept = mark, b""

    def take(self, content: bytes) -> bytes:
        self.kept += content
        if b"!" in content:
            self.refusal = LocalReply(400, "", "bad")
        whole = len(self.kept) // 2 * 2
        made, self.kept = self.kept[:whole], self.kept[whole:]
        return made

    def finish(self, trailers: list[Field]) -> bytes:
        rest, self.kept = self.kept, b""
        rest += b"".join(field.value for field in trailers) + self.mark
        trailers.clear()
        return rest


def row() -> BodyChanges:
    made = BodyChanges()
    made.add(Pairs(b"1"))
    made.add(Pairs(b"2"))
    return made


def test_each_gets_what_the_one_before_hands_on() -> None:
    changes, trailers = row(), [field_of(b"a", b"T")]
    assert [changes.take(part) for part in (b"a", b"bc", b"d")] == [b"", b"ab", b"cd"]
    assert changes.take(b"e") == b""
    assert changes.finish(trailers) == b"eT12"
    assert trailers == []
    assert changes.refusal is None


def test_a_refusal_of_one_is_that_of_all() -> None:
    changes = row()
    changes.take(b"!")
    assert changes.refusal == LocalReply(400, "", "bad")


def test_a_request_that_is_complete_has_a_length() -> None:
    asked = head("/", "transfer-encoding: chunked", method="POST")
    give_length(asked, 3)
    assert (asked.length, asked.chunked, asked.get(b"content-length")) == (3, False, b"3")
    give_length(asked, 4)
    assert asked.values(b"content-length") == [b"3"]

"""What a server that was asked about a request says."""

from mesh_proxy.filters.base import AnswerEdit
from mesh_proxy.protocol.http1 import Field


class Decision:
    """It may go on, changed; or it may not: ``refusal`` is the answer's status and body.

    ``set_fields`` take the place of the request's own, ``appended`` come besides, and of the ``removed`` it has none
    afterwards. ``answer`` is what the client is told besides. ``metadata`` are left for others.
    """

    __slots__ = ("answer", "appended", "metadata", "refusal", "removed", "set_fields")

    def __init__(self) -> None:
        self.refusal: tuple[int, bytes] | None = None
        self.set_fields: list[Field] = []
        self.appended: list[Field] = []
        self.removed: list[bytes] = []
        self.answer: list[AnswerEdit] = []
        self.metadata: dict[str, object] = {}

    def answer_pairs(self) -> list[tuple[bytes, bytes]]:
        """Names and values of the fields for the client."""
        return [(edit.field.name, edit.field.value) for edit in self.answer]

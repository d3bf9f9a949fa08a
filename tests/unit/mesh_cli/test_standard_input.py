"""Standard input that is not there, and what is no text."""

import io
import sys

import pytest

from mesh_cli import standard_input
from mesh_policy.errors import PolicyError


def test_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ä: 1\n".encode())))
    assert standard_input.read() == "ä: 1\n"


@pytest.mark.parametrize(
    ("stdin", "told"),
    [(None, "is closed"), (io.TextIOWrapper(io.BytesIO(b"\xff")), "is not UTF-8")],
    ids=["closed", "no text"],
)
def test_what_cannot_be_read(monkeypatch: pytest.MonkeyPatch, stdin: io.TextIOWrapper | None, told: str) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(PolicyError, match=f"^standard input: cannot be read: {told}$"):
        standard_input.read()

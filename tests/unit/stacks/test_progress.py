"""Progress goes to whoever reads the pipe, and to standard error where nobody does."""

import os
from pathlib import Path

import pytest

from stacks.providers.progress import PIPE, speaker


def test_a_line_goes_to_the_pipe_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setenv(PIPE, str(pipe))
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    speaker("hosts")("node1: done")
    assert os.read(reader, 1000) == b"[hosts +0s] node1: done\n"
    os.close(reader)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("exists", [True, False])
def test_without_a_reader_it_goes_to_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], exists: bool
) -> None:
    pipe = tmp_path / "pipe"
    if exists:
        os.mkfifo(pipe)
    monkeypatch.setenv(PIPE, str(pipe))
    speaker("hosts")("done")
    monkeypatch.delenv(PIPE)
    speaker("mesh")("done")
    assert capsys.readouterr().err == "[hosts +0s] done\n[mesh +0s] done\n"

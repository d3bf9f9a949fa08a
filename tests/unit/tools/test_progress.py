"""What a user sees while a step is under way."""

import io
import sys
import threading
from pathlib import Path

import pytest
from meshwright_tools.progress import Progress, StepError


def ticking(*moments: float):
    values = iter(moments)
    return lambda: next(values)


def test_a_step_says_what_it_does_and_how_long_it_took() -> None:
    stream = io.StringIO()
    with Progress(stream, ticking(10.0, 13.5)).step("Build"):
        pass
    assert stream.getvalue() == "==> Build\n    done in 3.5 s\n"


def test_a_step_that_fails_says_so() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), Progress(stream, ticking(0.0, 1.0)).step("Build"):
        raise ValueError("no")
    assert stream.getvalue().endswith("failed after 1.0 s\n")


def test_a_long_step_gives_signs_of_life() -> None:
    class Gate(io.StringIO):
        """A stream that holds the step open until the first sign of life has been written."""

        def __init__(self) -> None:
            super().__init__()
            self.alive = threading.Event()

        def write(self, text: str) -> int:
            if "still at it" in text:
                self.alive.set()
            return super().write(text)

    stream = Gate()
    with Progress(stream, every=0.001).step("Build"):
        assert stream.alive.wait(30)
    assert "    still at it: Build (" in stream.getvalue()


def test_a_failed_program_is_shown_with_the_end_of_its_output(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    script = "print('first'); print('\\n'.join(map(str, range(40)))); raise SystemExit('the cause')"
    with pytest.raises(StepError) as caught:
        Progress(io.StringIO()).run("Try", [sys.executable, "-c", script], log)
    assert "the cause" in str(caught.value)
    assert str(log) in str(caught.value)
    assert "first" not in str(caught.value)
    assert "first" in log.read_text()


def test_a_program_that_is_not_there_is_a_failed_step(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"Try: .*no-such-program"):
        Progress(io.StringIO()).run("Try", ["/no-such-program"], tmp_path / "log")

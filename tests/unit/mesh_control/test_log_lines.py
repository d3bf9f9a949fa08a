"""A record is one line, whatever peers put into it."""

import io
import logging

import pytest

from mesh_control import log_lines
from mesh_control.proxies import ProxyError, proxy_of
from tests.unit.mesh_control.worlds import STORE

FORGED = 'INFO mesh_control.ca.audit: {"event": "issued"}'


def written(*, failing: bool = False, message: str = "%s refuses", argument: str = "") -> str:
    stream = io.StringIO()
    logger = logging.Logger("mesh_control.test")
    logger.addHandler(log_lines.handler(stream))
    try:
        if failing:
            raise ValueError(argument)
        logger.warning(message, argument)
    except ValueError:
        logger.exception("cannot be taken", stack_info=True)
    return stream.getvalue()


@pytest.mark.parametrize(
    "end", ["\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029", "\x1c", "\x00", "\x1b[31m", "\x7f", "\x9b"]
)
def test_a_record_is_one_line(end: str) -> None:
    text = written(argument=f"a{end}{FORGED}")
    assert text.splitlines() == [text.removesuffix("\n")]
    assert text.removesuffix("\n").isprintable()
    assert text.startswith("WARNING mesh_control.test: a\\")


def test_what_can_be_shown_is_written_as_it_is() -> None:
    assert written(argument="Bücher 書店") == "WARNING mesh_control.test: Bücher 書店 refuses\n"


@pytest.mark.parametrize("end", ["\n", "\r", "\u2028"])
def test_a_traceback_begins_no_record(end: str) -> None:
    first, *others = written(failing=True, argument=f"a{end}{FORGED}").splitlines()
    assert first == "ERROR mesh_control.test: cannot be taken"
    assert others[0] == "    | Traceback (most recent call last):"
    assert all(line.startswith(log_lines.CONTINUED) and line.isprintable() for line in others)


@pytest.mark.parametrize("mark", ["\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e"])
def test_a_node_whose_id_cannot_be_shown_is_refused(mark: str) -> None:
    node = type(STORE)(STORE.id.replace("store", f"st{mark}ore"), metadata=STORE.metadata)
    with pytest.raises(ProxyError, match="has characters that cannot be shown") as error:
        proxy_of(node)
    assert str(error.value).isprintable()

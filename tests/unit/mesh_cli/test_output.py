"""What a verb prints is no order to a terminal, whoever has written it."""

import pytest

from mesh_cli import output

HOSTILE = "store\x1b]0;owned\x07\x9b2J\r\nnode9  yes\u2028"
SHOWN = r"store\x1b]0;owned\x07\x9b2J\r\nnode9  yes\u2028"


def test_a_cell_is_one_line_and_no_order() -> None:
    assert output.table(["proxy", "synced"], [[HOSTILE, "NO"]]).splitlines() == [
        f"proxy{' ' * (len(SHOWN) - 5)}  synced",
        f"{SHOWN}  NO",
    ]


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    output.tell(f"first\tcolumn\n{HOSTILE}")
    output.say("a\x1b[31mb\nc")
    told = capsys.readouterr()
    assert told.out == "first\tcolumn\nstore\\x1b]0;owned\\x07\\x9b2J\\r\nnode9  yes\\u2028\n"
    assert told.err == "a\\x1b[31mb\nc\n"

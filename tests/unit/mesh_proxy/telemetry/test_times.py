"""Points in time as they are written."""

import time

import pytest

from mesh_proxy.telemetry.times import TimeFormatError, between, stamp

NOW = 1_700_000_000.123456

FORMS = [
    ("", "2023-11-14T22:13:20.123Z"),
    ("%Y/%m/%d", "2023/11/14"),
    ("%s", "1700000000"),
    ("%s.%3f", "1700000000.123"),
    ("%3f|%6f|%9f|%f", "123|123456|123456000|123456000"),
    ("%E3S %E0S %E*S", "20.123 20 20.123456"),
    ("%E4Y", "2023"),
    ("%H:%M%%%s", "22:13%1700000000"),
    ("100%%f", "100%f"),
    ("text", "text"),
]


@pytest.mark.parametrize(("form", "expected"), FORMS)
def test_a_form_is_filled_in(form: str, expected: str) -> None:
    assert stamp(form)(NOW) == expected.encode()


@pytest.mark.parametrize("form", [form for form, _ in FORMS])
def test_what_is_kept_of_a_second_is_not_told_of_another(form: str) -> None:
    write = stamp(form)
    moments = [NOW, NOW, NOW + 0.5, NOW + 61.25, NOW - 86400.0, NOW]
    assert [write(moment) for moment in moments] == [stamp(form)(moment) for moment in moments]


def test_a_whole_second_needs_no_fraction() -> None:
    assert stamp("%E*S")(1_700_000_000.0) == b"20"
    assert stamp("%E*S")(1_700_000_000.5) == b"20.5"


def test_the_local_time_has_its_zone() -> None:
    assert stamp("", local=True)(NOW) == time.strftime("%Y-%m-%dT%H:%M:%S.123%z", time.localtime(NOW)).encode()


@pytest.mark.parametrize("form", ["%n", "a\nb", "%En", "%_9n"])
def test_no_form_makes_two_lines(form: str) -> None:
    with pytest.raises(TimeFormatError, match="has a line end"):
        stamp(form)


@pytest.mark.parametrize(
    ("begin", "end", "parts", "expected"),
    [
        (1.0, 1.5, 1000, 500),
        (1.0, 1.5, 1_000_000, 500_000),
        (2.0, 1.0, 1000, -1),
        (0.0, 1.0, 1000, -1),
        (1.0, 0.0, 1000, -1),
    ],
)
def test_between_two_points_is_no_time_where_one_was_not_reached(
    begin: float, end: float, parts: int, expected: int
) -> None:
    assert between(begin, end, parts) == expected

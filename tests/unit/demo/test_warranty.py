"""The decision on a claim."""

from datetime import UTC, datetime, timedelta

import pytest
from meshwright_demo.warranty import Decision, Status, a_month_before, decide

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MONTH_AGO = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("status", "started", "available", "expected"),
    [
        (Status.ON_WARRANTY, NOW, 1, Decision.RETURN),
        (Status.ON_WARRANTY, NOW, 0, Decision.FIXING),
        (Status.ON_WARRANTY, MONTH_AGO + INSTANT, 10000, Decision.RETURN),
        (Status.ON_WARRANTY, MONTH_AGO + INSTANT, 0, Decision.FIXING),
        (Status.ON_WARRANTY, MONTH_AGO, 1, Decision.REFUSE),
        (Status.ON_WARRANTY, MONTH_AGO - INSTANT, 0, Decision.REFUSE),
        (Status.USE_WARRANTY, NOW, 1, Decision.REFUSE),
        (Status.USE_WARRANTY, NOW, 0, Decision.REFUSE),
        (Status.REMOVED_FROM_WARRANTY, NOW, 1, Decision.REFUSE),
    ],
)
def test_decide(status: Status, started: datetime, available: int, expected: Decision) -> None:
    assert decide(status, started, available, NOW) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-24", "2026-10-24"),
        ("2026-01-05", "2025-12-05"),
        ("2026-03-31", "2026-02-28"),
        ("2028-03-30", "2028-02-29"),
        ("2026-07-31", "2026-06-30"),
    ],
)
def test_a_month_before(moment: str, expected: str) -> None:
    assert a_month_before(datetime.fromisoformat(moment)) == datetime.fromisoformat(expected)

"""What is handed on."""

import logging
from datetime import datetime, timedelta, timezone

import pytest
from meshwright_demo.log import JsonFormatter
from meshwright_demo.model import utc
from meshwright_demo.tracing import TRACE_HEADERS, trace_headers
from multidict import CIMultiDict


@pytest.mark.parametrize("name", TRACE_HEADERS)
def test_each_trace_header_goes_on_in_any_case(name: str) -> None:
    headers = CIMultiDict({name.upper(): "value", "Cookie": "c", "Host": "store"})
    assert trace_headers(headers) == {name: "value"}


def test_a_log_line_is_one_line_of_json() -> None:
    record = logging.LogRecord("http", logging.INFO, "", 0, "two\nlines", None, None)
    record.fields = {"path": "/a\nb"}
    record.created = 0.5
    expected = '{"time": "1970-01-01T00:00:00.500+00:00", "level": "info", "message": "two\\nlines", "path": "/a\\nb"}'
    assert JsonFormatter().format(record) == expected


def test_moments_are_written_in_utc() -> None:
    moment = datetime(2026, 11, 24, 3, 4, 5, 678, timezone(timedelta(hours=3)))
    assert utc(moment) == "2026-11-24T00:04:05Z"

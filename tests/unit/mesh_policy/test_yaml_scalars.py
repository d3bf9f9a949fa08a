"""What a text without quotes is, as rows; in ``tests/integration/mesh_policy`` Kubernetes' own code is asked."""

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy import positions
from mesh_policy.yaml_scalars import plain
from mesh_policy.yaml_text import written

TEXTS: dict[str, Any] = {
    "1e2": 100.0, "1E5": 100000.0, "1e-05": 0.00001, "1.5e3": 1500.0, "1.5e+3": 1500.0, "1.e3": 1000.0, ".5e3": 500.0,
    ".5": 0.5, "5.": 5.0, "+1.5": 1.5, "-.5": -0.5, "08": 8.0, "08.5": 8.5, "1_0.5": 10.5, "0.5_": 0.5, ".1_0": 0.1,
    "1_000": 1000, "1__0": 10, "1_": 1, "-_1": -1, "+1": 1, "-0": 0, "00": 0, "12e03": 12000.0, "1e-400": 0.0,
    "0x1F": 31, "0X1F": 31, "-0x1F": -31, "0x_1F": 31, "0o17": 15, "0O17": 15, "017": 15, "-017": -15, "0_17": 15,
    "0b11": 3, "0B11": 3, "-0b11": -3, "18446744073709551615": 2**64 - 1, "-9223372036854775808": -(2**63),
    "18446744073709551616": 2.0**64, "-9223372036854775809": -(2.0**63), "+9223372036854775808": 2.0**63,
    "y": True, "Y": True, "yes": True, "Yes": True, "on": True, "ON": True, "true": True, "TRUE": True,
    "n": False, "N": False, "no": False, "No": False, "off": False, "OFF": False, "false": False, "False": False,
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    ".inf": math.inf, "+.Inf": math.inf, "-.INF": -math.inf,
}  # fmt: skip
NO_VALUES = (
    "1e400", ".5e400", "0b12", "0o8", "0x", "0x1p-2", "0xfffffffffffffffff", "1e", "1e+", ".e1", "._5", ".1_", ".", "+.",
    "-", "+_", "_1", "1:20", "1.2.3", "1,000", "2026-01-01", "2026-01-01T00:00:00Z", "=", "<<", "+=", "\u0663", "1\u0663",
    "yES", "oN", "tRUE", "nULL", ".iNF", "-.nan", "inf", "nan", "infinity", ".infinity", "t", "f", "yep", "9" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_stands_for_a_value(text: str) -> None:
    assert (plain(text), type(plain(text))) == (TEXTS[text], type(TEXTS[text]))


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_what_is_no_number(text: str) -> None:
    assert math.isnan(plain(text))


@pytest.mark.parametrize("text", NO_VALUES)
def test_a_text_that_is_itself(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize("text", [*TEXTS, *(text for text in NO_VALUES if text not in ("-", "<<"))])
def test_both_ways_of_reading_follow_the_rules(text: str) -> None:
    ordinary, unusual = (next(positions.documents(f"a: {mark}{text}\n", "f")).value["a"] for mark in ("", "&a "))
    wanted = plain(text)
    assert (ordinary, type(ordinary)) == (unusual, type(unusual)) == (wanted, type(wanted))


@pytest.mark.parametrize(
    ("key", "name"), [("1e2", "100"), ("8080", "8080"), ("0x10", "16"), ("y", "true"), ("1.10", "1.1")]
)
def test_keys_are_texts(key: str, name: str) -> None:
    (document,) = positions.documents(f"{key}: 1\n", "f")
    assert document.value == {name: 1}


@given(st.one_of(st.sampled_from([*TEXTS, *NO_VALUES]), st.text("0123456789+-._eExobynt", max_size=8)))
def test_a_text_that_was_written_is_the_text_that_is_read(text: str) -> None:
    document = {"a": [text], "b": {text: text}}
    found = written(document)
    assert next(positions.documents(found, "f")).value == document
    assert yaml.safe_load(found) == document  # and whoever reads with PyYAML

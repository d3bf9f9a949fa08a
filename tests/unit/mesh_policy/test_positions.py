"""YAML with lines: libyaml and PyYAML's own parser say the same, and what is ordinary is read as what is not."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mesh_policy import PolicyError, positions, yaml_events, yaml_nodes, yaml_values
from mesh_policy.positions import Path
from mesh_policy.yaml_text import Dumper, written

needs_libyaml = pytest.mark.skipif(yaml_events.CParser is None, reason="PyYAML was built without libyaml")

PIECES = [
    *(
        "a",
        "b: ",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "---\n",
        "...\n",
        "{",
        "}",
        "[",
        "]",
        ", ",
        '"x"',
        "'y'",
        '"',
        "'",
    ),
    *(
        "#c",
        " #c",
        "&a ",
        "*a",
        "!",
        "!!str ",
        "!!int ",
        "!t ",
        "<<: ",
        "? ",
        "| ",
        ">",
        "|-\n",
        "|2\n",
        ">-\n",
        ">#c\n",
    ),
    *(
        "%YAML 1.1\n",
        "%TAG ! tag:x,2000:\n",
        "!<tag:yaml.org,2002:int> ",
        "%",
        "@",
        "`",
        "=",
        "\\",
        "-",
        "?",
        ":",
        "a:b",
    ),
    *(
        "1",
        "0x1f",
        "0o17",
        "017",
        "08",
        "1:20",
        "true",
        "~",
        "null",
        "2026-01-01",
        "1.5",
        ".5",
        "1e3",
        "1_0",
        "+1",
        "-0",
    ),
    *("\t", " ", "  ", "\r\n", "\r", "é", "日本", "\U0001f600", "\ufeff", "\x85", "\u2028", "\xa0", "\x00", "\ud83d"),
    *("2001:db8::", "1.2.3.4", "[1.2.3.4, 2001:db8::]", "[a, b: c]", "{a: b}", "x: [", "a: 1\n", "- a: 1\n  b: 2\n"),
    *("  text\n", "a: |\n   x\n", "kind: X\n", '"a\n b"', "'a\n\n b'", '"\\u263a"', '"\\ud83d"'),
]
"""What YAML is made of, and where parsers of it are known to differ."""


def told(text: str, fast: bool) -> tuple[list[tuple[str, dict[Path, int]]], str]:
    """What is read: each document's value and the line of each path; and the error at the end of it."""
    found: list[tuple[str, dict[Path, int]]] = []
    try:
        if fast:
            documents = positions.documents(text, "f")
        else:
            slow = yaml_events.Span(text, 0, 1, fast=False)
            documents = (item for item in positions._documents(slow, "f") if item.value is not None)
        found += [(repr(item.value), {path: item.line(path) for path in paths(item.value)}) for item in documents]
    except PolicyError as error:
        return [], str(error)
    return found, ""


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


@needs_libyaml
@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("  a: 1\n  b: 2\n1: [")
@example("---\na: >#c\n  x\n")
@example("a: b\tc\n---\nd: e")
@example("a: 1\n---\nb: x\n--- !\n---\nc: 1\n\t")
@example("# \ufeff\nb")
def test_both_parsers_say_the_same(text: str) -> None:
    fast, slow = told(text, fast=True), told(text, fast=False)
    if slow[1] and any(mark in text for mark in "\t#*!"):  # of two mistakes in one document either may be told
        assert fast[1]
    else:
        assert fast == slow


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text(max_size=12)
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(st.lists(values, min_size=1, max_size=3), st.sampled_from([True, False, None]), st.booleans())
def test_what_is_written_is_read_again(found: list[Any], flow: bool | None, returns: bool) -> None:
    text = yaml.dump_all(found, Dumper=Dumper, default_flow_style=flow, sort_keys=False)
    if returns and "\r" not in text and "\x85" not in text:
        text = text.replace("\n", "\r\n")
    ours, error = told(text, fast=True)
    assert not error
    assert [value for value, _ in ours] == [repr(item) for item in found if item is not None]
    assert told(text, fast=False)[0] == ours


@settings(max_examples=200)
@given(
    st.dictionaries(
        st.text(st.sampled_from("ab: '-"), max_size=4),
        st.lists(st.lists(st.sampled_from([*PIECES, "x" * 130, "word " * 30]), max_size=5).map("".join), max_size=3),
        max_size=3,
    )
)
def test_one_form_is_written_with_libyaml_and_without(document: dict[str, Any]) -> None:
    text = written(document)
    if not any(mark in text for mark in ("\\N", "\\L", "\\P")):
        assert text == yaml.dump(document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=116)
    if not any("\ud83d" in part for parts in document.values() for part in parts):
        assert yaml.safe_load(text) == document


@pytest.mark.parametrize("text", ["a: [1, {b: c}]\nd:\n- e: |\n    f\n    g\n-\n  h: i", "--- x", "- - a\n  - b\n- c"])
def test_ordinary_documents_have_the_lines_of_the_others(text: str) -> None:
    span = yaml_events.whole(text)
    value, lines = yaml_nodes.read(span, "f")
    (document,) = positions.documents(text, "f")
    assert document.value == value
    assert dict(yaml_values.lines(span)) == lines


def test_keys_are_text_as_in_json() -> None:
    (document,) = positions.documents("1: a\n0x10: b\ntrue: c\n1.50: {2: d}\n'3': e\n~: f", "f")
    assert document.value == {"1": "a", "16": "b", "true": "c", "1.5": {"2": "d"}, "3": "e", None: "f"}
    assert document.line(("1.50", "2")) == 4


def test_lines_of_a_part_count_in_the_whole() -> None:
    (document,) = positions.documents("kind: List\nitems:\n- a: 1\n-\n  b:\n    c: 2\n", "f")
    part = document.part(("items", 1), document.value["items"][1])
    assert (part.value, part.line(()), part.line(("b", "c")), part.line(("b", "x", "y"))) == ({"b": {"c": 2}}, 5, 6, 5)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_values_deeper_than_any_stack_are_refused(opening: str) -> None:
    with pytest.raises(PolicyError, match="nested deeper than 64 levels"):
        list(positions.documents(opening * 100_000, "f"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("!!int ''", "'' is no int"),
        ("!!int 1.5", "'1.5' is no int"),
        ("!!bool x", "'x' is no bool"),
        ("!!float y", "'y' is no float"),
        ("!!timestamp x", "a value does not fit its tag"),
    ],
)
def test_a_value_that_does_not_fit_its_tag_is_told(text: str, told: str) -> None:
    with pytest.raises(PolicyError, match=f"f:2: not YAML: {told}"):
        list(positions.documents(f"\na: {text}", "f"))


def test_without_libyaml_the_own_parser_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_events, "CParser", None)
    (document,) = positions.documents("a: 1\nb:\n- c", "f")
    assert (document.value, document.line(("b", 0))) == ({"a": 1, "b": ["c"]}, 3)

"""Conditions on strings, headers and query parameters; what is marked so was measured on Envoy 1.40."""

import pytest

from mesh_api.config import HeaderMatch, QueryParameterMatch, StringMatch, StringMatchKind
from mesh_proxy.routing.matchers import HeaderTest, MatcherError, ParameterTest, origin_test, parse_query, string_test
from tests.unit.mesh_proxy.making import head

EXACT, PREFIX, SUFFIX = StringMatchKind.EXACT, StringMatchKind.PREFIX, StringMatchKind.SUFFIX
CONTAINS, REGEX = StringMatchKind.CONTAINS, StringMatchKind.REGEX

STRINGS = [
    (EXACT, "abc", False, [b"abc"], [b"", b"ab", b"abcd", b"ABC"]),
    (EXACT, "aBc", True, [b"abc", b"ABC"], [b"abcd"]),
    (EXACT, "", False, [b""], [b"a"]),
    (PREFIX, "ab", False, [b"ab", b"abc"], [b"", b"a", b"xab", b"AB"]),
    (PREFIX, "Ab", True, [b"aB", b"ABc"], [b"xab"]),
    (PREFIX, "", False, [b"", b"a"], []),
    (SUFFIX, "bc", False, [b"bc", b"abc"], [b"", b"bcd", b"BC"]),
    (SUFFIX, "bC", True, [b"aBc"], [b"bcd"]),
    (CONTAINS, "b", False, [b"b", b"abc"], [b"", b"ac", b"B"]),
    (CONTAINS, "B", True, [b"abc"], [b"ac"]),
    (REGEX, "a|ab", False, [b"a", b"ab"], [b"", b"abc", b"xa", b"A"]),
    (REGEX, "(?i)ab+", False, [b"aBB"], [b"a"]),
    (REGEX, "ab", True, [b"ab"], [b"AB"]),
    (REGEX, "a.c", False, [b"abc", "aéc".encode()], [b"a\nc", b"ac"]),
    (EXACT, "é", False, ["é".encode()], [b"\xe9"]),
]


@pytest.mark.parametrize(("kind", "value", "ignore_case", "holds", "fails"), STRINGS)
def test_a_string_is_compared_as_its_kind_says(
    kind: StringMatchKind, value: str, ignore_case: bool, holds: list[bytes], fails: list[bytes]
) -> None:
    test = string_test(StringMatch(kind, value, ignore_case))
    assert [given for given in holds + fails if test(given)] == holds


@pytest.mark.parametrize("pattern", ["(", "a**", "[z-a]", r"(a)\1", "(?=a)", "(?<!a)b", "a{1001}", "*"])
def test_an_expression_that_re2_does_not_know_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(MatcherError) as caught:
        string_test(StringMatch(REGEX, pattern))
    assert str(caught.value).startswith(f"{pattern!r} is not a regular expression of RE2: ")


def test_an_expression_that_could_run_for_ever_elsewhere_does_not() -> None:
    assert not string_test(StringMatch(REGEX, "(a*)*b"))(b"a" * 10_000)


A = StringMatch(EXACT, "a")
HEADERS = [
    ("equal", HeaderMatch("x", A), ["x: a"], True),
    ("different", HeaderMatch("x", A), ["x: b"], False),
    ("names ignore case", HeaderMatch("x", A), ["X: a"], True),
    ("missing", HeaderMatch("x", A), [], False),
    ("one of several is enough (measured)", HeaderMatch("x", A), ["x: b", "x: a"], True),
    (
        "several are not compared joined (measured)",
        HeaderMatch("x", StringMatch(EXACT, "a,b")),
        ["x: a", "x: b"],
        False,
    ),
    ("inverted, equal", HeaderMatch("x", A, invert=True), ["x: a"], False),
    ("inverted, different", HeaderMatch("x", A, invert=True), ["x: b"], True),
    ("inverted, missing (measured)", HeaderMatch("x", A, invert=True), [], False),
    ("missing as empty", HeaderMatch("x", A, treat_missing_as_empty=True), [], False),
    ("missing as empty, inverted (measured)", HeaderMatch("x", A, invert=True, treat_missing_as_empty=True), [], True),
    ("missing equals empty", HeaderMatch("x", StringMatch(EXACT, ""), treat_missing_as_empty=True), [], True),
    ("present", HeaderMatch("x"), ["x: a"], True),
    ("present and empty", HeaderMatch("x"), ["x:"], True),
    ("present, missing", HeaderMatch("x"), [], False),
    ("present, inverted", HeaderMatch("x", invert=True), ["x: a"], False),
    ("present, inverted, missing", HeaderMatch("x", invert=True), [], True),
    ("absent", HeaderMatch("x", present=False), [], True),
    ("absent, there", HeaderMatch("x", present=False), ["x: a"], False),
    ("absent, inverted", HeaderMatch("x", present=False, invert=True), ["x: a"], True),
    ("present, missing as empty (measured)", HeaderMatch("x", treat_missing_as_empty=True), [], True),
    ("absent, missing as empty (measured)", HeaderMatch("x", present=False, treat_missing_as_empty=True), [], False),
    ("method", HeaderMatch(":method", StringMatch(EXACT, "GET")), [], True),
    ("authority", HeaderMatch(":authority", StringMatch(EXACT, "h")), [], True),
    ("path with query", HeaderMatch(":path", StringMatch(EXACT, "/p?q")), [], True),
    ("scheme", HeaderMatch(":scheme", StringMatch(EXACT, "http")), [], True),
    ("scheme of TLS", HeaderMatch(":scheme", StringMatch(EXACT, "https")), [], False),
    ("host", HeaderMatch("host", StringMatch(EXACT, "h")), [], True),
    (
        "scheme that is forwarded",
        HeaderMatch(":scheme", StringMatch(EXACT, "https")),
        ["x-forwarded-proto: https"],
        True,
    ),
    ("another pseudo header", HeaderMatch(":protocol"), [], False),
    ("forwarded protocol", HeaderMatch("x-forwarded-proto", StringMatch(EXACT, "http")), [], True),
    ("for one hop", HeaderMatch("keep-alive"), ["keep-alive: 5"], False),
    ("named for one hop", HeaderMatch("x"), ["connection: x", "x: a"], False),
    ("connection", HeaderMatch("connection"), ["connection: keep-alive"], False),
    ("only for proxies", HeaderMatch("x-envoy-internal"), ["x-envoy-internal: true"], False),
]


@pytest.mark.parametrize(("match", "lines", "expected"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_a_header_is_compared_as_envoy_does(match: HeaderMatch, lines: list[str], expected: bool) -> None:
    assert HeaderTest(match).holds(head("/p?q", *lines)) is expected


RANGE = [
    ("-5", True), ("-6", False), ("0", True), ("9", True), ("10", False), ("+5", True), ("05", True), ("5.0", False),
    ("", False), ("-", False), ("--5", False), ("5 5", False), ("5,6", False), ("0x5", False), ("5_0", False),
    ("\xb2", False), ("9" * 30, False), ("9" * 6000, False), ("-" + "9" * 6000, False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), RANGE)
def test_a_range_holds_whole_numbers_from_its_start_to_before_its_end(value: str, expected: bool) -> None:
    """As measured; a number that no integer of 64 bits holds is none, however long."""
    plain = HeaderTest(HeaderMatch("x", range_start=-5, range_end=10))
    inverted = HeaderTest(HeaderMatch("x", range_start=-5, range_end=10, invert=True))
    assert plain.holds(head("/", f"x: {value}")) is expected
    assert inverted.holds(head("/", f"x: {value}")) is not expected


def test_a_range_needs_the_header() -> None:
    assert not HeaderTest(HeaderMatch("x", range_start=-5, range_end=10)).holds(head())


PARAMETERS = [
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"a=1", True),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"b=2&a=1", True),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"a=2&a=1", False),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"a=1&a=2", True),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"a=%31", False),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"b=1;a=1", False),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"A=1", False),
    (QueryParameterMatch("a", StringMatch(EXACT, "1")), b"", False),
    (QueryParameterMatch("a", StringMatch(EXACT, "")), b"a", True),
    (QueryParameterMatch("a", StringMatch(EXACT, "b=c")), b"a=b=c", True),
    (QueryParameterMatch("a", StringMatch(REGEX, "[0-9]+")), b"a=12", True),
    (QueryParameterMatch("a"), b"a", True),
    (QueryParameterMatch("a"), b"a=", True),
    (QueryParameterMatch("a"), b"=a&b", False),
    (QueryParameterMatch("a", present=False), b"b", True),
    (QueryParameterMatch("a", present=False), b"a", False),
]


@pytest.mark.parametrize(("match", "query", "expected"), PARAMETERS)
def test_a_parameter_is_compared_as_it_stands_and_the_first_counts(
    match: QueryParameterMatch, query: bytes, expected: bool
) -> None:
    """As measured."""
    assert ParameterTest(match).holds(parse_query(query)) is expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (StringMatch(EXACT, "*"), True),
        (StringMatch(EXACT, "http://a"), True),
        (StringMatch(EXACT, "http://b"), False),
        (StringMatch(PREFIX, "*"), False),
        (StringMatch(SUFFIX, "/a"), True),
    ],
)
def test_an_origin_that_is_exactly_a_star_means_every_origin(match: StringMatch, expected: bool) -> None:
    assert origin_test(match)(b"http://a") is expected

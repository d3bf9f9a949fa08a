"""Paths: what is the same is written the same, and nothing gets above the root."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import RegexRewrite
from mesh_proxy.routing.matchers import MatcherError
from mesh_proxy.routing.paths import RegexReplacement, merge_slashes, normalize

PATHS = [
    (b"/", b"/"),
    (b"/a/b", b"/a/b"),
    (b"*", b"*"),
    (b"/ok/a/../b", b"/ok/b"),
    (b"/a/.", b"/a/"),
    (b"/a/./b", b"/a/b"),
    (b"/a/..", b"/"),
    (b"/a/b/..", b"/a/"),
    (b"/..", b"/"),
    (b"/../a", b"/a"),
    (b"/../../../a", b"/a"),
    (b"/.", b"/"),
    (b"/./././a", b"/a"),
    (b"/a//../b", b"/a/b"),
    (b"//a//../b", b"//a/b"),
    (b"//../a", b"/a"),
    (b"/.../x", b"/.../x"),
    (b"/.a/..b/c..", b"/.a/..b/c.."),
    (b"/%41%7e%2E%2e/b", b"/A~../b"),
    (b"/a/%2e%2e/%2E/b", b"/b"),
    (b"/a/.%2e/b", b"/b"),
    (b"/%2e/x", b"/x"),
    (b"/a\\b", b"/a/b"),
    (b"/a\\..\\b", b"/b"),
    (b"/a%2fb", b"/a%2fb"),
    (b"/a%2Fb", b"/a%2Fb"),
    (b"/a%5cb", b"/a%5cb"),
    (b"/a%20b%25%3f%c3%a9", b"/a%20b%25%3f%c3%a9"),
    (b"/a/..;/b", b"/b"),
    (b"/a/..;x=y/b", b"/b"),
    (b"/a/.;/b", b"/a/b"),
    (b"/a/..;", b"/"),
    (b"/a/;/b", b"/a/;/b"),
    (b"/a/x;/../b", b"/a/b"),
    (b"/a/b;..;/c", b"/a/b;..;/c"),
    (b"/a/..%3b/b", b"/a/..%3b/b"),
]


@pytest.mark.parametrize(("given", "expected"), PATHS)
def test_a_path_is_written_in_one_way(given: bytes, expected: bytes) -> None:
    """As measured on Envoy 1.40."""
    assert normalize(given) == expected


def test_an_escaped_dot_segment_with_parameters_is_one() -> None:
    """Here Envoy differs (it leaves ``..;``), so that a second proxy would take away what the first let pass."""
    assert normalize(b"/a/%2e%2e;/b") == b"/b"


@pytest.mark.parametrize("path", [b"/%", b"/a%2", b"/a%zz", b"/%%41", b"/a%00b", b"/%2", b"/%u0041"])
def test_a_path_that_cannot_be_is_refused(path: bytes) -> None:
    """A NUL as in Envoy. A broken escape Envoy lets pass; what a server makes of one, nobody knows."""
    assert normalize(path) is None


SEGMENTS = st.sampled_from(
    [b".", b"..", b"", b"a", b"%2e", b"%2E.", b"..;x", b"%41", b"%2f", b"\\", b"...", b"%5c", b"%25", b"2e", b"a;b"]
)
ANY_PATH = st.lists(SEGMENTS, max_size=8).map(lambda parts: b"/" + b"/".join(parts)) | st.lists(
    st.sampled_from([b"/", b".", b"%", b"2", b"e", b"E", b"\\", b";", b"a", b"%2e", b"%2f"]), max_size=14
).map(lambda parts: b"/" + b"".join(parts))


@settings(max_examples=600, deadline=None)
@given(ANY_PATH)
def test_a_normal_path_stays_as_it_is_and_has_nothing_above_the_root(path: bytes) -> None:
    once = normalize(path)
    if once is None:
        return
    assert normalize(once) == once
    assert once.startswith(b"/")
    assert b"\\" not in once
    segments = [segment.partition(b";")[0] for segment in once.split(b"/")]
    assert b".." not in segments
    assert b"." not in segments
    merged = merge_slashes(once)
    assert normalize(merged) == merged == merge_slashes(merged)


@pytest.mark.parametrize(
    ("given", "expected"), [(b"/", b"/"), (b"//", b"/"), (b"/a//b///c//", b"/a/b/c/"), (b"/a/b", b"/a/b")]
)
def test_several_slashes_become_one(given: bytes, expected: bytes) -> None:
    assert merge_slashes(given) == expected


REWRITES = [
    ("/re/([^/]+)", r"/new/\1/\0", b"/re/x/y/re/z", b"/new/x//re/x/y/new/z//re/z"),
    ("a", "", b"/rr/aXa", b"/rr/X"),
    ("^/rd6/(.*)$", r"/x/\1", b"/rd6/a/b", b"/x/a/b"),
    ("^/a", "/b", b"/c/a", b"/c/a"),
    ("(a)(b)?", r"<\2>", b"/a", b"/<>"),
    ("(a)", r"\10", b"/a", b"/a0"),
    ("a", r"\\0", b"/a", b"/\\0"),
    ("a", r"n\\n", b"/a", b"/n\\n"),
    ("a", "\n", b"/a", b"/\n"),
    ("é", "e", "/é".encode(), b"/e"),
]


@pytest.mark.parametrize(("pattern", "substitution", "given", "expected"), REWRITES)
def test_a_rewrite_replaces_every_match(pattern: str, substitution: str, given: bytes, expected: bytes) -> None:
    """As measured: ``\\0`` is the whole match, a reference has one digit."""
    assert RegexReplacement(RegexRewrite(pattern, substitution)).apply(given) == expected


@pytest.mark.parametrize(
    ("pattern", "substitution"), [("(", ""), ("a", r"\1"), ("(a)", r"\1\2"), ("a", "\\"), ("a", r"\x"), ("a", r"\g<0>")]
)
def test_a_rewrite_that_cannot_be_is_refused_by_name(pattern: str, substitution: str) -> None:
    with pytest.raises(MatcherError) as caught:
        RegexReplacement(RegexRewrite(pattern, substitution))
    assert repr(pattern) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "normal"),
    [(b'/a"b', b"/a%22b"), (b"/<{|}>", b"/%3C%7B%7C%7D%3E"), (b"/^`", b"/%5E%60"), (b"/[a]'(b)*", b"/[a]'(b)*")],
)
def test_characters_that_no_path_may_have_are_escaped_as_envoy_does(path: bytes, normal: bytes) -> None:
    assert normalize(path) == normal

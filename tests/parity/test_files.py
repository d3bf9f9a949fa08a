"""The case files themselves, and the page that is made of them."""

from collections import Counter

import pytest

from tests.parity.case_files import Case, CaseError, parsed, read_all
from tests.parity.outcomes import Normal, judged
from tests.parity.page import PAGE, rendered

FILES = read_all()
LEAST = 400


def test_there_are_many_cases_and_clusters_have_names_of_their_own() -> None:
    assert sum(len(file.cases) for file in FILES) >= LEAST
    clusters = Counter(cluster["name"] for file in FILES for cluster in file.config.get("clusters", ()))
    assert [name for name, count in clusters.items() if count > 1] == []


def test_the_page_is_that_of_the_cases() -> None:
    page = PAGE.read_text("utf-8")
    assert rendered(page) == page, "stale; run python -m tests.parity.page"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"about": "a", "cases": {"b": {"say": "x"}}}, "f/n: b: say: not known here"),
        ({"about": "a", "cases": {"b": {"stats": []}}}, "f/n: b: one of ask, raw, talk must be there"),
        ({"about": "a", "cases": {}}, "f/n: about and cases must be there"),
        ({"about": "a", "config": {"x": 1}, "cases": {"b": "GET /"}}, "f/n: config: x: not known here"),
        (
            {"about": "a", "cases": {"b": "GET /"}, "differs": [{"what": "x", "reason": "y", "cases": ["c"]}]},
            "f/n: .*'c'",
        ),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_place(document: object, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        parsed(document, "f", "n")


def test_what_is_said_of_some_cases_is_said_of_them_alone() -> None:
    verdicts = {
        "differs": [{"what": "body", "reason": "r", "cases": ["a"]}],
        "faults": [{"what": "log *", "reason": "s"}],
    }
    made = parsed({"about": "x", "cases": {"a": "GET /", "b": "GET /"}, **verdicts}, "f", "n")
    assert [case.differs for case in made.cases] == [{"body": "r"}, {}]
    assert [case.faults for case in made.cases] == [{"log *": "s"}] * 2


def test_a_difference_needs_a_word_and_a_word_a_difference() -> None:
    case = Case("a", "ask", "GET /", differs={"body": "on purpose"}, faults={"log *": "to be mended"})
    same = {"status": 200, "body": "a", "log code": "200"}
    assert judged(case, same, same) == ({}, {}, ["body", "log *"])
    assert judged(case, same, {"status": 200, "body": "b", "log code": "0"}) == ({}, {"log code": "to be mended"}, [])
    assert judged(case, same, {"status": 500, "body": "b", "log code": "0"}).left == {"status": (200, 500)}


def test_a_stricter_case_is_one_that_is_refused_before_any_server_sees_it() -> None:
    case = Case("a", "ask", "GET /", stricter="in doubt")
    refused = {"status": 400, "answer connection": "close"}
    assert judged(case, {"status": 200}, refused) == ({}, {}, [])
    assert judged(case, {"status": 400}, refused).gone == ["stricter"]
    assert judged(case, {"status": 200}, refused | {"seen": "one: GET / HTTP/1.1"}).gone == ["stricter"]


def test_what_varies_is_made_alike() -> None:
    normal = Normal({"one": 1234, "listener x": 80})
    assert normal.text("127.0.0.1:1234 127.0.0.1:80 127.0.0.1:9") == "<one> <listener x> <client>"
    assert normal.text("Thu, 26 Nov 2026 13:00:00 GMT") == "<date>"
    assert normal.text("11111111-2222-4333-8444-555555555555") == "<uuid>"
    fields = (("x-envoy-upstream-service-time", "3"), ("x-a", "1"), ("x-a", "2"))
    assert normal.fields(fields, "answer") == {"answer x-envoy-upstream-service-time": "<ms>", "answer x-a": "1, 2"}

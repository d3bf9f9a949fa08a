"""What the log says of an access that no policy allows."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from mesh_api.config import HeaderMatch, Rbac, RbacAction, RbacPolicy, StringMatch, StringMatchKind
from mesh_api.config.authorization import ANYTHING, AllOf, MetadataMatch, Not, PresentValue, Rule, UrlPath
from mesh_proxy.authorization import Access, compile_rules, explain
from mesh_proxy.authorization.denial import NAMED, Denials
from tests.support.authorization_strategies import RULES, accesses
from tests.unit.mesh_proxy.making import access, head

EXACT = StringMatchKind.EXACT
SECRET = "of-great-value"
GET = HeaderMatch(":method", match=StringMatch(EXACT, "GET"))
KEY = HeaderMatch("x-key", match=StringMatch(EXACT, SECRET))
HOME = UrlPath(StringMatch(EXACT, "/home"))


def allowing(*rules: Rule) -> Rbac:
    return Rbac(RbacAction.ALLOW, tuple(RbacPolicy(f"p{n}", (rule,), (ANYTHING,)) for n, rule in enumerate(rules)))


def failed(rules: Rbac, asked: Access) -> str:
    return Denials(rules).failed(asked)


def test_the_condition_that_failed_first_is_named_of_each_policy() -> None:
    asked = access(head("/home", "x-key: guessed", method="POST"))
    asked.head.path = b"/home"
    assert failed(allowing(AllOf((HOME, GET, KEY)), KEY), asked) == "p0:method,p1:request.headers[x-key]"
    assert failed(allowing(Not(HOME)), asked) == "p0:path"


def test_neither_what_is_wanted_nor_what_was_seen_is_told() -> None:
    told = failed(allowing(KEY, Not(KEY)), access(head("/", "x-key: guessed")))
    assert SECRET not in told
    assert "guessed" not in told


def test_of_many_policies_only_some_are_told_of() -> None:
    asked = access(head("/", method="POST"))
    assert failed(allowing(*[GET] * 4), asked) == "p0:method,p1:method,p2:method,..."
    assert failed(allowing(), asked) == ""


@settings(max_examples=300, deadline=None)
@given(RULES, accesses())
def test_what_is_said_is_what_the_explanation_says(rules: Rbac, asked: Access) -> None:
    rules = replace(rules, action=RbacAction.ALLOW)
    if compile_rules(rules)(asked).allowed:
        return
    misses = explain(rules, asked).misses[:NAMED]
    said = [f"{miss.policy}:{miss.clauses[0].subject}".replace(" ", "_") for miss in misses]
    assert failed(rules, asked) == ",".join(said)


class Looks(dict[str, object]):
    """Metadata that know how often a condition has looked into them."""

    looks = 0

    def get(self, key: str, default: object = None) -> object:
        self.looks += 1
        return default


@pytest.mark.parametrize(("conditions", "looks"), [(1, 0), (2, NAMED)])
def test_what_is_said_of_a_thousand_policies_costs_no_more_tests_than_of_three(conditions: int, looks: int) -> None:
    # What fails by one condition alone needs none; of two, the first is tested, and it was the other one if that holds.
    absent = MetadataMatch("f", ("a",), PresentValue(True))
    rules = allowing(*[AllOf((absent, KEY)[:conditions])] * 1000)
    seen = Looks()
    asked = access(head("/"), metadata=seen)
    assert failed(rules, asked).startswith("p0:metadata_f[a],p1:")
    assert seen.looks == looks

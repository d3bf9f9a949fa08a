"""What the log says of an access that no policy allows."""

from mesh_api.config import HeaderMatch, Rbac, RbacAction, RbacPolicy, StringMatch, StringMatchKind
from mesh_api.config.authorization import ANYTHING, AllOf, Not, Rule, UrlPath
from mesh_proxy.authorization.denial import failed
from tests.unit.mesh_proxy.making import access, head

EXACT = StringMatchKind.EXACT
SECRET = "of-great-value"
GET = HeaderMatch(":method", match=StringMatch(EXACT, "GET"))
KEY = HeaderMatch("x-key", match=StringMatch(EXACT, SECRET))
HOME = UrlPath(StringMatch(EXACT, "/home"))


def allowing(*rules: Rule) -> Rbac:
    return Rbac(RbacAction.ALLOW, tuple(RbacPolicy(f"p{n}", (rule,), (ANYTHING,)) for n, rule in enumerate(rules)))


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

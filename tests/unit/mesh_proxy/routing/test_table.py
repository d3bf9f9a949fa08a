"""Which route a request takes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import (
    CorsPolicy,
    DirectResponse,
    HeaderMatch,
    PathMatch,
    PathMatchKind,
    QueryParameterMatch,
    Redirect,
    RegexRewrite,
    Route,
    RouteAction,
    RouteConfiguration,
    RouteMatch,
    StringMatch,
    StringMatchKind,
    VirtualHost,
    WeightedCluster,
)
from mesh_api.config.routes import MILLION
from mesh_proxy.routing.matchers import MatcherError, full_match
from mesh_proxy.routing.path_tests import beginning, path_test
from mesh_proxy.routing.table import CompiledRoute, RouteTable, without_port
from tests.unit.mesh_proxy.making import compiled, dice, head, match, name_of, route, table

EXACT, PREFIX = PathMatchKind.EXACT, PathMatchKind.PREFIX
SEPARATED, REGEX = PathMatchKind.PATH_SEPARATED_PREFIX, PathMatchKind.REGEX

PATHS = [
    (EXACT, "/a", True, [b"/a"], [b"/", b"/a/", b"/ab", b"/A"]),
    (EXACT, "/Case", False, [b"/case", b"/CASE"], [b"/cases"]),
    (PREFIX, "/a", True, [b"/a", b"/ab", b"/a/b"], [b"/", b"/A", b"/b/a"]),
    (PREFIX, "/A", False, [b"/a", b"/Ab"], [b"/b"]),
    (PREFIX, "/", True, [b"/", b"/a"], [b"*"]),
    (SEPARATED, "/psp", True, [b"/psp", b"/psp/", b"/psp/a"], [b"/pspx", b"/", b"/PSP"]),
    (SEPARATED, "/psp", False, [b"/PSP", b"/Psp/a"], [b"/PSPX"]),
    (REGEX, "/rx[0-9]+", True, [b"/rx1", b"/rx12"], [b"/rx1/", b"/rx", b"/a/rx1", b"/RX1"]),
    (REGEX, "/rx", False, [b"/rx"], [b"/RX"]),
]


@pytest.mark.parametrize(("kind", "value", "case_sensitive", "holds", "fails"), PATHS)
def test_a_path_is_compared_as_its_kind_says(
    kind: PathMatchKind, value: str, case_sensitive: bool, holds: list[bytes], fails: list[bytes]
) -> None:
    test = path_test(PathMatch(kind, value, case_sensitive))
    assert [path for path in holds + fails if test.holds(path)] == holds


EXPRESSIONS = st.from_regex(r"(?:[/a?*+(|){}.\\-]|\(\?i\)|\{0,2\}){0,8}", fullmatch=True)


@given(EXPRESSIONS, st.text("/aA-", max_size=6))
def test_a_path_is_not_asked_of_an_expression_only_where_it_would_not_match(pattern: str, path: str) -> None:
    try:
        found = full_match(pattern)(path.encode())
    except MatcherError:
        return
    assert path_test(PathMatch(REGEX, pattern)).holds(path.encode()) is found


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("/v[0-9]+/x", b"/v"),
        ("/ab?c", b"/a"),
        ("/a{0}", b"/"),
        ("/ab(?i)?", b"/a"),
        ("/a|b", b""),
        ("(?i)/a", b""),
        ("/a.b", b"/a"),
        ("", b""),
    ],
)
def test_the_beginning_of_an_expression_is_what_is_plain_to_see(pattern: str, expected: bytes) -> None:
    assert beginning(pattern) == expected


def domains(*groups: tuple[str, ...], ignore_port: bool = False) -> RouteTable:
    hosts = tuple(VirtualHost(group[0], group, ()) for group in groups)
    return RouteTable(RouteConfiguration("r", hosts, ignore_port_in_host_matching=ignore_port))


def host_of(routes: RouteTable, authority: bytes) -> str | None:
    found = routes.host(authority)
    return None if found is None else found.config.name


HOSTS = domains(
    ("*",),
    ("*.example",),
    ("*.b.example",),
    ("b.*",),
    ("b.c.*",),
    ("a.b.example", "a.b.example:80"),
    ("*-x.example:8080",),
    ("c.example:90",),
)


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"a.b.example", "a.b.example"),
        (b"A.B.EXAMPLE", "a.b.example"),
        (b"a.b.example:80", "a.b.example"),
        (b"a.b.example:81", "*"),
        (b"c.b.example", "*.b.example"),
        (b"x.c.b.example", "*.b.example"),
        (b"b.example", "*.example"),
        (b"b.c.example", "*.example"),
        (b"b.c.d", "b.c.*"),
        (b"b.d", "b.*"),
        (b".example", "*"),
        (b"b.", "*"),
        (b"example", "*"),
        (b"a-x.example:8080", "*-x.example:8080"),
        (b"c.example:90", "c.example:90"),
        (b"c.example", "*.example"),
        (b"", "*"),
    ],
)
def test_a_host_is_found_exactly_then_by_the_longest_suffix_then_by_the_longest_prefix(
    authority: bytes, expected: str
) -> None:
    assert host_of(HOSTS, authority) == expected


def test_a_host_that_nothing_fits_is_none() -> None:
    assert host_of(domains(("a",), ("*.b",)), b"b") is None


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        (b"a", "a"),
        (b"a:80", "a"),
        (b"A:443", "a"),
        (b"x.b:1", "*.b"),
        (b"c.x:1", "c.*"),
        (b"[::1]:80", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"a:x", None),
        (b"a:", None),
    ],
)
def test_the_port_of_a_host_does_not_count_where_it_is_to_be_ignored(authority: bytes, expected: str | None) -> None:
    routes = domains(("a",), ("*.b",), ("c.*",), ("[::1]",), ignore_port=True)
    assert host_of(routes, authority) == expected


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(b"a:80", b"a"), (b"a", b"a"), (b"a:", b"a:"), (b"a:b", b"a:b"), (b"[::1]:80", b"[::1]"), (b"[::1]", b"[::1]"),
     (b"::1", b"::1"), (b":80", b""), (b"", b"")],
)  # fmt: skip
def test_an_authority_without_its_port(authority: bytes, expected: bytes) -> None:
    assert without_port(authority) == expected


@pytest.mark.parametrize("groups", [(("a",), ("b", "A")), (("*",), ("*",)), (("*.a", "*.a"),), (("a*b",),)])
def test_domains_that_mean_two_things_are_refused_by_name(groups: tuple[tuple[str, ...], ...]) -> None:
    """As Envoy does."""
    with pytest.raises(MatcherError, match=r"virtual host .*: the domain "):
        domains(*groups)


def test_the_first_route_that_holds_is_taken() -> None:
    routes = table(
        route("/a/b", name="first"),
        route("/a", name="second"),
        route("/a/b/c", name="never"),
        route(match("/", EXACT), name="root"),
    )
    assert name_of(routes, head("/a/b/c")) == "first"
    assert name_of(routes, head("/a/c")) == "second"
    assert name_of(routes, head("/")) == "root"
    assert name_of(routes, head("/b")) is None


def test_all_conditions_of_a_route_must_hold() -> None:
    value = StringMatch(StringMatchKind.EXACT, "1")
    conditions = match("/a", headers=(HeaderMatch("x", value),), query_parameters=(QueryParameterMatch("q", value),))
    routes = table(route(conditions, name="all"), route(name="rest"))
    assert name_of(routes, head("/a?q=1", "x: 1")) == "all"
    for request in (head("/a?q=1"), head("/a", "x: 1"), head("/b?q=1", "x: 1"), head("/a?q=2", "x: 1")):
        assert name_of(routes, request) == "rest"


def test_a_path_seen_before_takes_its_route_by_the_other_conditions_again() -> None:
    routes = table(route(match("/", headers=(HeaderMatch("x"),)), name="with"), route(name="without"))
    for _ in range(2):
        assert name_of(routes, head("/a", "x: 1")) == "with"
        assert name_of(routes, head("/a")) == "without"


def test_many_different_and_long_paths_find_their_routes() -> None:
    routes = table(route("/a", name="a"), route("/b", name="b"))
    for number in range(5000):
        assert name_of(routes, head(f"/a{number}")) == "a"
    assert name_of(routes, head("/b" + "x" * 50_000)) == "b"
    assert name_of(routes, head("/c")) is None


def test_a_query_does_not_count_as_path() -> None:
    routes = table(route(match("/a", EXACT), name="a"))
    assert name_of(routes, head("/a?/b")) == "a"
    assert name_of(routes, head("/a?")) == "a"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("application/grpc", "grpc"),
        ("application/grpc+proto", "grpc"),
        ("application/grpc-web", "rest"),
        ("application/grpc; charset=x", "rest"),
        ("Application/GRPC", "rest"),
        ("text/plain", "rest"),
    ],
)
def test_a_route_for_grpc_takes_calls_of_grpc_only(kind: str, expected: str) -> None:
    """As measured on Envoy 1.40."""
    routes = table(route(match(grpc_only=True), name="grpc"), route(name="rest"))
    assert name_of(routes, head("/s/m", f"content-type: {kind}")) == expected


@pytest.mark.parametrize(
    ("fraction", "number", "expected"),
    [
        (0, 0.0, "rest"),
        (1, 0.0, "some"),
        (1, 0.000001, "rest"),
        (250_000, 0.249999, "some"),
        (250_000, 0.25, "rest"),
        (MILLION, 0.9999999, "some"),
    ],
)
def test_a_fraction_takes_its_share(fraction: int, number: float, expected: str) -> None:
    routes = table(route(match(runtime_fraction=fraction), name="some"), route(name="rest"))
    assert name_of(routes, head(), dice(number)) == expected


def test_no_chance_is_taken_where_the_other_conditions_fail() -> None:
    routes = table(route(match("/a", runtime_fraction=MILLION), name="some"), route(name="rest"))
    assert name_of(routes, head("/b"), dice()) == "rest"


def weighted(*weights: int) -> RouteAction:
    return RouteAction(
        weighted_clusters=tuple(WeightedCluster(f"c{place}", weight) for place, weight in enumerate(weights))
    )


def place(made: CompiledRoute, number: float) -> int:
    return made.destinations.index(made.choose(number, head()))


CHOICES = [
    ((1, 3), [(0.0, 0), (0.2499, 0), (0.25, 1), (0.9999, 1)]),
    ((0, 5), [(0.0, 1), (0.9999, 1)]),
    ((5, 0), [(0.0, 0), (0.9999, 0)]),
    ((2, 0, 2), [(0.4999, 0), (0.5, 2)]),
    ((90, 9, 1), [(0.8999, 0), (0.9, 1), (0.9899, 1), (0.99, 2), (0.9999, 2)]),
    ((7,), [(0.0, 0), (0.9999, 0)]),
    ((0, 0), [(0.5, 0)]),
]


@pytest.mark.parametrize(("weights", "chosen"), CHOICES)
def test_a_destination_is_chosen_by_its_weight_over_the_sum(
    weights: tuple[int, ...], chosen: list[tuple[float, int]]
) -> None:
    made = compiled(route(action=weighted(*weights)))
    assert [(number, place(made, number)) for number, _ in chosen] == chosen
    assert tuple(d.cluster for d in made.destinations) == tuple(f"c{place}" for place in range(len(weights)))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5).filter(any),
    st.floats(0, 1, exclude_max=True),
)
def test_a_destination_without_weight_is_never_chosen(weights: list[int], number: float) -> None:
    assert weights[place(compiled(route(action=weighted(*weights))), number)] > 0


def test_every_number_in_turn_gives_each_destination_its_exact_share() -> None:
    made = compiled(route(action=weighted(20, 30, 50)))
    chosen = [place(made, step / 100) for step in range(100)]
    assert [chosen.count(place) for place in range(3)] == [20, 30, 50]


def test_one_cluster_is_the_only_choice() -> None:
    made = compiled(route(action=RouteAction("one")))
    assert made.choose(0.7, head()).cluster == "one"


@pytest.mark.parametrize(("timeout", "seconds"), [(None, 15.0), (0.0, 0.0), (2.5, 2.5)])
def test_a_timeout_that_is_not_said_is_fifteen_seconds(timeout: float | None, seconds: float) -> None:
    assert compiled(route(action=RouteAction("c", timeout=timeout))).timeout == seconds


def test_a_route_does_one_thing() -> None:
    redirect, direct = Redirect(path="/x"), DirectResponse(503, b"no")
    assert compiled(route(action=redirect)).redirect is redirect
    assert compiled(route(action=direct)).direct is direct
    forwarding = compiled(route())
    assert (forwarding.redirect, forwarding.direct) == (None, None)


def test_the_cors_policy_of_a_route_comes_before_that_of_its_host() -> None:
    own, of_host = CorsPolicy(allow_methods="GET"), CorsPolicy(allow_methods="PUT")
    assert compiled(route(cors=own), cors=of_host).cors is own
    assert compiled(route(), cors=of_host).cors is of_host
    assert compiled(route()).cors is None


BAD = StringMatch(StringMatchKind.REGEX, "(")
REFUSED = [
    ("path", route(match("(", REGEX))),
    ("header", route(match(headers=(HeaderMatch("x", BAD),)))),
    ("query parameter", route(match(query_parameters=(QueryParameterMatch("q", BAD),)))),
    ("rewrite", route(action=RouteAction("c", regex_rewrite=RegexRewrite("(", "")))),
    ("redirect", route(action=Redirect(regex_rewrite=RegexRewrite("(", "")))),
    ("origin", route(cors=CorsPolicy(allow_origins=(BAD,)))),
]


@pytest.mark.parametrize("refused", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_an_expression_that_cannot_be_compiled_is_refused_with_its_host(refused: Route) -> None:
    with pytest.raises(MatcherError, match=r"virtual host v: '\(' is not a regular expression of RE2"):
        table(refused)


def test_a_path_of_the_other_hosts_does_not_matter() -> None:
    hosts = (
        VirtualHost("a", ("a",), (route("/x", name="a"),)),
        VirtualHost("b", ("b",), (route(RouteMatch(PathMatch(PREFIX, "/")), name="b"),)),
    )
    routes = RouteTable(RouteConfiguration("r", hosts))
    assert name_of(routes, head("/y", host="a")) is None
    assert name_of(routes, head("/x", host="a")) == "a"
    assert name_of(routes, head("/x", host="b")) == "b"

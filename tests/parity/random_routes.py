"""Random configurations of routing, and random requests for them, as case files; the same seed gives the same."""

import random
from typing import Any

from tests.parity.case_files import Case, CaseFile

PATHS = ("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/A", "/x", "/x/a", "/x/12", "/a;b", "/%61", "/x//y", "/a/../x")
QUERIES = ("", "", "", "?", "?q", "?q=1", "?q=a", "?p=1&q=2", "?q=a%20b", "?q=1&q=2")
PREFIXES = ("/", "/a", "/a/", "/ab", "/x", "/x/", "/A")
SEGMENTS = ("/a", "/a/b", "/x")
REGEXES = ("/a.*", "/[a-x]+", "/x/[0-9]+", ".*", "/a/(b|c)(/c)?", "(?i)/A")
HOSTS = ("test", "test:80", "shop.example", "a.shop.example", "a.example", "SHOP.example", "other")
DOMAINS = (("*",), ("shop.example", "test"), ("*.example",), ("*.shop.example", "a.*"), ("test:80", "other"))
VALUES = ("one", "two", "One", "", "12", "-3", "one, two")
STATUSES = (200, 200, 201, 204, 301, 404, 500, 503)
FAULT = "envoy.extensions.filters.http.fault.v3.HTTPFault"
CORS = "envoy.extensions.filters.http.cors.v3"
REGEX_REWRITES = (("^/(.*)$", "/r/\\1"), ("a", "bb"), ("/([a-z])/?", "/\\1-"))


def table(seed: int, requests: int) -> CaseFile:
    """A configuration, and so many requests."""
    dice = random.Random(seed)
    chosen = dice.sample(DOMAINS[1:], dice.randint(0, 3))
    hosts = [
        {
            "name": f"host{place}",
            "domains": list(domains),
            "routes": [_route(dice, f"{place}-{number}") for number in range(dice.randint(2, 7))],
            **_edits(dice, f"host{place}"),
        }
        for place, domains in enumerate([DOMAINS[0], *chosen])
    ]
    filters = [
        {"name": "envoy.filters.http.cors", "typed_config": {"@type": f"{CORS}.Cors"}},
        {"name": "envoy.filters.http.fault", "typed_config": {"@type": FAULT}},
    ]
    manager: dict[str, Any] = {"normalize_path": dice.random() < 0.5, "merge_slashes": dice.random() < 0.3}
    config = {
        "virtual_hosts": hosts,
        "filters": filters,
        "manager": manager,
        "table": {
            "validate_clusters": False,
            "ignore_port_in_host_matching": dice.random() < 0.3,
            **_edits(dice, "table"),
        },
    }
    cases = tuple(_case(dice, number) for number in range(requests))
    return CaseFile("random", f"table{seed}", "Random routes.", config, cases)


def _route(dice: random.Random, name: str) -> dict[str, Any]:
    kind, match = _match(dice)
    made = {"name": name, "match": match, **_edits(dice, "route")}
    choice = dice.random()
    if choice < 0.25:
        made["direct_response"] = {"status": dice.choice((200, 403, 503)), "body": {"inline_string": name}}
    elif choice < 0.4:
        made["redirect"] = _redirect(dice, kind)
    else:
        made["route"] = _action(dice, kind)
        overrides = _overrides(dice)
        if overrides:
            made["typed_per_filter_config"] = overrides
    return made


def _match(dice: random.Random) -> tuple[str, dict[str, Any]]:
    kind = dice.choice(("prefix", "prefix", "path", "path_separated_prefix", "safe_regex"))
    if kind == "safe_regex":
        match: dict[str, Any] = {kind: {"regex": dice.choice(REGEXES)}}
    else:
        words = {"prefix": PREFIXES, "path": PATHS[:9], "path_separated_prefix": SEGMENTS}[kind]
        match = {kind: dice.choice(words)}
        if dice.random() < 0.2:
            match["case_sensitive"] = False
    if dice.random() < 0.3:
        match["headers"] = [_header(dice) for _ in range(dice.randint(1, 2))]
    if dice.random() < 0.15:
        how = dice.choice(({"present_match": True}, {"string_match": _string(dice)}))
        match["query_parameters"] = [{"name": "q", **how}]
    return kind, match


def _header(dice: random.Random) -> dict[str, Any]:
    name = dice.choice(("x-a", "x-b", "x-n", ":method"))
    if name == ":method":
        return {"name": name, "string_match": {"exact": dice.choice(("GET", "POST"))}}
    how: dict[str, Any] = dice.choice(
        (
            {"present_match": dice.random() < 0.5},
            {"string_match": _string(dice)},
            {"range_match": {"start": -5, "end": 12}},
        )
    )
    made = {"name": name, **how}
    if dice.random() < 0.3:
        made["invert_match"] = True
    if dice.random() < 0.2:
        made["treat_missing_header_as_empty"] = True
    return made


def _string(dice: random.Random) -> dict[str, Any]:
    kind = dice.choice(("exact", "prefix", "suffix", "contains", "safe_regex"))
    if kind == "safe_regex":
        return {kind: {"regex": dice.choice(("o.e", "[0-9]*", ".*"))}}
    made: dict[str, Any] = {kind: dice.choice(("one", "o", "e", "1", "a"))}
    if dice.random() < 0.3:
        made["ignore_case"] = True
    return made


def _redirect(dice: random.Random, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {"response_code": dice.choice(("MOVED_PERMANENTLY", "FOUND", "TEMPORARY_REDIRECT"))}
    if dice.random() < 0.4:
        made["host_redirect"] = "new.example"
    if dice.random() < 0.3:
        made |= dice.choice(({"https_redirect": True}, {"scheme_redirect": "https"}))
    if dice.random() < 0.3:
        made["port_redirect"] = dice.choice((80, 443, 8080))
    if dice.random() < 0.7:
        made |= dice.choice(({"path_redirect": "/new"}, {"path_redirect": "/new?mine=1"}, _rewrite(dice, kind)))
    if dice.random() < 0.3:
        made["strip_query"] = True
    return made


def _rewrite(dice: random.Random, kind: str) -> dict[str, Any]:
    if kind == "safe_regex" or dice.random() < 0.3:
        pattern, substitution = dice.choice(REGEX_REWRITES)
        return {"regex_rewrite": {"pattern": {"regex": pattern}, "substitution": substitution}}
    return {"prefix_rewrite": dice.choice(("/", "/new", "/new/"))}


def _action(dice: random.Random, kind: str) -> dict[str, Any]:
    made: dict[str, Any] = {"timeout": dice.choice(("0s", "5s", "15s"))}
    if dice.random() < 0.2:
        chosen = dice.choice(("one", "two"))
        weighted = {"name": chosen, "weight": 10, **_edits(dice, "weighted")}
        made["weighted_clusters"] = {"clusters": [weighted, {"name": "three", "weight": 0}]}
    else:
        made["cluster"] = dice.choice(("one", "two", "echo", "echo", "nobody", "unknown"))
    if dice.random() < 0.3:
        made |= _rewrite(dice, kind)
    if dice.random() < 0.4:
        made["retry_policy"] = {
            "retry_on": ",".join(dice.sample(("5xx", "gateway-error", "reset", "connect-failure", "retriable-4xx"), 2)),
            "num_retries": dice.randint(0, 2),
            "retry_back_off": {"base_interval": "0.001s"},
        }
    return made


def _overrides(dice: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if dice.random() < 0.15:
        percentage = {"percentage": {"numerator": dice.choice((0, 100))}}
        abort = {"http_status": dice.choice((418, 503)), **percentage}
        made["envoy.filters.http.fault"] = {"@type": FAULT, "abort": abort}
    if dice.random() < 0.2:
        policy: dict[str, Any] = {"allow_origin_string_match": [{"suffix": ".example"}], "allow_methods": "GET,PUT"}
        if dice.random() < 0.5:
            policy |= {"allow_credentials": True, "expose_headers": "x-b", "max_age": "60"}
        made["envoy.filters.http.cors"] = {"@type": f"{CORS}.CorsPolicy", **policy}
    return made


def _edits(dice: random.Random, who: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    actions = ("APPEND_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS_OR_ADD")
    for side in ("request", "response"):
        if dice.random() < 0.3:
            header = {"key": dice.choice(("x-a", "x-w", "x-who")), "value": who}
            made[f"{side}_headers_to_add"] = [{"header": header, "append_action": dice.choice(actions)}]
        if dice.random() < 0.2:
            made[f"{side}_headers_to_remove"] = [dice.choice(("x-a", "x-b", "x-w"))]
    return made


def _case(dice: random.Random, number: int) -> Case:
    method = dice.choice(("GET", "GET", "GET", "POST", "PUT", "OPTIONS"))
    request: dict[str, Any] = {"line": f"{method} {dice.choice(PATHS)}{dice.choice(QUERIES)}"}
    headers: list[tuple[str, str]] = [("host", dice.choice(HOSTS))]
    headers += [(name, dice.choice(VALUES)) for name in ("x-a", "x-b", "x-n", "x-w") if dice.random() < 0.3]
    if dice.random() < 0.2:
        headers.append(("origin", dice.choice(("https://a.example", "https://bad"))))
        if dice.random() < 0.5:
            headers.append(("access-control-request-method", "PUT"))
    request["headers"] = headers
    if method in ("POST", "PUT"):
        request |= dice.choice(({"body": ""}, {"body": "abc"}, {"chunks": ["ab", "c"]}))
    answers = [_answer(dice) for _ in range(dice.randint(1, 3))]
    return Case(f"{number}: {request['line']}", "ask", request, servers={"*": answers})


def _answer(dice: random.Random) -> dict[str, Any]:
    if dice.random() < 0.1:
        return {"close": True}
    made: dict[str, Any] = {"status": dice.choice(STATUSES)}
    if dice.random() < 0.5:
        made["headers"] = {"x-b": "theirs", "x-w": dice.choice(("1", "2"))}
    if made["status"] != 204:
        made |= dice.choice(({}, {"chunks": ["ab", "c"]}, {"body": ""}))
    return made

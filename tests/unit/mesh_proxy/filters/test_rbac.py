"""The gate of authorization: who is answered how, and what is counted."""

from typing import Any

import pytest

from mesh_api.config import (
    FaultFilter,
    FaultPolicy,
    HeaderMatch,
    Rbac,
    RbacAction,
    RbacFilter,
    RbacPolicy,
    RouterFilter,
)
from mesh_api.config.authorization import ANYTHING
from mesh_api.config.routes import MILLION
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters import Answer, compile_filters
from mesh_proxy.filters.rbac import RbacGate
from mesh_proxy.telemetry.stats import Counters
from tests.unit.mesh_proxy.making import access, answer, compiled, dice, head, route

DENY = Rbac(RbacAction.DENY, (RbacPolicy("ns[a]-policy[b]-rule[0]", (HeaderMatch("x-bad"),), (ANYTHING,)),))
ALLOW = Rbac(RbacAction.ALLOW, (RbacPolicy("only good", (HeaderMatch("x-good"),), (ANYTHING,)),))


def asked(config: RbacFilter, *lines: str, counters: Counters | None = None, routed: bool = True) -> Any:
    request = head("/", *lines)
    gate = RbacGate(config, counters or Counters("http.s"))
    return gate.on_request(request, compiled(route()) if routed else None, dice(), access(request))


@pytest.mark.parametrize("routed", [True, False])
def test_who_may_not_gets_403_with_the_policy_in_the_log(routed: bool) -> None:
    details = "rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]"
    denied = Answer(LocalReply(403, "", details, b"RBAC: access denied"))
    assert asked(RbacFilter(DENY), "x-bad: 1", routed=routed) == denied
    assert asked(RbacFilter(DENY), routed=routed) is None


def test_without_a_policy_that_allows_the_log_says_none() -> None:
    verdict = asked(RbacFilter(ALLOW))
    assert verdict.reply.details == "rbac_access_denied_matched_policy[none]{only_good:request.headers[x-good]}"
    assert asked(RbacFilter(ALLOW), "x-good: 1") is None


def test_clients_of_grpc_are_told_in_their_way() -> None:
    verdict = asked(RbacFilter(ALLOW), "content-type: application/grpc")
    assert (verdict.reply.status, verdict.reply.body) == (200, b"")
    assert dict(verdict.fields)[b"grpc-status"] == b"7"


def test_shadow_rules_are_counted_and_refuse_nobody() -> None:
    counters = Counters("http.s")
    config = RbacFilter(shadow_rules=ALLOW, shadow_rules_stat_prefix="istio_dry_run_allow_")
    for lines in ((), ("x-good: 1",), ()):
        assert asked(config, *lines, counters=counters) is None
    assert counters.named() == {
        "http.s.rbac.istio_dry_run_allow_.shadow_denied": 2,
        "http.s.rbac.istio_dry_run_allow_.shadow_allowed": 1,
    }


def test_what_is_decided_is_counted() -> None:
    counters = Counters("http.s")
    for lines in ((), ("x-bad: 1",), ()):
        asked(RbacFilter(DENY, rules_stat_prefix="p_"), *lines, counters=counters)
    assert counters.named() == {"http.s.rbac.p_.allowed": 2, "http.s.rbac.p_.denied": 1}


def test_it_concerns_every_request_and_says_nothing_of_answers() -> None:
    gate = RbacGate(RbacFilter(), Counters("http.s"))
    assert gate.concerns(None)
    assert gate.concerns(compiled(route()))
    fields = answer("a: b").fields
    assert gate.on_response(head(), compiled(route()), fields) is fields


def test_filters_without_a_route_are_asked_only_where_they_decide_about_it() -> None:
    configs = (FaultFilter(), RbacFilter(), RouterFilter())
    with_fault = compiled(route(fault=FaultPolicy(abort_http_status=503, abort_fraction=MILLION)))
    made = compile_filters(configs, Counters("http.s"))
    assert [type(item).__name__ for item in made if item.concerns(None)] == ["RbacGate"]
    assert [type(item).__name__ for item in made if item.concerns(with_fault)] == ["Fault", "RbacGate"]

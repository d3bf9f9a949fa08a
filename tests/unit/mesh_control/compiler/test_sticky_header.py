"""A VirtualService that keeps users by a header: the flag and the policy of its routes with several destinations."""

import pytest

from mesh_api.config import HashPolicy
from mesh_api.xds.json import resource_to_json
from tests.unit.mesh_control.worlds import ORDER, action, by_name, compiled, routes

RULE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: order}
spec: {host: order, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]%s}
---
"""
SERVICE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: order%s}
spec:
  hosts: [order]
  http: [{route: [%s]}]
"""
STICKY = ", annotations: {meshwright.io/sticky-header: X-User}"
POLICY = HashPolicy(header="x-user", terminal=True)
SESSION = HashPolicy(header="X-Session")
HASHED = ", trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: X-Session}}}"


def to(**weights: int) -> str:
    return ", ".join(
        f"{{destination: {{host: order, subset: {subset}}}, weight: {weight}}}" for subset, weight in weights.items()
    )


@pytest.mark.parametrize(
    ("annotations", "weights", "balancing", "flag", "policies"),
    [
        (STICKY, {"v2": 20, "v1": 80}, "", True, (POLICY,)),
        ("", {"v2": 20, "v1": 80}, "", False, ()),
        (STICKY, {"v2": 100, "v1": 0}, "", False, ()),
        (STICKY, {"v1": 100}, "", False, ()),
        (STICKY, {"v2": 20, "v1": 80}, HASHED, True, (POLICY, SESSION, SESSION)),
        ("", {"v2": 20, "v1": 80}, HASHED, False, (SESSION, SESSION)),
    ],
)
def test_routes(
    annotations: str, weights: dict[str, int], balancing: str, flag: bool, policies: tuple[HashPolicy, ...]
) -> None:
    config = compiled(RULE % balancing + SERVICE % (annotations, to(**weights)))
    (route,) = routes(config, "8380", ORDER)
    made = action(route)
    assert (made.use_hash_policy, made.hash_policies) == (flag, policies)
    written = resource_to_json(by_name(config.routes)["8380"])
    assert ("'use_hash_policy': True" in str(written) or "'useHashPolicy': True" in str(written)) is flag


def test_only_a_hash_that_balances_keeps_retries_from_other_hosts() -> None:
    (route,) = routes(compiled(RULE % "" + SERVICE % (STICKY, to(v2=20, v1=80))), "8380", ORDER)
    retry = action(route).retry
    assert retry is not None
    assert retry.avoid_previous_hosts

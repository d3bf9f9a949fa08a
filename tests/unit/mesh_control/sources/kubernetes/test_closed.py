"""Policies that got past the webhook and could never be used: the doors that they are for are shut, and they are told so."""

from typing import Any

import pytest

from mesh_control import validate
from mesh_control.sources.kubernetes import status
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.closed import DENIED, MUTUAL, NOTHING
from mesh_control.sources.kubernetes.gateway_objects import Memo, told
from mesh_control.sources.kubernetes.mirror import Mirror
from mesh_control.sources.kubernetes.resources import Collection
from mesh_control.sources.kubernetes.source import Cluster
from mesh_control.sources.kubernetes.status import Proxies
from mesh_control.world import World
from mesh_policy import AuthorizationPolicy, PeerAuthentication, Policy

Value = dict[str, Any]
SECURITY, GATEWAY_API = "security.istio.io", "gateway.networking.k8s.io"
COLLECTIONS = {
    found.kind: found
    for found in (
        Collection(SECURITY, "v1", "authorizationpolicies", "AuthorizationPolicy"),
        Collection(SECURITY, "v1", "peerauthentications", "PeerAuthentication"),
        Collection(SECURITY, "v1", "requestauthentications", "RequestAuthentication"),
        Collection("networking.istio.io", "v1", "destinationrules", "DestinationRule"),
        Collection("networking.istio.io", "v1alpha3", "envoyfilters", "EnvoyFilter"),
        Collection("extensions.istio.io", "v1alpha1", "wasmplugins", "WasmPlugin"),
        Collection(GATEWAY_API, "v1", "gateways", "Gateway"),
        Collection(GATEWAY_API, "v1", "gatewayclasses", "GatewayClass", namespaced=False),
    )
}
SELECTED = {"selector": {"matchLabels": {"app": "shop"}}}
BAD = [{"from": [{"source": {}}]}]
"""Rules of which nobody knows what they mean."""
GOOD = [{"to": [{"operation": {"methods": ["GET"]}}]}]


def refuse(policy: Policy) -> list[str]:
    return [str(finding) for finding in validate.unsupported(policy)]


def entry(kind: str, version: int = 1, uid: str = "1", annotations: Value | None = None, **spec: Any) -> Value:
    place = {} if kind == "GatewayClass" else {"namespace": "shop"}
    times = {"creationTimestamp": "2026-08-01T00:00:00Z", "generation": version, "resourceVersion": str(version)}
    metadata = {"name": "any", "uid": uid, **place, **times, "annotations": annotations or {}}
    return {"metadata": metadata, "spec": spec}


class Known:
    """A cluster and the mirrors that it would have."""

    def __init__(self) -> None:
        self.cluster = Cluster(Access("https://127.0.0.1:1"), refuse=refuse)
        for collection in COLLECTIONS.values():
            self.cluster.mirrors[collection] = self.cluster._mirror(collection)

    def listed(self, kind: str, *values: Value) -> None:
        mirror = self.mirror(kind)
        mirror.reflector.on_page(values, "1", "")
        mirror.take()

    def mirror(self, kind: str) -> Mirror:
        return self.cluster.mirrors[COLLECTIONS[kind]]

    def policies(self) -> tuple[Policy, ...]:
        return self.cluster.read().policies

    def problem(self, kind: str) -> str:
        return next(iter(self.mirror(kind).broken.values()), "")


@pytest.mark.parametrize(
    ("spec", "action", "rules", "words"),
    [
        ({"rules": BAD}, "ALLOW", None, NOTHING),
        ({"action": "ALLOW", "rules": BAD}, "ALLOW", None, NOTHING),
        ({"action": "ALLOW", "rules": "any"}, "ALLOW", None, NOTHING),
        ({"action": "DENY", "rules": BAD}, "DENY", 1, DENIED),
        ({"action": "DENY"}, "DENY", 1, DENIED),
        ({"action": "CUSTOM", "provider": {}, "rules": GOOD}, "DENY", 1, DENIED),
        ({"action": "DENIED", "rules": GOOD}, "DENY", 1, DENIED),
    ],
)
@pytest.mark.parametrize("whom", [SELECTED, {}])
def test_an_authorization_policy_refuses_what_it_may_have_been_for(
    spec: Value, action: str, rules: int | None, words: str, whom: Value
) -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", **whom, **spec))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert (found.metadata.name, found.metadata.namespace) == ("any", "shop")
    assert found.spec.action == action
    assert len(found.spec.rules or ()) == (rules or 0)
    assert not any(rule.from_ or rule.to or rule.when for rule in found.spec.rules or ())
    labels = found.spec.selector.match_labels if found.spec.selector is not None else None
    assert labels == (SELECTED["selector"]["matchLabels"] if whom else None)
    assert known.problem("AuthorizationPolicy").endswith(f"; until it can be used, {words}")
    assert refuse(found) == []


@pytest.mark.parametrize(
    "selector", ["any", {"matchLabels": {"app": "*"}}, {"matchLabels": {"": ""}}, {"labels": {}}, []]
)
def test_one_of_which_nobody_knows_whom_it_is_for_is_for_all(selector: object) -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", selector=selector, rules=BAD))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert found.spec.selector is None
    assert found.metadata.namespace == "shop"


@pytest.mark.parametrize(
    ("annotations", "spec"),
    [({"istio.io/dry-run": "true"}, {"rules": BAD}), ({}, {"action": "AUDIT", "rules": BAD})],
)
def test_one_that_would_refuse_nobody_refuses_nobody(annotations: Value, spec: Value) -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", annotations=annotations, **spec))
    assert known.policies() == ()
    assert known.problem("AuthorizationPolicy")


def test_a_peer_authentication_asks_for_mutual_tls() -> None:
    known = Known()
    known.listed("PeerAuthentication", entry("PeerAuthentication", portLevelMtls={"80": {"mode": "DISABLE"}}))
    (found,) = known.policies()
    assert isinstance(found, PeerAuthentication)
    assert found.spec.mtls is not None
    assert (found.spec.mtls.mode, found.spec.port_level_mtls) == ("STRICT", None)
    assert known.problem("PeerAuthentication").endswith(f"; until it can be used, {MUTUAL}")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("RequestAuthentication", {"jwtRules": [{"issuer": ""}]}),
        ("DestinationRule", {"host": ""}),
        ("EnvoyFilter", {"configPatches": []}),
        ("WasmPlugin", {"url": "oci://any"}),
    ],
)
def test_of_others_nothing_is_in_force_and_they_are_told(kind: str, spec: Value) -> None:
    known = Known()
    value = entry(kind, **spec)
    known.listed(kind, value)
    assert known.policies() == ()
    problem = known.problem(kind)
    assert problem.startswith(f"kubernetes: {kind} shop/any: ")
    assert problem in "\n".join(known.cluster.read().problems)
    conditions = status.conditions(problem, False, Proxies())
    assert [(condition.holds, condition.reason) for condition in conditions] == [(False, "Invalid")] * 3
    event = status.event(value, conditions)
    assert event is not None
    assert (event.warning, event.reason) == (True, "Invalid")


def test_what_it_said_before_comes_before_what_shuts() -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 1, rules=GOOD))
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 2, rules=BAD))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert found.spec.rules
    assert known.problem("AuthorizationPolicy").endswith("; what it said before stays in force")
    known.listed("AuthorizationPolicy")  # deleted, and another one made of its name
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 3, "2", rules=BAD))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert not found.spec.rules


def test_it_opens_when_it_can_be_used_and_goes_with_the_object() -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 1, rules=BAD))
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 2, rules=GOOD))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert found.spec.rules
    assert not known.problem("AuthorizationPolicy")
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 3, "2", rules=BAD))
    known.listed("AuthorizationPolicy")
    assert known.policies() == ()


def test_what_another_replica_kept_of_it_comes_before_what_shuts() -> None:
    known = Known()
    known.listed("AuthorizationPolicy", entry("AuthorizationPolicy", 2, rules=BAD))
    assert known.problem("AuthorizationPolicy").endswith(NOTHING)
    mirror = known.mirror("AuthorizationPolicy")
    assert mirror.restore(("shop", "any"), entry("AuthorizationPolicy", 1, rules=GOOD))
    (found,) = known.policies()
    assert isinstance(found, AuthorizationPolicy)
    assert found.spec.rules
    assert known.problem("AuthorizationPolicy").endswith("; what it said before stays in force")
    assert NOTHING not in known.problem("AuthorizationPolicy")


def told_of_class(known: Known, version: int, **spec: Any) -> Value:
    value = entry("GatewayClass", version, controllerName=known.cluster.controller, **spec)
    value["metadata"]["name"] = "meshwright"
    known.listed("GatewayClass", value)
    (condition,) = statuses(known)["GatewayClass"]["conditions"]
    return dict(condition)


def statuses(known: Known) -> dict[str, Value]:
    parts = known.cluster.read()
    world = World.of((), (), parts.policies, surroundings=parts.surroundings)
    found = told(known.cluster, world, Proxies(), "2026-08-01T00:00:00Z", Memo())
    return {item.collection.kind: {**item.status, "event": item.event} for item in found}


@pytest.mark.parametrize(("class_name", "ours"), [("meshwright", True), ("other", False)])
def test_a_gateway_that_could_never_be_used_is_told_so_if_it_is_ours(class_name: str, ours: bool) -> None:
    known = Known()
    value = entry("Gateway", gatewayClassName=class_name, listeners=[{"name": "a", "port": 1, "protocol": "UDP"}])
    known.listed("Gateway", value)
    found = statuses(known)
    assert ("Gateway" in found) is ours
    if ours:
        conditions = {c["type"]: (c["status"], c["reason"]) for c in found["Gateway"]["conditions"]}
        assert conditions == {"Accepted": ("False", "Invalid"), "Programmed": ("False", "Invalid")}
        assert "UDP is not supported yet" in found["Gateway"]["conditions"][0]["message"]
        assert (found["Gateway"]["event"].warning, found["Gateway"]["event"].reason) == (True, "Invalid")


def test_a_gateway_class_that_cannot_be_used_is_told_so() -> None:
    known = Known()
    reference = {"group": "", "kind": "ConfigMap", "name": "any", "namespace": "shop"}
    condition = told_of_class(known, 1, parametersRef=reference)
    assert (condition["type"], condition["status"], condition["reason"]) == ("Accepted", "False", "InvalidParameters")
    assert "spec.parametersRef" in condition["message"]
    condition = told_of_class(known, 2)
    assert (condition["status"], condition["reason"]) == ("True", "Accepted")

"""Where routes attach and what is granted, by the specification's rules."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_policy.gateway_api import Gateway, GRPCRoute, HTTPRoute, ReferenceGrant, TCPRoute, TLSRoute
from mesh_policy.gateway_api.attachment import (
    Parent,
    Reference,
    Refused,
    Route,
    allowed_kinds,
    attach,
    common_hostname,
    common_hostnames,
    is_granted,
)
from mesh_policy.gateway_api.listeners import Listener

GROUP = "gateway.networking.k8s.io"
LABELS = {"apps": {"team": "a"}, "other": {"team": "b"}}


def gateway(*listeners: dict[str, Any], name: str = "g", **more: Any) -> Gateway:
    return Gateway.of(name, {"gatewayClassName": "istio", "listeners": listeners, **more}, namespace="infra")


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> dict[str, Any]:
    return {"name": name, "port": port, "protocol": protocol, **more}


def from_(origin: str | None, selector: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"namespaces": {"from": origin, "selector": selector}}


def http(*parents: dict[str, Any], namespace: str = "infra", **more: Any) -> HTTPRoute:
    return HTTPRoute.of(
        "r", {"parentRefs": [{"name": "g", "namespace": "infra", **p} for p in parents], **more}, namespace
    )


def at(parents: tuple[Parent, ...]) -> list[str]:
    return [item.listener.name for parent in parents for item in parent.attachments]


TWO = gateway(listener(), listener("https", 443, "HTTPS", tls={"certificateRefs": [{"name": "c"}]}))


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ({}, ["http", "https"]),
        ({"sectionName": "https"}, ["https"]),
        ({"port": 80}, ["http"]),
        ({"sectionName": "http", "port": 80}, ["http"]),
        ({"sectionName": "http", "port": 443}, Refused.NO_PARENT),
        ({"sectionName": "else"}, Refused.NO_PARENT),
        ({"port": 81}, Refused.NO_PARENT),
        ({"name": "h"}, Refused.NO_PARENT),
        ({"namespace": "apps"}, Refused.NO_PARENT),
    ],
)
def test_a_reference_means_listeners_by_name_and_port(parent: dict[str, Any], expected: list[str] | Refused) -> None:
    (found,) = attach(http(parent), [TWO], {})
    assert (found.refused or at((found,))) == expected
    assert found.place == 0


def test_the_namespace_of_a_reference_is_that_of_the_route() -> None:
    route = HTTPRoute.of("r", {"parentRefs": [{"name": "g"}]}, "infra")
    assert at(attach(route, [TWO], {})) == ["http", "https"]


def test_parents_of_other_kinds_are_passed_over_and_places_kept() -> None:
    route = http({"kind": "Service", "group": ""}, {"sectionName": "http"})
    (found,) = attach(route, [TWO], {})
    assert (found.place, at((found,))) == (1, ["http"])


@pytest.mark.parametrize(
    ("allowed", "namespace", "taken"),
    [
        (None, "infra", True),
        (None, "apps", False),
        ({}, "apps", False),
        ({"namespaces": {}}, "apps", False),
        (from_("Same"), "infra", True),
        (from_("Same"), "apps", False),
        (from_("All"), "apps", True),
        (from_("Selector"), "infra", False),
        (from_("Selector", {}), "apps", True),
        (from_("Selector", {"matchLabels": {"team": "a"}}), "apps", True),
        (from_("Selector", {"matchLabels": {"team": "a"}}), "other", False),
        (from_("Selector", {"matchLabels": {"team": "a"}}), "unknown", False),
        (from_("Selector", {"matchLabels": {"kubernetes.io/metadata.name": "unknown"}}), "unknown", True),
        (from_("Selector", {"matchExpressions": [{"key": "team", "operator": "In", "values": ["b"]}]}), "other", True),
        (from_("Selector", {"matchExpressions": [{"key": "team", "operator": "In"}]}), "other", False),
        (
            from_("Selector", {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]}),
            "other",
            False,
        ),
        (
            from_("Selector", {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]}),
            "unknown",
            True,
        ),
        (from_("Selector", {"matchExpressions": [{"key": "team", "operator": "Exists"}]}), "apps", True),
        (from_("Selector", {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}), "apps", False),
        (from_("Selector", {"matchExpressions": [{"key": "team", "operator": "Whatever"}]}), "apps", False),
        (from_("Same", {"matchLabels": {"team": "a"}}), "apps", False),
    ],
)
def test_a_listener_allows_namespaces(allowed: dict[str, Any] | None, namespace: str, taken: bool) -> None:
    (found,) = attach(http({}, namespace=namespace), [gateway(listener(allowedRoutes=allowed))], LABELS)
    assert found.refused == (None if taken else Refused.NOT_ALLOWED)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (listener(), {"HTTPRoute", "GRPCRoute"}),
        (listener(protocol="HTTPS"), {"HTTPRoute", "GRPCRoute"}),
        (listener(protocol="TCP"), {"TCPRoute"}),
        (listener(protocol="UDP"), set()),
        (listener(protocol="TLS", tls={"mode": "Passthrough"}), {"TLSRoute"}),
        (listener(protocol="TLS", tls={"certificateRefs": [{"name": "c"}]}), {"TLSRoute", "TCPRoute"}),
        (listener(protocol="example.com/own"), set()),
        (listener(allowedRoutes={"kinds": [{"kind": "GRPCRoute"}]}), {"GRPCRoute"}),
        (listener(allowedRoutes={"kinds": []}), {"HTTPRoute", "GRPCRoute"}),
        (listener(allowedRoutes={"kinds": [{"kind": "TCPRoute"}]}), set()),
        (listener(allowedRoutes={"kinds": [{"kind": "HTTPRoute", "group": "example.com"}]}), set()),
    ],
)
def test_kinds_fit_the_protocol(spec: dict[str, Any], expected: set[str]) -> None:
    assert {kind for _, kind in allowed_kinds(Listener.model_validate(spec))} == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("test.example.com", "test.example.com", "test.example.com"),
        ("test.example.com", "example.com", None),
        ("*.example.com", "test.example.com", "test.example.com"),
        ("*.example.com", "foo.test.example.com", "foo.test.example.com"),
        ("*.example.com", "example.com", None),
        ("*.example.com", "*.example.com", "*.example.com"),
        ("*.example.com", "*.foo.example.com", "*.foo.example.com"),
        ("*.example.com", "*.example.net", None),
        ("*.example.com", "aexample.com", None),
        ("*.com", "*.example.com", "*.example.com"),
    ],
)
def test_host_names_in_common(one: str, other: str, expected: str | None) -> None:
    assert common_hostname(one, other) == expected
    assert common_hostname(other, one) == expected


_HOSTS = (
    st.lists(st.sampled_from(["*", "a", "b", "com"]), min_size=1, max_size=4)
    .map(lambda parts: ".".join(part for place, part in enumerate(parts) if part != "*" or place == 0))
    .filter(lambda host: host != "*")
)


def _matches(pattern: str, host: str) -> bool:
    own, wanted = host.split("."), pattern.split(".")
    if wanted[0] == "*":
        return len(own) >= len(wanted) and own[-len(wanted) + 1 :] == wanted[1:]
    return own == wanted


@given(_HOSTS, _HOSTS, st.lists(st.sampled_from(["a", "b", "com"]), min_size=1, max_size=5).map(".".join))
def test_what_is_in_common_matches_what_both_match(one: str, other: str, host: str) -> None:
    common = common_hostname(one, other)
    assert (common is not None and _matches(common, host)) == (_matches(one, host) and _matches(other, host))


SPEC = {"hostnames": ["a.example.com", "*.b.example.com", "c.example.net"]}
RULES = {"rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}


@pytest.mark.parametrize(
    ("hostname", "route", "expected"),
    [
        (None, HTTPRoute.of("r", SPEC), ("a.example.com", "*.b.example.com", "c.example.net")),
        (None, HTTPRoute.of("r", {}), ()),
        ("*.example.com", HTTPRoute.of("r", SPEC), ("a.example.com", "*.b.example.com")),
        ("*.example.com", GRPCRoute.of("r", SPEC), ("a.example.com", "*.b.example.com")),
        ("*.example.com", TLSRoute.of("r", SPEC | RULES), ("a.example.com", "*.b.example.com")),
        ("x.b.example.com", HTTPRoute.of("r", SPEC), ("x.b.example.com",)),
        ("*.example.org", HTTPRoute.of("r", SPEC), None),
        ("*.example.org", GRPCRoute.of("r", {}), ("*.example.org",)),
        ("*.example.org", TCPRoute.of("r", RULES), ()),
        ("x.com", HTTPRoute.of("r", {"hostnames": ["*.com", "x.com"]}), ("x.com",)),
    ],
)
def test_host_names_of_a_route_at_a_listener(
    hostname: str | None, route: Route, expected: tuple[str, ...] | None
) -> None:
    assert common_hostnames(Listener(name="a", port=1, protocol="HTTP", hostname=hostname), route) == expected


def test_a_route_without_a_host_in_common_says_so() -> None:
    own = gateway(listener(hostname="*.example.org"), listener("b", hostname="*.example.com"))
    (found,) = attach(http({}, hostnames=["a.example.com"]), [own], {})
    assert [(a.listener.name, a.hostnames) for a in found.attachments] == [("b", ("a.example.com",))]
    (none,) = attach(http({"sectionName": "http"}, hostnames=["a.example.com"]), [own], {})
    assert none.refused == Refused.NO_HOSTNAME


def test_default_gateways_need_not_be_named() -> None:
    default = gateway(listener(), name="d", defaultScope="All")
    route = http({}, useDefaultGateways="All")
    assert [(p.place, at((p,))) for p in attach(route, [TWO, default], {})] == [
        (0, ["http", "https"]),
        (None, ["http"]),
    ]
    assert attach(http(useDefaultGateways="None"), [default], {}) == ()
    assert attach(http(), [default], {}) == ()
    named = http({"name": "d"}, useDefaultGateways="All")
    assert [p.place for p in attach(named, [default], {})] == [0]


GRANT = ReferenceGrant.of(
    "a",
    {
        "from": [
            {"group": GROUP, "kind": "HTTPRoute", "namespace": "apps"},
            {"group": GROUP, "kind": "Gateway", "namespace": "infra"},
        ],
        "to": [{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret", "name": "tls"}],
    },
    "shop",
)


@pytest.mark.parametrize(
    ("referrer", "target", "expected"),
    [
        (("HTTPRoute", "apps"), ("Service", "shop", "any"), True),
        (("Gateway", "infra"), ("Secret", "shop", "tls"), True),
        (("Gateway", "infra"), ("Secret", "shop", "other"), False),
        (("HTTPRoute", "apps"), ("ConfigMap", "shop", "any"), False),
        (("HTTPRoute", "infra"), ("Service", "shop", "any"), False),
        (("GRPCRoute", "apps"), ("Service", "shop", "any"), False),
        (("HTTPRoute", "apps"), ("Service", "warehouse", "any"), False),
        (("GRPCRoute", "shop"), ("ConfigMap", "shop", "any"), True),
    ],
)
def test_grants(referrer: tuple[str, str], target: tuple[str, str, str], expected: bool) -> None:
    kind, namespace = referrer
    assert is_granted(Reference(GROUP, kind, namespace, "r"), Reference("", *target), [GRANT]) == expected


def test_a_grant_is_for_one_group() -> None:
    service = Reference("", "Service", "shop", "a")
    assert not is_granted(Reference("example.com", "HTTPRoute", "apps", "r"), service, [GRANT])
    assert not is_granted(
        Reference(GROUP, "HTTPRoute", "apps", "r"), Reference("example.com", "Service", "shop", "a"), [GRANT]
    )
    assert not is_granted(Reference(GROUP, "HTTPRoute", "apps", "r"), service, [])

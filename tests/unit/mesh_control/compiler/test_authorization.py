"""AuthorizationPolicies in the filters of a proxy: whom they are for, where they stand, and what becomes of a rule.

That the filters themselves are those of Istio is compared with what a real istiod sends (``test_istiod_parity``), and with
Istio's own examples (integration).
"""

import pytest

from mesh_api.config import HttpConnectionManager, Listener, NetworkRbac, Rbac, RbacAction, RbacFilter
from mesh_api.config.authorization import ANYTHING, AllOf, AnyOf, DestinationPort, Not
from mesh_api.node import Node
from mesh_control.compiler import authorization_values as values
from mesh_control.compiler import trust_domains
from tests.unit.mesh_control.compiler.test_gateways import shop
from tests.unit.mesh_control.worlds import GATEWAY, STORE, by_name, compiled

POSTGRES = Node("sidecar~10.0.0.4~postgres.default~default.svc.cluster.local")
HEAD = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"


def policy(spec: str = "rules: [{}]", name: str = "p", namespace: str = "default", dry: bool = False) -> str:
    annotations = ", annotations: {istio.io/dry-run: 'true'}" if dry else ""
    return f"{HEAD}metadata: {{name: {name}, namespace: {namespace}{annotations}}}\nspec: {{{spec}}}\n"


def inbound(text: str, node: Node = STORE) -> Listener:
    found: Listener = by_name(compiled(text, node).listeners)["virtualInbound"]
    return found


def filters(text: str, node: Node = STORE) -> tuple[RbacFilter, ...]:
    """The filters of the chain for HTTP."""
    manager = next(c.filter for c in inbound(text, node).filter_chains if isinstance(c.filter, HttpConnectionManager))
    return tuple(item for item in manager.http_filters if isinstance(item, RbacFilter))


def guards(text: str, node: Node = POSTGRES) -> tuple[NetworkRbac, ...]:
    """Those of the chain for bytes."""
    return next(chain.guards for chain in inbound(text, node).filter_chains if chain.match.destination_port == 5432)


def names(rules: Rbac | None) -> list[str]:
    return [] if rules is None else [policy.name for policy in rules.policies]


def test_without_policies_there_is_no_filter() -> None:
    assert filters("") == ()
    assert {chain.guards for chain in inbound("").filter_chains} == {()}


SELECTED = [
    (policy(), True),
    (policy(namespace="istio-system"), True),
    (policy(namespace="other"), False),
    (policy("selector: {matchLabels: {app: store}}"), True),
    (policy("selector: {matchLabels: {app: store, version: v1}}", namespace="istio-system"), True),
    (policy("selector: {matchLabels: {app: order}}"), False),
    (policy("selector: {matchLabels: {app: store, version: v2}}"), False),
    (policy("selector: {}"), True),
    (policy("targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}"), False),
    (policy("targetRefs: [{kind: Service, name: store}]"), False),
]


@pytest.mark.parametrize(("text", "selected"), SELECTED)
def test_whom_a_policy_is_for(text: str, selected: bool) -> None:
    assert bool(filters(text)) is selected


KUBERNETES_GATEWAY = Node(
    "sidecar~10.0.0.99~g-1.default~default.svc.cluster.local",
    metadata={"LABELS": {"app": "store", "gateway.networking.k8s.io/gateway-name": "g"}},
)
ATTACHED = [
    (policy(), True),
    (policy("targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}"), True),
    (
        policy("targetRefs: [{kind: Service, name: s}, {group: gateway.networking.k8s.io, kind: Gateway, name: g}]"),
        True,
    ),
    (policy("targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: other}"), False),
    (policy("targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}", namespace="istio-system"), False),
]


@pytest.mark.parametrize(("text", "attached"), ATTACHED)
def test_proxies_of_a_kubernetes_gateway_are_attached_to_by_its_name(text: str, attached: bool) -> None:
    assert bool(filters(text, KUBERNETES_GATEWAY)) is attached


def test_filters_are_asked_in_the_order_of_istio_and_before_all_others() -> None:
    text = "".join(policy(f"action: {action}, rules: [{{}}]", action.lower()) for action in ("ALLOW", "DENY", "AUDIT"))
    text += policy("action: CUSTOM, provider: {name: q}, rules: [{}]", "custom")
    found = filters(text)
    assert [(item.rules.action, names(item.rules)) for item in found if item.rules is not None] == [
        (RbacAction.DENY, ["istio-ext-authz-q-ns[default]-policy[custom]-rule[0]-deny-due-to-bad-CUSTOM-action"]),
        (RbacAction.LOG, ["ns[default]-policy[audit]-rule[0]"]),
        (RbacAction.DENY, ["ns[default]-policy[deny]-rule[0]"]),
        (RbacAction.ALLOW, ["ns[default]-policy[allow]-rule[0]"]),
    ]
    manager = inbound(text).filter_chains[1].filter
    assert isinstance(manager, HttpConnectionManager)
    assert manager.http_filters[:4] == found


def test_policies_of_one_action_stand_in_one_filter_by_name() -> None:
    text = policy("rules: [{}, {}]", "b") + policy(name="a") + policy(name="z", namespace="istio-system")
    (found,) = filters(text)
    assert names(found.rules) == [
        "ns[default]-policy[a]-rule[0]",
        "ns[default]-policy[b]-rule[0]",
        "ns[default]-policy[b]-rule[1]",
        "ns[istio-system]-policy[z]-rule[0]",
    ]


def test_without_rules_a_policy_allows_nothing() -> None:
    (found,) = filters(policy(""))
    assert found.rules is not None
    (made,) = found.rules.policies
    assert (found.rules.action, made.permissions, made.principals) == (
        RbacAction.ALLOW, (Not(ANYTHING),), (Not(ANYTHING),)
    )  # fmt: skip


@pytest.mark.parametrize(("action", "prefix"), [("ALLOW", "istio_dry_run_allow_"), ("DENY", "istio_dry_run_deny_")])
def test_a_policy_in_dry_run_refuses_nobody(action: str, prefix: str) -> None:
    (found,) = filters(policy(f"action: {action}, rules: [{{}}]", dry=True))
    assert (found.rules, found.shadow_rules_stat_prefix) == (None, prefix)
    assert names(found.shadow_rules) == ["ns[default]-policy[p]-rule[0]"]
    (both,) = filters(
        policy(f"action: {action}, rules: [{{}}]", dry=True) + policy(f"action: {action}, rules: [{{}}]", "q")
    )
    assert (names(both.rules), names(both.shadow_rules)) == (
        ["ns[default]-policy[q]-rule[0]"], ["ns[default]-policy[p]-rule[0]"]
    )  # fmt: skip


MIXED = "rules: [{to: [{operation: {paths: [/a], ports: ['5432']}}]}, {to: [{operation: {ports: ['1']}}]}]"


def test_of_bytes_a_rule_that_allows_cannot_ask_for_http() -> None:
    (found,) = guards(policy(MIXED))
    assert names(found.rules) == ["ns[default]-policy[p]-rule[1]"]
    assert found.stat_prefix == "tcp."


def test_of_bytes_a_rule_that_denies_does_without_http_and_denies_more() -> None:
    (found,) = guards(policy(f"action: DENY, {MIXED}"))
    assert found.rules is not None
    assert [made.permissions for made in found.rules.policies] == [
        (AllOf((AnyOf((DestinationPort(5432),)),)),),
        (AllOf((AnyOf((DestinationPort(1),)),)),),
    ]
    (only_http,) = guards(policy("action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]"))
    assert only_http.rules is not None
    assert only_http.rules.policies[0].permissions == (AllOf((ANYTHING,)),)


def test_ports_that_no_service_names_are_guarded_too_and_the_sink_is_not() -> None:
    chains = by_name(inbound(policy("")).filter_chains)
    assert [len(chains[name].guards) for name in ("virtualInbound", "virtualInbound-blackhole")] == [1, 0]


def test_a_sidecar_without_interception_is_guarded() -> None:
    metadata = {"INTERCEPTION_MODE": "NONE", "INGRESS_PORTS": {"8480": 1, "5432": 2}}
    (store,) = compiled(policy(""), Node(STORE.id, metadata=metadata)).listeners
    manager = store.filter_chains[0].filter
    assert isinstance(manager, HttpConnectionManager)
    assert isinstance(manager.http_filters[0], RbacFilter)
    (postgres,) = compiled(policy(""), Node(POSTGRES.id, metadata=metadata)).listeners
    assert len(postgres.filter_chains[0].guards) == 1


def test_gateways_ask_for_requests_from_outside_and_sidecars_not_for_their_own() -> None:
    (edge,) = compiled(shop() + policy(namespace="edge"), GATEWAY).listeners
    manager = edge.filter_chains[0].filter
    assert isinstance(manager, HttpConnectionManager)
    assert isinstance(manager.http_filters[0], RbacFilter)
    for listener in compiled(policy("")).listeners:
        if listener.name != "virtualInbound":
            for chain in listener.filter_chains:
                assert chain.guards == ()
                assert not any(isinstance(item, RbacFilter) for item in getattr(chain.filter, "http_filters", ()))


@pytest.mark.parametrize(
    ("given", "cidr"),
    [
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.1.2.3/8", "10.1.2.3/8"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:db8:0::/32", "2001:db8::/32"),
    ],
)
def test_addresses(given: str, cidr: str) -> None:
    assert values.cidr(given) == cidr


@pytest.mark.parametrize("given", ["", "a", "10.0.0", "10.0.0.0/33", "10.0.0.1/a", "::/129"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        values.cidr(given)


@pytest.mark.parametrize(
    ("given", "domains", "made"),
    [
        ("cluster.local/ns/a/sa/b", ("td1",), ("td1/ns/a/sa/b",)),
        ("td1/ns/a/sa/b", ("td1", "td2"), ("td1/ns/a/sa/b", "td2/ns/a/sa/b")),
        ("td2/ns/a/sa/b", ("td1", "td2"), ("td1/ns/a/sa/b", "td2/ns/a/sa/b")),
        ("foreign/ns/a/sa/b", ("td1", "td2"), ("foreign/ns/a/sa/b",)),
        ("*/ns/a/sa/b", ("td1", "td2"), ("*/ns/a/sa/b",)),
        ("*-td/ns/a/sa/b", ("new-td", "old-td"), ("*-td/ns/a/sa/b",)),
        ("*-td/ns/a/sa/b", ("new-td", "other"), ("*-td/ns/a/sa/b", "other/ns/a/sa/b")),
        ("*/sa/b", ("td1", "td2"), ("*/sa/b",)),
        ("*", ("td1",), ("*",)),
    ],
)
def test_a_principal_holds_in_every_alias_of_its_trust_domain(
    given: str, domains: tuple[str, ...], made: tuple[str, ...]
) -> None:
    assert trust_domains.principals((given,), domains) == made


def test_a_trust_domain_stands_for_its_aliases() -> None:
    assert trust_domains.expanded(("b", "c"), ("a", "b")) == ("a", "b", "c")

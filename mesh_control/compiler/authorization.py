"""AuthorizationPolicy to Envoy's RBAC filters (Istio, ``pilot/pkg/security/authz/builder``).

A workload is ruled by the policies of the root namespace and of its own that select it. The filters stand in the order in
which they are asked: AUDIT, DENY, ALLOW (before them CUSTOM, :mod:`mesh_control.compiler.external_authorization`); there is
one only where there is a policy for it. A policy in dry-run makes shadow rules, which are counted and refuse nobody.
"""

from collections.abc import Iterable
from typing import Final

from mesh_api.config import NetworkRbac, Rbac, RbacAction, RbacFilter, RbacPolicy
from mesh_api.config.authorization import ANYTHING, Not
from mesh_control.compiler.authorization_rules import Target, compile_rule
from mesh_control.compiler.scope import Scope
from mesh_control.world import World
from mesh_policy import Policy
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from mesh_policy.selectors import Attached

GATEWAY_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
"""Label of the proxies of a Kubernetes Gateway: policies are attached to these by name."""

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"

TCP_STATISTICS: Final = "tcp."
_SHADOW: Final = {RbacAction.ALLOW: "istio_dry_run_allow_", RbacAction.DENY: "istio_dry_run_deny_", RbacAction.LOG: ""}
_ORDER: Final = (("AUDIT", RbacAction.LOG), ("DENY", RbacAction.DENY), ("ALLOW", RbacAction.ALLOW))


def http_filters(scope: Scope) -> tuple[RbacFilter, ...]:
    """For requests to the proxy's workload."""
    policies = policies_of(scope)

    def made() -> tuple[RbacFilter, ...]:
        found = _filters(scope.world, policies, tcp=False)
        return tuple(RbacFilter(rules, shadow, shadow_rules_stat_prefix=prefix) for rules, shadow, prefix in found)

    return scope.shared("HTTP authorization", policies, made) if policies else ()


def guards(scope: Scope, beside: str = "") -> tuple[NetworkRbac, ...]:
    """For connections to the proxy's workload that carry bytes; ``beside`` as in :func:`policies_of`."""
    policies = policies_of(scope, beside)

    def made() -> tuple[NetworkRbac, ...]:
        found = _filters(scope.world, policies, tcp=True)
        return tuple(NetworkRbac(TCP_STATISTICS, rules, shadow, prefix) for rules, shadow, prefix in found)

    return scope.shared("TCP authorization", policies, made) if policies else ()


def policies_of(scope: Scope, beside: str = "") -> tuple[AuthorizationPolicy, ...]:
    """The policies that rule the proxy's workload: the root namespace's first, each namespace's oldest first. ``beside``:
    another namespace whose policies for such workloads count as well."""
    near = by_namespace(scope.world)
    wanted = dict.fromkeys((scope.root_namespace, scope.proxy.namespace, beside))
    namespaces = [name for name in wanted if name in near]
    if not namespaces:
        return ()
    return scope.shared(
        ("authorization policies", scope.proxy.namespace, beside, scope.label_pairs),
        (),
        lambda: tuple(p for name in namespaces for p in near[name] if attached(p, p.spec, scope)),
    )


def by_namespace(world: World) -> dict[str, list[AuthorizationPolicy]]:
    """Every policy, by its namespace, oldest first."""

    def made() -> dict[str, list[AuthorizationPolicy]]:
        found: dict[str, list[AuthorizationPolicy]] = {}
        for policy in world.of_kind(AuthorizationPolicy):
            found.setdefault(policy.metadata.namespace, []).append(policy)
        return found

    return world.once("authorization policies", made)


def attached(policy: Policy, spec: Attached, scope: Scope) -> bool:
    """Whether a policy of the root namespace, or of the proxy's own, is for the proxy: by labels, or for the proxies of a
    Kubernetes Gateway by the Gateway's name."""
    gateway = scope.labels.get(GATEWAY_LABEL)
    if gateway is None:
        return not spec.targets and _selected(spec, scope)
    if not spec.targets:
        return _selected(spec, scope)
    own = policy.metadata.namespace == scope.proxy.namespace
    return own and any(
        (target.group, target.kind, target.name) == (GATEWAY_GROUP, "Gateway", gateway) for target in spec.targets
    )


def _selected(spec: Attached, scope: Scope) -> bool:
    return spec.selector is None or spec.selector.selects(scope.labels)


# The filters.

Parts = tuple[Rbac | None, Rbac | None, str]
"""Rules, shadow rules, and what goes before the shadow's statistics."""


def _filters(world: World, policies: tuple[AuthorizationPolicy, ...], tcp: bool) -> Iterable[Parts]:
    for name, action in _ORDER:
        chosen = [policy for policy in policies if (policy.spec.action or "ALLOW") == name]
        if chosen:
            yield _filter(world, chosen, action, tcp)


def _filter(world: World, policies: list[AuthorizationPolicy], action: RbacAction, tcp: bool) -> Parts:
    enforced = [policy for policy in policies if not policy.dry_run]
    dry = [policy for policy in policies if policy.dry_run]
    rules = Rbac(action, compiled(world, enforced, action, tcp=tcp)) if enforced else None
    shadow = Rbac(action, compiled(world, dry, action, tcp=tcp)) if dry else None
    return rules, shadow, _SHADOW[action if dry else RbacAction.ALLOW]  # without any, Istio writes the first


def compiled(
    world: World, policies: Iterable[AuthorizationPolicy], action: RbacAction, *, tcp: bool, before: str = ""
) -> tuple[RbacPolicy, ...]:
    """The rules of all of them, sorted by name; ``before`` goes before each name."""
    made = (rule for policy in policies for rule in _of_policy(world, policy, action, tcp, before))
    return tuple(sorted(made, key=lambda rule: rule.name))


def _of_policy(
    world: World, policy: AuthorizationPolicy, action: RbacAction, tcp: bool, before: str
) -> tuple[RbacPolicy, ...]:
    """The rules of one policy, compiled once for all workloads that it is for."""
    what = "rbac", policy.key, action, tcp, before
    return world.once(what, lambda: tuple(_rules(world, policy, action, tcp, before)))


def _rules(
    world: World, policy: AuthorizationPolicy, action: RbacAction, tcp: bool, before: str
) -> Iterable[RbacPolicy]:
    namespace = policy.metadata.namespace
    target = Target(action, tcp, namespace, world.trust_domains)
    for place, rule in enumerate(policy.spec.rules or ()):
        made = compile_rule(f"{before}{policy_name(namespace, policy.metadata.name, place)}", rule, target)
        if made is not None:
            yield made
    if not policy.spec.rules:
        never = (Not(ANYTHING),)
        yield RbacPolicy(f"{before}{policy_name(namespace, policy.metadata.name, 0)}", never, never)


def policy_name(namespace: str, name: str, rule: int) -> str:
    """The name of a compiled rule, as access logs show it."""
    return f"ns[{namespace}]-policy[{name}]-rule[{rule}]"

"""RequestAuthentication: whose tokens a workload believes (Istio). Pure; no token is looked at here."""

from mesh_control.compiler.authorization import attached
from mesh_control.compiler.scope import Scope
from mesh_policy.security.request_authentication import JwtRule, RequestAuthentication


def policies_of(scope: Scope) -> tuple[RequestAuthentication, ...]:
    """The policies for the proxy's workload: its namespace's first, then the root namespace's; each oldest first."""
    found = scope.world.of_kind(RequestAuthentication)
    return tuple(
        policy
        for namespace in dict.fromkeys((scope.proxy.namespace, scope.root_namespace))
        for policy in found
        if policy.metadata.namespace == namespace and attached(policy, policy.spec, scope)
    )


def rules_of(scope: Scope) -> tuple[JwtRule, ...]:
    """The rules of all of them, joined, sorted by issuer as Istio hands them out. A token must fit one whose issuer is its
    own; without a token a request passes, without an identity."""
    rules = (rule for policy in policies_of(scope) for rule in policy.spec.jwt_rules or ())
    return tuple(sorted(rules, key=lambda rule: rule.issuer or ""))

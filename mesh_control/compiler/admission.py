"""Who may come in: the filters before all else, of requests and of connections to a proxy's workload, in Istio's order.

A server is asked (CUSTOM), tokens are verified, and then rules decide, which may ask for what the tokens say.
"""

from mesh_api.config import Guard, HttpFilter
from mesh_control.compiler import authorization, external_authorization, request_authentication, tokens
from mesh_control.compiler.scope import Scope
from mesh_policy import Policy


def http_filters(scope: Scope) -> tuple[HttpFilter, ...]:
    """For requests."""
    policies = authorization.policies_of(scope)

    def made() -> tuple[HttpFilter, ...]:
        return tuple(external_authorization.http_filters(scope, policies))

    key = ("asked about requests", scope.proxy.own)
    asked = scope.shared(key, policies, made) if policies else ()
    return (*asked, *tokens.http_filters(scope), *authorization.http_filters(scope))


def network_filters(scope: Scope, beside: str = "") -> tuple[Guard, ...]:
    """For connections that carry bytes, which have no tokens; ``beside`` as in :func:`authorization.policies_of`."""
    policies = authorization.policies_of(scope, beside)

    def made() -> tuple[Guard, ...]:
        return tuple(external_authorization.network_filters(scope, policies))

    key = ("asked about connections", scope.proxy.own)
    asked = scope.shared(key, policies, made) if policies else ()
    return (*asked, *authorization.guards(scope, beside))


def policies_of(scope: Scope) -> tuple[Policy, ...]:
    """All policies that the filters are made of, and nothing else is but the world."""
    return (*authorization.policies_of(scope), *request_authentication.policies_of(scope))

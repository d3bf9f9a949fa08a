"""CUSTOM of AuthorizationPolicies: a server is asked about what a rule marks (Istio, ``security/authz/builder/extauthz.go``).

Two filters for each provider: rules in the shadow, which leave the name of the one that holds in the metadata, and a question
where that name is there. Where nobody can be asked, what would be asked about is denied.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from mesh_api.config import (
    AuthorizationBody,
    AuthorizationServer,
    ExtAuthzFilter,
    GrpcService,
    NetworkExtAuthz,
    NetworkRbac,
    Rbac,
    RbacAction,
    RbacFilter,
    StringMatch,
    StringMatchKind,
)
from mesh_api.config.authorization import MetadataMatch
from mesh_control.compiler import extension_providers
from mesh_control.compiler.authorization import TCP_STATISTICS, compiled
from mesh_control.compiler.scope import Scope
from mesh_control.world import World
from mesh_policy.mesh_config import ExtensionProvider
from mesh_policy.mesh_config.external_authorization import (
    Authorizer,
    AuthorizerRequestBody,
    GrpcAuthorizer,
    HttpAuthorizer,
)
from mesh_policy.security.authorization_policy import AuthorizationPolicy

MARK: Final = "istio-ext-authz"
"""Before the names of rules that mark."""
SHADOW_PREFIX: Final = "istio_ext_authz_"
RULE_NAME: Final = f"{SHADOW_PREFIX}shadow_effective_policy_id"
"""Where the filter leaves the name of the rule."""
BAD_PROVIDER: Final = "-deny-due-to-bad-CUSTOM-action"
HTTP_RBAC, NETWORK_RBAC = "envoy.filters.http.rbac", "envoy.filters.network.rbac"
TIMEOUT: Final = 600.0
_NAME = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Asked = Mapping[str, list[AuthorizationPolicy]]
"""Name of a provider to the policies that ask it, sorted by name."""


def http_filters(scope: Scope, policies: Iterable[AuthorizationPolicy]) -> Iterable[RbacFilter | ExtAuthzFilter]:
    """For requests."""
    asked = _asked(policies)
    for name, mine in asked.items():
        found = _provider(scope, name, asked)
        if found is None:
            yield RbacFilter(_denied(scope.world, name, mine, tcp=False))
            continue
        marks, dry = _marks(scope.world, name, mine, tcp=False)
        yield RbacFilter(dry, marks, shadow_rules_stat_prefix=SHADOW_PREFIX)
        yield replace(found, enabled=_marked(HTTP_RBAC, name))


def network_filters(scope: Scope, policies: Iterable[AuthorizationPolicy]) -> Iterable[NetworkRbac | NetworkExtAuthz]:
    """For connections that carry bytes. A server that is asked by HTTP knows nothing of these (Istio)."""
    asked = _asked(policies)
    for name, mine in asked.items():
        found = _provider(scope, name, asked)
        if found is None:
            yield NetworkRbac(TCP_STATISTICS, _denied(scope.world, name, mine, tcp=True))
        elif found.grpc is not None:
            marks, dry = _marks(scope.world, name, mine, tcp=True)
            yield NetworkRbac(TCP_STATISTICS, dry, marks, SHADOW_PREFIX)
            enabled = _marked(NETWORK_RBAC, name)
            yield NetworkExtAuthz(TCP_STATISTICS, found.grpc, found.failure_mode_allow, enabled)


def _asked(policies: Iterable[AuthorizationPolicy]) -> Asked:
    found: dict[str, list[AuthorizationPolicy]] = {}
    for policy in policies:
        if policy.spec.action == "CUSTOM":
            provider = policy.spec.provider
            found.setdefault((provider.name if provider is not None else None) or "", []).append(policy)
    return {name: found[name] for name in sorted(found)}


def _provider(scope: Scope, name: str, asked: Asked) -> ExtAuthzFilter | None:
    """Who is asked; ``None``: nobody can be. Of several that rule one workload it would not be known whom (Istio)."""
    if len(asked) > 1:
        return None
    known = scope.world.mesh.providers.get(name)
    return None if known is None else _question(scope.world, known)


def _before(name: str) -> str:
    return f"{MARK}-{name}-" if name else f"{MARK}-"


def _denied(world: World, name: str, policies: list[AuthorizationPolicy], *, tcp: bool) -> Rbac:
    enforced = (policy for policy in policies if not policy.dry_run)
    made = compiled(world, enforced, RbacAction.DENY, tcp=tcp, before=_before(name))
    renamed = (replace(rule, name=f"{rule.name}{BAD_PROVIDER}") for rule in made)
    return Rbac(RbacAction.DENY, tuple(sorted(renamed, key=lambda rule: rule.name)))


def _marks(world: World, name: str, policies: list[AuthorizationPolicy], *, tcp: bool) -> tuple[Rbac, Rbac | None]:
    """Rules that mark, and those of policies in dry-run, which stand where others are enforced (Istio)."""
    before = _before(name)
    rules = [
        compiled(world, (p for p in policies if p.dry_run is dry), RbacAction.DENY, tcp=tcp, before=before)
        for dry in (False, True)
    ]
    return Rbac(RbacAction.DENY, rules[0]), Rbac(RbacAction.DENY, rules[1]) if rules[1] else None


def _marked(rbac: str, name: str) -> MetadataMatch:
    return MetadataMatch(rbac, (RULE_NAME,), StringMatch(StringMatchKind.PREFIX, f"{MARK}-{name}"))


# The provider.


def _question(world: World, provider: ExtensionProvider) -> ExtAuthzFilter | None:
    """How a provider is asked; ``None``: it is none for authorization, or something about it cannot be (Istio's rules)."""
    settings = provider.settings
    if not isinstance(settings, HttpAuthorizer | GrpcAuthorizer) or not _NAME.fullmatch(provider.name):
        return None
    at = extension_providers.reached(world, settings.service, settings.port)
    if at is None:
        return None
    timeout = TIMEOUT if settings.timeout is None else settings.timeout.total_seconds()
    if isinstance(settings, GrpcAuthorizer):
        return _with_common(ExtAuthzFilter(grpc=GrpcService(at.cluster, at.hostname, timeout)), settings)
    if "*" in (*_names_of_request(settings), *settings.headers_to_upstream_on_allow, *_names_of_answer(settings)):
        return None
    server = AuthorizationServer(
        f"http://{at.hostname}",
        at.cluster,
        timeout,
        settings.path_prefix,
        tuple(sorted((settings.include_additional_headers_in_check or {}).items())),
        _named(settings.headers_to_upstream_on_allow),
        _named(settings.headers_to_downstream_on_deny),
        _named(settings.headers_to_downstream_on_allow),
    )
    allowed = settings.include_request_headers_in_check or settings.include_headers_in_check
    return _with_common(ExtAuthzFilter(http=server, allowed_headers=_named(allowed)), settings)


def _with_common(made: ExtAuthzFilter, settings: Authorizer) -> ExtAuthzFilter:
    status = settings.status_on_error
    return replace(
        made,
        failure_mode_allow=settings.fail_open,
        status_on_error=int(status) if status else None,
        body=_body(settings.include_request_body_in_check),
    )


def _body(settings: AuthorizerRequestBody | None) -> AuthorizationBody | None:
    if settings is None:
        return None
    return AuthorizationBody(settings.max_request_bytes, settings.allow_partial_message, settings.pack_as_bytes)


def _names_of_request(settings: HttpAuthorizer) -> tuple[str, ...]:
    return (*settings.include_request_headers_in_check, *settings.include_headers_in_check)


def _names_of_answer(settings: HttpAuthorizer) -> tuple[str, ...]:
    return (*settings.headers_to_downstream_on_deny, *settings.headers_to_downstream_on_allow)


def _named(names: Iterable[str]) -> tuple[StringMatch, ...]:
    """Names of headers in any case, which may end or begin with an asterisk."""
    return tuple(map(_name_match, names))


def _name_match(name: str) -> StringMatch:
    if name.startswith("*"):
        return StringMatch(StringMatchKind.SUFFIX, name[1:], ignore_case=True)
    if name.endswith("*"):
        return StringMatch(StringMatchKind.PREFIX, name[:-1], ignore_case=True)
    return StringMatch(StringMatchKind.EXACT, name, ignore_case=True)

"""One rule of an AuthorizationPolicy as one policy of Envoy's RBAC (Istio, ``pilot/pkg/security/authz/model``)."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from mesh_api.config import RbacAction, RbacPolicy
from mesh_api.config.authorization import ANYTHING, AllOf, AnyOf, Not, Rule
from mesh_control.compiler import authorization_values as values
from mesh_control.compiler import trust_domains
from mesh_policy.security.authorization_policy import Operation, Source
from mesh_policy.security.authorization_policy import Rule as PolicyRule
from mesh_policy.security.conditions import Condition

Texts = tuple[str, ...] | None
Make = Callable[[tuple[str, ...]], Rule]
HEADERS, CLAIMS, ENVOY_FILTERS = "request.headers", "request.auth.claims", "experimental.envoy.filters."


class _Field(NamedTuple):
    """A field of a rule: what it wants, what it does not, and how a condition is made of it. ``http``: bytes have it not."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    make: Make
    together: bool = False
    """All values make one condition, rather than one each."""
    http: bool = False


class Target(NamedTuple):
    """What a rule is compiled for."""

    action: RbacAction
    tcp: bool
    namespace: str
    domains: tuple[str, ...]
    """The mesh's trust domain and its aliases."""


def compile_rule(name: str, rule: PolicyRule, target: Target) -> RbacPolicy | None:
    """The rule; ``None`` where it is for nobody: an ALLOW rule that asks for what bytes do not have.

    A DENY or AUDIT rule does without such conditions, and so denies more.
    """
    permissions: list[_Field] = []
    principals: list[_Field] = []
    for condition in rule.when or ():
        of_request, field = _condition(condition, target)
        (permissions if of_request else principals).append(field)
    try:
        return RbacPolicy(
            name,
            tuple(_joined([*_operation(item.operation), *permissions], target) for item in rule.to)
            if rule.to
            else (_joined(permissions, target),),
            tuple(_joined([*_source(item.source, target), *principals], target) for item in rule.from_)
            if rule.from_
            else (_joined(principals, target),),
        )
    except ValueError:
        return None


def _operation(operation: Operation) -> Iterator[_Field]:
    """In Istio's order."""
    yield _field(operation.hosts, operation.not_hosts, values.host, http=True)
    yield _field(operation.methods, operation.not_methods, values.method, http=True)
    yield _field(operation.paths, operation.not_paths, values.path, http=True)
    yield _field(operation.ports, operation.not_ports, values.port)


def _source(source: Source, target: Target) -> Iterator[_Field]:
    """In Istio's order."""
    account = partial(values.service_account, own_namespace=target.namespace)
    principals = partial(trust_domains.principals, domains=target.domains)
    domains = partial(trust_domains.expanded, domains=target.domains)
    yield _field(source.principals, source.not_principals, values.principal, principals)
    yield _together(source.request_principals, source.not_request_principals, values.request_principals)
    yield _field(source.service_accounts, source.not_service_accounts, account)
    yield _field(source.trust_domains, source.not_trust_domains, values.trust_domain, domains)
    yield _field(source.namespaces, source.not_namespaces, values.namespace)
    yield _field(source.remote_ip_blocks, source.not_remote_ip_blocks, values.remote_ip)
    yield _field(source.ip_blocks, source.not_ip_blocks, values.source_ip)


def _condition(condition: Condition, target: Target) -> tuple[bool, _Field]:
    """Whether it is about what is asked for (rather than who asks), and the condition."""
    key, wanted, unwanted = condition.key, condition.values, condition.not_values
    if key in _OF_REQUEST:
        return True, _field(wanted, unwanted, _OF_REQUEST[key])
    if key.startswith(ENVOY_FILTERS):
        make = partial(values.envoy_metadata, key)
        return True, _Field(wanted or (), unwanted or (), make, together=True)
    if key in _OF_PEER:
        return False, _field(wanted, unwanted, _OF_PEER[key])
    if key == "source.principal":
        own = partial(trust_domains.principals, domains=target.domains)
        return False, _field(wanted, unwanted, values.principal, own)
    if key == "source.trustDomain":
        own = partial(trust_domains.expanded, domains=target.domains)
        return False, _field(wanted, unwanted, values.trust_domain, own)
    if key == "source.serviceAccount":
        return False, _field(wanted, unwanted, partial(values.service_account, own_namespace=target.namespace))
    if key == "request.auth.principal":
        return False, _together(wanted, unwanted, values.request_principals)
    if key in _CLAIMS:
        return False, _together(wanted, unwanted, partial(values.claim, (_CLAIMS[key],)))
    if key.startswith(HEADERS):
        name = partial(values.bracketed, key, HEADERS)
        return False, _field(wanted, unwanted, lambda value: values.header(name(), value), http=True)
    return False, _together(wanted, unwanted, lambda texts: values.claim(values.claim_names(key, CLAIMS), texts))


_OF_REQUEST: dict[str, Callable[[str], Rule]] = {
    "destination.ip": values.destination_ip,
    "destination.port": values.port,
    "connection.sni": values.server_name,
}
_OF_PEER: dict[str, Callable[[str], Rule]] = {
    "source.ip": values.source_ip,
    "remote.ip": values.remote_ip,
    "source.namespace": values.namespace,
}
_CLAIMS = {"request.auth.audiences": "aud", "request.auth.presenter": "azp"}
"""Attributes that are claims under another name."""


def _same(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(texts)


def _field(
    wanted: Texts,
    unwanted: Texts,
    make: Callable[[str], Rule],
    rewrite: Callable[[tuple[str, ...]], tuple[str, ...]] = _same,
    http: bool = False,
) -> _Field:
    """One condition for each value."""
    return _Field(rewrite(wanted or ()), rewrite(unwanted or ()), lambda one: make(one[0]), http=http)


def _together(wanted: Texts, unwanted: Texts, make: Make) -> _Field:
    """One condition for all values, of a token."""
    return _Field(wanted or (), unwanted or (), make, together=True, http=True)


def _joined(fields: list[_Field], target: Target) -> Rule:
    """All fields joined by "and". Raises :class:`ValueError` for one that an ALLOW rule cannot have here."""
    conditions: list[Rule] = []
    for field in fields:
        for texts, wanted in ((field.wanted, True), (field.unwanted, False)):
            made = _any_of(field, texts, target)
            if made is not None:
                conditions.append(made if wanted else Not(made))
    return AllOf(tuple(conditions) or (ANYTHING,))


def _any_of(field: _Field, texts: tuple[str, ...], target: Target) -> Rule | None:
    """One of the values; ``None`` where there is none, or none that can be looked at."""
    made = []
    for one in (texts,) if field.together and texts else ((text,) for text in texts):
        try:
            if field.http and target.tcp:
                raise ValueError("bytes do not have it")
            made.append(field.make(one))
        except ValueError:
            if target.action is RbacAction.ALLOW:
                raise
    if not made:
        return None
    return made[0] if field.together else AnyOf(tuple(made))

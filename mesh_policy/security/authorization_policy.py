"""AuthorizationPolicy: who may do what (Istio, ``security.istio.io/v1``)."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Model, Policy
from mesh_policy.security.conditions import MAX_ACCOUNTS, Condition
from mesh_policy.security.values import IpBlock, Path, PortText, ServiceAccount, Text, TrustDomain
from mesh_policy.selectors import Attached

Action = Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"]
MAX_RULES = 512
"""Rules of a policy, and sources of a rule (Istio's limit)."""
ServiceAccounts = Annotated[tuple[ServiceAccount, ...], Field(max_length=MAX_ACCOUNTS)]


class Source(Model):
    """Whence a request comes. Fields are joined by and, the values of a field by or; at least one field is given.

    What a field says of identities holds for mutual TLS only: without it, no positive field matches.
    """

    principals: tuple[Text, ...] | None = None
    """Identities of the certificate, ``TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT``; unset allows any."""
    not_principals: tuple[Text, ...] | None = None
    """Identities that are excepted."""
    request_principals: tuple[Text, ...] | None = None
    """Identities of the token, ``ISSUER/SUBJECT``; ``*`` asks for any valid token. Unset allows any."""
    not_request_principals: tuple[Text, ...] | None = None
    """Identities of the token that are excepted; ``*`` means requests without a valid token."""
    namespaces: tuple[Text, ...] | None = None
    """Namespaces of the certificate's identity; unset allows any."""
    not_namespaces: tuple[Text, ...] | None = None
    """Namespaces that are excepted."""
    service_accounts: ServiceAccounts | None = None
    """Service accounts of the certificate's identity, at most 16; not together with principals or namespaces."""
    not_service_accounts: ServiceAccounts | None = None
    """Service accounts that are excepted, at most 16."""
    trust_domains: tuple[TrustDomain, ...] | None = None
    """Trust domains of the certificate's identity; unset allows any."""
    not_trust_domains: tuple[TrustDomain, ...] | None = None
    """Trust domains that are excepted."""
    ip_blocks: tuple[IpBlock, ...] | None = None
    """Addresses and ranges of the connection's peer; unset allows any."""
    not_ip_blocks: tuple[IpBlock, ...] | None = None
    """Addresses and ranges that are excepted."""
    remote_ip_blocks: tuple[IpBlock, ...] | None = None
    """Addresses of the original client, as X-Forwarded-For or the PROXY protocol tell it; unset allows any."""
    not_remote_ip_blocks: tuple[IpBlock, ...] | None = None
    """Addresses of the original client that are excepted."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _some_value(self, "source")
        if self.service_accounts is not None or self.not_service_accounts is not None:
            others = [
                name
                for name in ("principals", "not_principals", "namespaces", "not_namespaces")
                if getattr(self, name) is not None
            ]
            if others:
                raise ValueError("serviceAccounts cannot stand with principals or namespaces; keep one way")
        return self


class Operation(Model):
    """What is asked for. Fields are joined by and, the values of a field by or; at least one field is given.

    All but the ports are of HTTP: on a TCP port a rule with them never allows, and always denies.
    """

    hosts: tuple[Text, ...] | None = None
    """Values of the Host header, without regard to case; unset allows any. An unset port stands for any port."""
    not_hosts: tuple[Text, ...] | None = None
    """Hosts that are excepted."""
    ports: tuple[PortText, ...] | None = None
    """Ports of the workload (not of the service), as text; unset allows any."""
    not_ports: tuple[PortText, ...] | None = None
    """Ports that are excepted."""
    methods: tuple[Text, ...] | None = None
    """Methods of HTTP; for gRPC always ``POST``. Unset allows any."""
    not_methods: tuple[Text, ...] | None = None
    """Methods that are excepted."""
    paths: tuple[Path, ...] | None = None
    """Paths without query, after normalisation; for gRPC ``/PACKAGE.SERVICE/METHOD``. Unset allows any."""
    not_paths: tuple[Path, ...] | None = None
    """Paths that are excepted."""

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        _some_value(self, "operation")
        return self


def _some_value(part: Model, name: str) -> None:
    if not any(getattr(part, field) for field in type(part).model_fields):
        raise ValueError(f"a {name} without values says nothing; give one, or leave the {name} out to match all")


class From(Model):
    """One alternative of who asks."""

    source: Source
    """Whence the request comes; required."""


class To(Model):
    """One alternative of what is asked for."""

    operation: Operation
    """What the request does; required."""


class Rule(Model):
    """Matches a request that fits one of ``from``, one of ``to`` and all of ``when``; an empty rule matches every one."""

    from_: Annotated[tuple[From, ...], Field(max_length=MAX_RULES)] | None = None
    """Sources of which one must fit, at most 512; unset means anybody."""
    to: tuple[To, ...] | None = None
    """Operations of which one must fit; unset means anything."""
    when: tuple[Condition, ...] | None = None
    """Further conditions, which must all hold."""


class ExtensionProvider(Model):
    """Who decides for the action CUSTOM."""

    name: str | None = None
    """Name of the provider in the mesh's configuration; required for CUSTOM."""


class AuthorizationPolicySpec(Attached):
    """Rules, and what happens to a request that fits one of them.

    Istio asks in the order CUSTOM, DENY, ALLOW. A workload that any ALLOW policy selects refuses what none of them
    allows; an ALLOW policy without rules allows nothing.
    """

    action: Action | None = None
    """ALLOW (default), DENY, AUDIT (only written down), or CUSTOM (asks ``provider``)."""
    provider: ExtensionProvider | None = None
    """Who is asked; with the action CUSTOM only, and required there."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=MAX_RULES)] | None = None
    """Rules of which one must fit, at most 512; none fits nothing, an empty one (``{}``) everything."""

    @model_validator(mode="after")
    def _meaningful(self) -> Self:
        if self.action in ("DENY", "CUSTOM") and not self.rules:
            raise ValueError(f"{self.action} without rules is never triggered; add an empty rule `{{}}` to match all")
        if self.action == "CUSTOM":
            if self.provider is None or not self.provider.name:
                raise ValueError("provider.name is required for the action CUSTOM")
            for found in self._beyond_custom():
                raise ValueError(f"{found} is not supported with the action CUSTOM; the provider can look at it itself")
        elif self.provider is not None:
            raise ValueError(f"provider is for the action CUSTOM, not for {self.action or 'ALLOW'}; remove it")
        return self

    def _beyond_custom(self) -> Iterable[str]:
        """What CUSTOM cannot decide by: identities are known only after the external answer."""
        for place, rule in enumerate(self.rules or ()):
            for source in (item.source for item in rule.from_ or ()):
                for field, info in Source.model_fields.items():
                    if getattr(source, field) and not field.endswith("ip_blocks"):
                        yield f"rules[{place}].from.source.{info.alias}"
            for condition in rule.when or ():
                if condition.key.startswith("request.auth.") or condition.key in CUSTOM_REFUSES:
                    yield f"rules[{place}].when.{condition.key}"


CUSTOM_REFUSES = ("source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal")
"""Attributes that the action CUSTOM cannot look at."""


class AuthorizationPolicy(Policy):
    """See :class:`AuthorizationPolicySpec`."""

    GROUP: ClassVar[str] = "security.istio.io"
    KIND: ClassVar[str] = "AuthorizationPolicy"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: Literal["AuthorizationPolicy"] = "AuthorizationPolicy"
    spec: AuthorizationPolicySpec = Field(default_factory=AuthorizationPolicySpec)

    @model_validator(mode="after")
    def _dry_run(self) -> Self:
        value = (self.metadata.annotations or {}).get(DRY_RUN)
        if value is None:
            return self
        if self.spec.action not in (None, "ALLOW", "DENY"):
            raise ValueError(f"the annotation {DRY_RUN} is for ALLOW and DENY, not for {self.spec.action}; remove it")
        if value not in _TRUE + _FALSE:
            raise ValueError(f'the annotation {DRY_RUN} must be "true" or "false", not {value!r}')
        return self

    @property
    def dry_run(self) -> bool:
        """Whether the policy is only counted and logged, never enforced."""
        return (self.metadata.annotations or {}).get(DRY_RUN) in _TRUE


DRY_RUN = "istio.io/dry-run"
"""Annotation that makes a policy count without enforcing it."""
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
"""What Go's ParseBool takes."""

"""Who may do what: Envoy's role based access control (``rbac.v3``), for requests and for connections.

Permissions (what is asked for) and principals (who asks) are trees of the same shape; the leaves that Envoy allows in the one
and not in the other are told apart by :data:`Permission` and :data:`Principal`. Addresses are CIDR strings (``10.0.0.0/8``).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mesh_api.config.matchers import HeaderMatch, StringMatch


class RbacAction(Enum):
    """What a match means. ``ALLOW``: only what matches may pass; ``DENY``: what matches may not; ``LOG``: all may pass."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    LOG = "LOG"


@dataclass(frozen=True, slots=True)
class Anything:
    """Always holds (``any``)."""


ANYTHING: Final = Anything()


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every part does (``and_rules``, ``and_ids``)."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when one part does (``or_rules``, ``or_ids``)."""

    rules: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds when the part does not (``not_rule``, ``not_id``)."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class UrlPath:
    """The path without its query (``url_path``); never holds for a connection that is no HTTP."""

    match: StringMatch


@dataclass(frozen=True, slots=True)
class UriTemplate:
    """The path without its query against a template (``uri_template``): ``*`` is one segment, ``**`` any number of them."""

    template: str


@dataclass(frozen=True, slots=True)
class DestinationIp:
    """The address that was dialled (``destination_ip``)."""

    cidr: str


@dataclass(frozen=True, slots=True)
class DestinationPort:
    """The port that was dialled (``destination_port``)."""

    port: int


@dataclass(frozen=True, slots=True)
class DestinationPortRange:
    """The port that was dialled lies in ``start <= port < end`` (``destination_port_range``)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RequestedServerName:
    """The name that the client asked for in TLS (SNI); empty without TLS."""

    match: StringMatch


@dataclass(frozen=True, slots=True)
class SourceIp:
    """The address of the connection's other end (``source_ip``, deprecated in Envoy)."""

    cidr: str


@dataclass(frozen=True, slots=True)
class DirectRemoteIp:
    """The address of the connection's other end (``direct_remote_ip``; Istio's ``source.ip``, ``ipBlocks``)."""

    cidr: str


@dataclass(frozen=True, slots=True)
class RemoteIp:
    """The client's address as ``x-forwarded-for`` tells it where that is believed (``remote_ip``; Istio's ``remote.ip``)."""

    cidr: str


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The peer showed a certificate in TLS one of whose names matches; ``None``: any TLS peer (``authenticated``).

    A SPIFFE id is compared whole: ``spiffe://cluster.local/ns/default/sa/client``.
    """

    principal: StringMatch | None = None


@dataclass(frozen=True, slots=True)
class NullValue:
    """The value is there and is null."""


@dataclass(frozen=True, slots=True)
class PresentValue:
    """The value is there (``present`` False: this never holds, as in Envoy)."""

    present: bool = True


@dataclass(frozen=True, slots=True)
class BoolValue:
    """The value is this boolean."""

    value: bool


@dataclass(frozen=True, slots=True)
class NumberValue:
    """The value is this number; with ``end``, one in ``value <= number < end``."""

    value: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class ListValue:
    """The value is a list, one of whose members matches."""

    one_of: "ValueMatch"


@dataclass(frozen=True, slots=True)
class AnyValueOf:
    """One of these matches."""

    matches: tuple["ValueMatch", ...]


ValueMatch = StringMatch | NullValue | PresentValue | BoolValue | NumberValue | ListValue | AnyValueOf
"""A condition on a value of metadata. A string match holds for strings alone."""


@dataclass(frozen=True, slots=True)
class MetadataMatch:
    """A value that an earlier filter left behind: the one at ``path`` in what ``filter`` wrote.

    Claims of a verified JWT are at ``("payload", CLAIM)`` of ``envoy.filters.http.jwt_authn`` (Istio).
    """

    filter: str
    path: tuple[str, ...]
    value: ValueMatch
    invert: bool = False


JWT_AUTHN: Final = "envoy.filters.http.jwt_authn"
RBAC_OF_REQUESTS: Final = "envoy.filters.http.rbac"
RBAC_OF_CONNECTIONS: Final = "envoy.filters.network.rbac"
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
"""The filter whose metadata hold the claims of the request's token."""

JWT_PAYLOAD: Final = "payload"
"""The key below which they are."""

Tree = Anything | AllOf | AnyOf | Not
"""How conditions are joined."""

Permission = (
    Tree
    | HeaderMatch
    | UrlPath
    | UriTemplate
    | DestinationIp
    | DestinationPort
    | DestinationPortRange
    | RequestedServerName
    | MetadataMatch
)
"""A condition on what is asked for."""

Principal = Tree | HeaderMatch | UrlPath | SourceIp | DirectRemoteIp | RemoteIp | Authenticated | MetadataMatch
"""A condition on who asks."""

Rule = Permission | Principal
"""Any condition."""


@dataclass(frozen=True, slots=True)
class RbacPolicy:
    """Holds when one of ``permissions`` and one of ``principals`` does. Istio makes one of each rule of a policy, named
    ``ns[NAMESPACE]-policy[NAME]-rule[INDEX]``."""

    name: str
    permissions: tuple[Rule, ...]
    principals: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Rbac:
    """Policies, sorted by name, of which the first that holds decides. ``ALLOW`` without policies lets nothing pass."""

    action: RbacAction = RbacAction.ALLOW
    policies: tuple[RbacPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class RbacFilter:
    """``envoy.filters.http.rbac``: refuses requests with 403. ``shadow_rules`` are only counted, and never refuse.

    The prefixes go before the names of statistics. ``rules`` ``None``: nothing is refused.
    """

    rules: Rbac | None = None
    shadow_rules: Rbac | None = None
    rules_stat_prefix: str = ""
    shadow_rules_stat_prefix: str = ""


@dataclass(frozen=True, slots=True)
class NetworkRbac:
    """``envoy.filters.network.rbac``: closes connections. Conditions on headers are refused; those on paths never hold."""

    stat_prefix: str
    rules: Rbac | None = None
    shadow_rules: Rbac | None = None
    shadow_rules_stat_prefix: str = ""

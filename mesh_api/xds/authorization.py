"""Role based access control (``rbac.v3``), in requests and in connections."""

from collections.abc import Callable
from typing import Any, Final, cast

from envoy.config.core.v3 import extension_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.path.match.uri_template.v3 import uri_template_match_pb2
from envoy.type.matcher.v3 import path_pb2
from envoy.type.v3 import range_pb2

from mesh_api.config.authorization import (
    ANYTHING,
    AllOf,
    AnyOf,
    Anything,
    Authenticated,
    DestinationIp,
    DestinationPort,
    DestinationPortRange,
    DirectRemoteIp,
    MetadataMatch,
    NetworkRbac,
    Not,
    Permission,
    Principal,
    Rbac,
    RbacAction,
    RbacFilter,
    RbacPolicy,
    RemoteIp,
    RequestedServerName,
    Rule,
    SourceIp,
    UriTemplate,
    UrlPath,
)
from mesh_api.config.matchers import HeaderMatch
from mesh_api.xds.addresses import decode_cidr, encode_cidr
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_header_match, decode_string, encode_header_match, encode_string
from mesh_api.xds.metadata import decode_metadata, encode_metadata
from mesh_api.xds.values import pack, unpack

HTTP_MESSAGE: Final = http_rbac_pb2.RBAC
NETWORK_MESSAGE: Final = network_rbac_pb2.RBAC

_ADDRESSES: Final = {
    DestinationIp: "destination_ip",
    SourceIp: "source_ip",
    DirectRemoteIp: "direct_remote_ip",
    RemoteIp: "remote_ip",
}
_BY_FIELD: Final = {field: kind for kind, field in _ADDRESSES.items()}
_TEMPLATE_NAME: Final = "uri-template"


# To the wire.


def encode_http_rbac(config: RbacFilter) -> Any:
    """``filters.http.rbac.v3.RBAC``."""
    return http_rbac_pb2.RBAC(
        rules=_encode_rules(config.rules),
        shadow_rules=_encode_rules(config.shadow_rules),
        rules_stat_prefix=config.rules_stat_prefix,
        shadow_rules_stat_prefix=config.shadow_rules_stat_prefix,
    )


def encode_network_rbac(config: NetworkRbac) -> Any:
    """``filters.network.rbac.v3.RBAC``."""
    if _asks_for_headers(config):
        raise EncodeError("connections have no headers; Envoy refuses rules about them")
    return network_rbac_pb2.RBAC(
        rules=_encode_rules(config.rules),
        shadow_rules=_encode_rules(config.shadow_rules),
        stat_prefix=config.stat_prefix,
        shadow_rules_stat_prefix=config.shadow_rules_stat_prefix,
    )


def _encode_rules(rules: Rbac | None) -> Any:
    if rules is None:
        return None
    names = [policy.name for policy in rules.policies]
    if names != sorted(set(names)):
        raise EncodeError("the policies of an RBAC must be sorted by name, and each name be there once")
    return rbac_pb2.RBAC(
        action=rbac_pb2.RBAC.Action.Value(rules.action.value),
        policies={policy.name: _encode_policy(policy) for policy in rules.policies},
    )


def _encode_policy(policy: RbacPolicy) -> Any:
    return rbac_pb2.Policy(
        permissions=[_encode_permission(rule) for rule in policy.permissions],
        principals=[_encode_principal(rule) for rule in policy.principals],
    )


def _encode_permission(rule: Rule) -> Any:
    message = rbac_pb2.Permission
    if isinstance(rule, AllOf):
        return message(and_rules=message.Set(rules=map(_encode_permission, rule.rules)))
    if isinstance(rule, AnyOf):
        return message(or_rules=message.Set(rules=map(_encode_permission, rule.rules)))
    if isinstance(rule, Not):
        return message(not_rule=_encode_permission(rule.rule))
    if isinstance(rule, DestinationIp):
        return message(destination_ip=encode_cidr(rule.cidr))
    if isinstance(rule, DestinationPort):
        return message(destination_port=rule.port)
    if isinstance(rule, DestinationPortRange):
        return message(destination_port_range=range_pb2.Int32Range(start=rule.start, end=rule.end))
    if isinstance(rule, RequestedServerName):
        return message(requested_server_name=encode_string(rule.match))
    if isinstance(rule, UriTemplate):
        match = uri_template_match_pb2.UriTemplateMatchConfig(path_template=rule.template)
        return message(uri_template=extension_pb2.TypedExtensionConfig(name=_TEMPLATE_NAME, typed_config=pack(match)))
    return _encode_shared(message, rule)


def _encode_principal(rule: Rule) -> Any:
    message = rbac_pb2.Principal
    if isinstance(rule, AllOf):
        return message(and_ids=message.Set(ids=map(_encode_principal, rule.rules)))
    if isinstance(rule, AnyOf):
        return message(or_ids=message.Set(ids=map(_encode_principal, rule.rules)))
    if isinstance(rule, Not):
        return message(not_id=_encode_principal(rule.rule))
    if isinstance(rule, SourceIp | DirectRemoteIp | RemoteIp):
        return message(**{_ADDRESSES[type(rule)]: encode_cidr(rule.cidr)})
    if isinstance(rule, Authenticated):
        name = None if rule.principal is None else encode_string(rule.principal)
        return message(authenticated=message.Authenticated(principal_name=name))
    return _encode_shared(message, rule)


def _encode_shared(message: Any, rule: Rule) -> Any:
    """Leaves that permissions and principals have alike."""
    if isinstance(rule, Anything):
        return message(any=True)
    if isinstance(rule, HeaderMatch):
        return message(header=encode_header_match(rule))
    if isinstance(rule, UrlPath):
        return message(url_path=path_pb2.PathMatcher(path=encode_string(rule.match)))
    if isinstance(rule, MetadataMatch):
        return message(metadata=encode_metadata(rule))
    raise EncodeError(f"{type(rule).__name__} has no place in a {message.DESCRIPTOR.name.lower()}")


# From the wire.


def decode_http_rbac(fields: Fields) -> RbacFilter:
    """From ``filters.http.rbac.v3.RBAC``."""
    with fields as f:
        return RbacFilter(
            rules=_decode_rules(f.optional("rules")),
            shadow_rules=_decode_rules(f.optional("shadow_rules")),
            rules_stat_prefix=f.text("rules_stat_prefix"),
            shadow_rules_stat_prefix=f.text("shadow_rules_stat_prefix"),
        )


def decode_network_rbac(fields: Fields) -> NetworkRbac:
    """From ``filters.network.rbac.v3.RBAC``."""
    with fields as f:
        f.enum("enforcement_type", "ONE_TIME_ON_FIRST_BYTE")
        found = NetworkRbac(
            stat_prefix=f.text("stat_prefix"),
            rules=_decode_rules(f.optional("rules")),
            shadow_rules=_decode_rules(f.optional("shadow_rules")),
            shadow_rules_stat_prefix=f.text("shadow_rules_stat_prefix"),
        )
        if _asks_for_headers(found):
            raise f.error("", "a rule about headers is not supported in connections")
        return found


def _asks_for_headers(config: NetworkRbac) -> bool:
    policies = (
        policy for rules in (config.rules, config.shadow_rules) if rules is not None for policy in rules.policies
    )
    return any(_has_header(rule) for policy in policies for rule in (*policy.permissions, *policy.principals))


def _has_header(rule: Rule) -> bool:
    if isinstance(rule, Not):
        return _has_header(rule.rule)
    return any(map(_has_header, rule.rules)) if isinstance(rule, AllOf | AnyOf) else isinstance(rule, HeaderMatch)


def _decode_rules(fields: Fields | None) -> Rbac | None:
    if fields is None:
        return None
    with fields as f:
        entries = f.take("policies")
        return Rbac(
            RbacAction(f.enum("action")),
            tuple(_decode_policy(name, f.nested(entries[name], f'policies["{name}"]')) for name in sorted(entries)),
        )


def _decode_policy(name: str, fields: Fields) -> RbacPolicy:
    with fields as f:
        return RbacPolicy(
            name,
            tuple(_decode_permission(rule) for rule in f.children("permissions")),
            tuple(_decode_principal(rule) for rule in f.children("principals")),
        )


def _decode_permission(fields: Fields) -> Permission:
    with fields as f:
        kind = f.oneof("rule")
        if kind in ("and_rules", "or_rules"):
            with f.child(kind) as group:
                rules = tuple(_decode_permission(rule) for rule in group.children("rules"))
            return AllOf(rules) if kind == "and_rules" else AnyOf(rules)
        if kind == "not_rule":
            return Not(_decode_permission(f.child(kind)))
        if kind == "destination_port":
            return DestinationPort(f.number(kind))
        if kind == "destination_port_range":
            with f.child(kind) as bounds:
                return DestinationPortRange(bounds.number("start"), bounds.number("end"))
        if kind == "destination_ip":
            return DestinationIp(decode_cidr(f.child(kind)))
        if kind == "requested_server_name":
            return RequestedServerName(decode_string(f.child(kind)))
        if kind == "uri_template":
            return _decode_template(f.child(kind))
        return _decode_shared(f, kind)


def _decode_principal(fields: Fields) -> Principal:
    with fields as f:
        kind = f.oneof("identifier")
        if kind in ("and_ids", "or_ids"):
            with f.child(kind) as group:
                rules = tuple(_decode_principal(rule) for rule in group.children("ids"))
            return AllOf(rules) if kind == "and_ids" else AnyOf(rules)
        if kind == "not_id":
            return Not(_decode_principal(f.child(kind)))
        if kind in ("source_ip", "direct_remote_ip", "remote_ip"):
            return cast(Principal, _BY_FIELD[kind](decode_cidr(f.child(kind))))
        if kind == "authenticated":
            with f.child(kind) as authenticated:
                name = authenticated.optional("principal_name")
                return Authenticated(None if name is None else decode_string(name))
        return _decode_shared(f, kind)


def _decode_shared(fields: Fields, kind: str | None) -> Anything | HeaderMatch | UrlPath | MetadataMatch:
    decode = None if kind is None else _SHARED.get(kind)
    if kind is None or decode is None:
        raise fields.error("", f"{kind or 'a missing rule'} is not supported")
    return decode(fields, kind)


def _decode_any(fields: Fields, kind: str) -> Anything:
    if not fields.flag(kind):
        raise fields.error(kind, "false is not supported")  # Envoy refuses it, too
    return ANYTHING


def _decode_path(fields: Fields, kind: str) -> UrlPath:
    with fields.child(kind) as path:
        if path.oneof("rule") is None:
            raise path.error("", "a missing path is not supported")
        return UrlPath(decode_string(path.child("path")))


def _decode_template(fields: Fields) -> UriTemplate:
    with fields as f:
        f.text("name")
        _, match = unpack(f.child("typed_config"), (uri_template_match_pb2.UriTemplateMatchConfig,))
        with match as m:
            return UriTemplate(m.text("path_template"))


_SHARED: Final[dict[str, Callable[[Fields, str], Anything | HeaderMatch | UrlPath | MetadataMatch]]] = {
    "any": _decode_any,
    "header": lambda fields, kind: decode_header_match(fields.child(kind)),
    "url_path": _decode_path,
    "metadata": lambda fields, kind: decode_metadata(fields.child(kind)),
}
"""Leaves that permissions and principals have alike."""

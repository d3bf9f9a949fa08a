"""Conditions in words: what they are about, as Istio calls it, what they want, and what they saw."""

import json
import re
from collections.abc import Iterator

from mesh_api.config import HeaderMatch, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    JWT_AUTHN,
    JWT_PAYLOAD,
    AllOf,
    AnyOf,
    Anything,
    AnyValueOf,
    Authenticated,
    BoolValue,
    DestinationIp,
    DestinationPort,
    DestinationPortRange,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    Not,
    NullValue,
    NumberValue,
    PresentValue,
    RemoteIp,
    RequestedServerName,
    Rule,
    SourceIp,
    UriTemplate,
    UrlPath,
    ValueMatch,
)
from mesh_proxy.authorization.access import NO_HEAD, Access
from mesh_proxy.routing.metadata import ABSENT, value_at

_PSEUDO = {":method": "method", ":authority": "host", "host": "host", ":path": "path with query", ":scheme": "scheme"}
_IDENTITY = (
    (re.compile(r"\.\*/ns/(.*)/\.\*"), "source.namespace"),
    (re.compile(r"spiffe://\.\+/ns/(.*)/\(\.\+/\|\)sa/(.*)\(/\.\+\)\?"), "source.serviceAccount"),
)
"""Expressions that Istio makes of a namespace and of a service account."""


def subject(rule: Rule) -> str:
    """What a condition is about; several joined by a comma."""
    return ", ".join(dict.fromkeys(_subject(part) for part in _leaves(rule))) or "anything"


def describe(rule: Rule) -> str:
    """What a condition wants."""
    if isinstance(rule, Not):
        return f"not {_grouped(rule.rule)}"
    if isinstance(rule, AnyOf):
        return " or ".join(map(_grouped, rule.rules))
    if isinstance(rule, AllOf):
        return " and ".join(map(_grouped, rule.rules))
    return _wanted(rule)


def _grouped(rule: Rule) -> str:
    text = describe(rule)
    while isinstance(rule, AnyOf | AllOf) and len(rule.rules) == 1:
        rule = rule.rules[0]
    return f"({text})" if isinstance(rule, AnyOf | AllOf) else text


def seen_by(rule: Rule, access: Access) -> str:
    """What the access has where the condition looks."""
    return ", ".join(dict.fromkeys(_seen(part, access) for part in _leaves(rule))) or "anything"


def _leaves(rule: Rule) -> Iterator[Rule]:
    if isinstance(rule, AllOf | AnyOf):
        for part in rule.rules:
            yield from _leaves(part)
    elif isinstance(rule, Not):
        yield from _leaves(rule.rule)
    elif not isinstance(rule, Anything):
        yield rule


def _subject(rule: Rule) -> str:
    if isinstance(rule, HeaderMatch):
        return _PSEUDO.get(rule.name, f"request.headers[{rule.name}]")
    if isinstance(rule, UrlPath | UriTemplate):
        return "path"
    if isinstance(rule, DestinationPort | DestinationPortRange):
        return "destination.port"
    if isinstance(rule, DestinationIp):
        return "destination.ip"
    if isinstance(rule, RequestedServerName):
        return "connection.sni"
    if isinstance(rule, SourceIp | DirectRemoteIp):
        return "source.ip"
    if isinstance(rule, RemoteIp):
        return "remote.ip"
    if isinstance(rule, Authenticated):
        return _identity(rule)[0]
    if isinstance(rule, MetadataMatch):
        return _metadata_subject(rule)
    return type(rule).__name__


def _metadata_subject(rule: MetadataMatch) -> str:
    if rule.filter == JWT_AUTHN and rule.path[:1] == (JWT_PAYLOAD,):
        return "request.auth.claims" + "".join(f"[{key}]" for key in rule.path[1:])
    return f"metadata {rule.filter}" + "".join(f"[{key}]" for key in rule.path)


def _identity(rule: Authenticated) -> tuple[str, str]:
    """What part of the identity a condition is about, and what it wants."""
    match = rule.principal
    if match is None:
        return "source.principal", "any"
    if match.kind is StringMatchKind.REGEX:
        for form, name in _IDENTITY:
            found = form.fullmatch(match.value)
            if found is not None:
                value = re.sub(r"\\(.)", r"\1", "/".join(found.groups()).replace(".*", "*"))
                return name, json.dumps(value)
    return "source.principal", _text(match)


def _wanted(rule: Rule) -> str:
    if isinstance(rule, HeaderMatch):
        return _header(rule)
    if isinstance(rule, UrlPath | RequestedServerName):
        return _text(rule.match)
    if isinstance(rule, UriTemplate):
        return f"template {json.dumps(rule.template)}"
    if isinstance(rule, DestinationPort):
        return str(rule.port)
    if isinstance(rule, DestinationPortRange):
        return f"{rule.start} to {rule.end - 1}"
    if isinstance(rule, DestinationIp | SourceIp | DirectRemoteIp | RemoteIp):
        return rule.cidr
    if isinstance(rule, Authenticated):
        return _identity(rule)[1]
    if isinstance(rule, MetadataMatch):
        return ("not " if rule.invert else "") + " or ".join(dict.fromkeys(_values(rule.value)))
    return "anything"


def _header(rule: HeaderMatch) -> str:
    inverted = "not " if rule.invert else ""
    if rule.match is not None:
        return inverted + _text(rule.match)
    if rule.range_start is not None:
        return f"{inverted}a number from {rule.range_start} to below {rule.range_end}"
    return "any" if rule.present is not rule.invert else "none"


def _text(match: StringMatch) -> str:
    kind, case = match.kind, " in any case" if match.ignore_case else ""
    if kind is StringMatchKind.REGEX:
        return "any" if match.value == ".+" else f"expression {json.dumps(match.value)}"
    before = "*" if kind in (StringMatchKind.SUFFIX, StringMatchKind.CONTAINS) else ""
    after = "*" if kind in (StringMatchKind.PREFIX, StringMatchKind.CONTAINS) else ""
    return json.dumps(before + match.value + after) + case


def _values(match: ValueMatch) -> Iterator[str]:
    if isinstance(match, StringMatch):
        yield _text(match)
    elif isinstance(match, ListValue):
        yield from _values(match.one_of)
    elif isinstance(match, AnyValueOf):
        for part in match.matches:
            yield from _values(part)
    elif isinstance(match, BoolValue):
        yield json.dumps(match.value)
    elif isinstance(match, NumberValue):
        yield str(match.value) if match.end is None else f"from {match.value} to below {match.end}"
    elif isinstance(match, NullValue):
        yield "null"
    elif isinstance(match, PresentValue):
        yield "any" if match.present else "never"


def _seen(rule: Rule, access: Access) -> str:
    if isinstance(rule, HeaderMatch):
        return _field(rule.name, access)
    if isinstance(rule, UrlPath | UriTemplate):
        return "no HTTP" if access.head is NO_HEAD else _quoted(access.head.path)
    if isinstance(rule, DestinationPort | DestinationPortRange):
        return str(access.destination[1])
    if isinstance(rule, DestinationIp):
        return access.destination[0]
    if isinstance(rule, RequestedServerName):
        return _quoted(access.server_name) if access.server_name else "none"
    if isinstance(rule, SourceIp | DirectRemoteIp):
        return _address(access.peer)
    if isinstance(rule, RemoteIp):
        return _address(access.remote)
    if isinstance(rule, Authenticated):
        return "no mutual TLS" if access.principals is None else ", ".join(map(_quoted, access.principals))
    if isinstance(rule, MetadataMatch):
        value = value_at(access.metadata, rule.filter, rule.path)
        return "none" if value is ABSENT else json.dumps(value, default=str)
    return "anything"


def _field(name: str, access: Access) -> str:
    head = access.head
    if head is NO_HEAD:
        return "no HTTP"
    pseudo = {":method": head.method, ":authority": head.host, "host": head.host, ":path": head.target}
    if name in pseudo:
        return _quoted(pseudo[name])
    values = head.values(name.encode())
    return ", ".join(map(_quoted, values)) if values else "none"


def _address(address: bytes) -> str:
    return address.rpartition(b":")[0].strip(b"[]").decode("latin-1")


def _quoted(value: bytes) -> str:
    return json.dumps(value.decode("utf-8", "backslashreplace"), ensure_ascii=False)

"""What a policy cannot do without: keys, each a place to look at and a value that must be there."""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from mesh_api.config import HeaderMatch, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    AllOf,
    AnyOf,
    AnyValueOf,
    Authenticated,
    DestinationIp,
    DestinationPort,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    RbacPolicy,
    RemoteIp,
    RequestedServerName,
    Rule,
    SourceIp,
    UriTemplate,
    UrlPath,
    ValueMatch,
)

PATH: Final = "path"
PREFIX: Final = "beginning of the path"
METHOD: Final = "method"
HOST: Final = "host"
PRINCIPAL: Final = "principal"
NAMESPACE: Final = "namespace"
ACCOUNT: Final = "account"
SERVER_NAME: Final = "server name"
PORT: Final = "port"
HEADER: Final = "header"
"""With its name."""
METADATA: Final = "metadata"
"""With the filter's name and the path."""
PEER: Final = "peer"
REMOTE: Final = "remote"
DESTINATION: Final = "destination"
"""The three with the bits of an address, and the bits of those that are not looked at."""
BEGINNING: Final = "beginning of"
END: Final = "end of"
"""The two with the source whose values begin or end so."""

Source = tuple[object, ...]
"""Where is looked: one of these words, and what belongs to it."""
Value = bytes | str | int
Key = tuple[Source, Value]
Keys = frozenset[Key]
"""One of which must hold."""

_FAMILIES: Final = {
    PATH: PATH, PREFIX: PATH, PRINCIPAL: PRINCIPAL, NAMESPACE: PRINCIPAL, ACCOUNT: PRINCIPAL,
    PEER: PEER, REMOTE: REMOTE, DESTINATION: DESTINATION,
}  # fmt: skip
"""Sources that alternatives may differ in."""
_NAME: Final = "([a-z0-9-]+)"
_OF_NAMESPACE: Final = re.compile(rf"\.\*/ns/{_NAME}/\.\*")
_OF_ACCOUNT: Final = re.compile(rf"spiffe://\.\+/ns/.*/\(\.\+/\|\)sa/{_NAME}\(/\.\+\)\?")
"""Expressions that Istio makes of a namespace and of a service account."""
_NAMESPACE_BEGINS: Final = re.compile(rf"\.\*/ns/{_NAME}\.\*/\.\*")
_NAMESPACE_ENDS: Final = re.compile(rf"\.\*/ns/\.\*{_NAME}/\.\*")
_PRINCIPAL_ENDS: Final = re.compile(r"spiffe://\.\*((?:[A-Za-z0-9/_-]|\\[-./_:])+)")
"""The same where one of Istio's has a ``*``."""
_WHOLE: Final = 1000


def of_policy(policy: RbacPolicy) -> list[Keys]:
    """Each entry is needed. Empty: nothing is known to be."""
    return _of_rule(AnyOf(policy.permissions)) + _of_rule(AnyOf(policy.principals))


def _of_rule(rule: Rule) -> list[Keys]:
    if isinstance(rule, AllOf):
        return [keys for part in rule.rules for keys in _of_rule(part)]
    if isinstance(rule, AnyOf):
        return _of_alternatives([_of_rule(part) for part in rule.rules])
    keys = _of_leaf(rule)
    return [keys] if keys else []


def _of_alternatives(alternatives: list[list[Keys]]) -> list[Keys]:
    """Where every alternative needs something of the same family, one of all these."""
    if len(alternatives) == 1:
        return alternatives[0]
    found: list[Keys] = []
    for family in dict.fromkeys(_family(keys) for needs in alternatives[:1] for keys in needs):
        chosen = [_narrowest(keys for keys in needs if _family(keys) == family) for needs in alternatives]
        if all(chosen):
            found.append(frozenset(key for keys in chosen for key in keys))
    return found


def _family(keys: Keys) -> object:
    source = next(iter(keys))[0]
    if source[0] in (BEGINNING, END):
        source = source[1:]
    return _FAMILIES.get(str(source[0]), source)


def _narrowest(choices: Iterable[Keys]) -> Keys:
    return max(choices, key=lambda keys: min(map(_weight, keys)), default=frozenset())


def _weight(key: Key) -> int:
    """How little fits: whole values before beginnings and networks, long ones before short ones."""
    source, value = key
    if source[0] in (PEER, REMOTE, DESTINATION):
        return int(str(source[1])) - int(str(source[2]))
    return len(value) if source[0] in (PREFIX, BEGINNING, END) and isinstance(value, bytes | str) else _WHOLE


def _of_leaf(rule: Rule) -> Keys:
    """Empty: it may hold whatever there is."""
    if isinstance(rule, UrlPath):
        return _of_path(rule.match)
    if isinstance(rule, UriTemplate):
        start = rule.template.partition("*")[0]
        return _one((PREFIX,), start.encode()) if len(start) > 1 else frozenset()
    if isinstance(rule, Authenticated):
        return frozenset() if rule.principal is None else _of_principal(rule.principal)
    if isinstance(rule, RequestedServerName):
        return _of_text((SERVER_NAME,), rule.match)
    if isinstance(rule, DestinationPort):
        return _one((PORT,), rule.port)
    if isinstance(rule, SourceIp | DirectRemoteIp):
        return _of_network(PEER, rule.cidr)
    if isinstance(rule, RemoteIp):
        return _of_network(REMOTE, rule.cidr)
    if isinstance(rule, DestinationIp):
        return _of_network(DESTINATION, rule.cidr)
    if isinstance(rule, HeaderMatch) and rule.match is not None and not rule.invert:
        return _of_header(rule.name.lower(), rule.match)
    if isinstance(rule, MetadataMatch) and not rule.invert:
        return _of_metadata((METADATA, rule.filter, rule.path), rule.value)
    return frozenset()


def _one(source: Source, value: Value) -> Keys:
    return frozenset(((source, value),))


def _is_exact(match: StringMatch) -> bool:
    return match.kind is StringMatchKind.EXACT and not match.ignore_case and bool(match.value)


def _of_path(match: StringMatch) -> Keys:
    if match.kind is StringMatchKind.PREFIX and not match.ignore_case and match.value:
        return _one((PREFIX,), match.value.encode())
    return _of_text((PATH,), match)


def _of_text(source: Source, match: StringMatch) -> Keys:
    """The whole value, its beginning or its end; empty values have none of them."""
    if match.ignore_case or not match.value:
        return frozenset()
    value = match.value.encode()
    if match.kind is StringMatchKind.PREFIX:
        return _one((BEGINNING, *source), value)
    if match.kind is StringMatchKind.SUFFIX:
        return _one((END, *source), value)
    return _one(source, value) if match.kind is StringMatchKind.EXACT else frozenset()


def _of_principal(match: StringMatch) -> Keys:
    if match.kind is StringMatchKind.REGEX and not match.ignore_case:
        for form, source in _FORMS:
            if (found := form.fullmatch(match.value)) is not None:
                return _one(source, re.sub(r"\\(.)", r"\1", found[1]).encode())
    return _of_text((PRINCIPAL,), match)


_FORMS: Final[tuple[tuple[re.Pattern[str], Source], ...]] = (
    (_OF_ACCOUNT, (ACCOUNT,)),
    (_OF_NAMESPACE, (NAMESPACE,)),
    (_NAMESPACE_BEGINS, (BEGINNING, NAMESPACE)),
    (_NAMESPACE_ENDS, (END, NAMESPACE)),
    (_PRINCIPAL_ENDS, (END, PRINCIPAL)),
)


def _of_network(source: str, cidr: str) -> Keys:
    network = ip_network(cidr, strict=False)
    bits, shift = network.max_prefixlen, network.max_prefixlen - network.prefixlen
    return _one((source, bits, shift), int(network.network_address) >> shift)


def _of_header(name: str, match: StringMatch) -> Keys:
    if name == ":authority":
        value = match.value.lower() if match.value.isascii() else ""  # wider than what is compared with its case
        return _of_text((HOST,), StringMatch(match.kind, value))
    if name == ":method":
        return _of_text((METHOD,), match) if _is_exact(match) else frozenset()
    return _of_text((HEADER, name.encode()), match)


def _of_metadata(source: Source, match: ValueMatch) -> Keys:
    """Of texts alone, or of lists of them."""
    if isinstance(match, StringMatch):
        # Claims are text, where all else is bytes.
        return frozenset(
            (where, value.decode()) for where, value in _of_text(source, match) if isinstance(value, bytes)
        )
    if isinstance(match, ListValue):
        return _of_metadata(source, match.one_of)
    if isinstance(match, AnyValueOf):
        parts = [_of_metadata(source, part) for part in match.matches]
        return frozenset[Key]().union(*parts) if all(parts) else frozenset()
    return frozenset()

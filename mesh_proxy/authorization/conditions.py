"""The leaves of rules: one comparison each, as a function of the :class:`~mesh_proxy.authorization.access.Access`."""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from mesh_api.config import HeaderMatch, StringMatch
from mesh_api.config.authorization import (
    Authenticated,
    BoolValue,
    DestinationIp,
    DestinationPort,
    DestinationPortRange,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    NullValue,
    NumberValue,
    PresentValue,
    RemoteIp,
    RequestedServerName,
    SourceIp,
    UriTemplate,
    UrlPath,
    ValueMatch,
)
from mesh_proxy.authorization import templates
from mesh_proxy.authorization.access import NO_HEAD, Access, Address, destination_ip, peer_ip, remote_ip
from mesh_proxy.routing.matchers import HeaderTest, MatcherError, string_test

Test = Callable[[Access], bool]
ABSENT: Final = object()
"""Of metadata: no value at the path."""


def leaf(rule: object) -> Test:
    """The comparison of a rule that has no parts. Raises :class:`~mesh_proxy.routing.matchers.MatcherError`."""
    return LEAVES[type(rule)](rule)


def _header(rule: HeaderMatch) -> Test:
    test = HeaderTest(rule)
    # A connection that carries bytes has not even a method.
    without = HeaderTest(replace(rule, name="")).holds(NO_HEAD)
    return lambda access: without if access.head is NO_HEAD else test.holds(access.head)


def _path(rule: UrlPath) -> Test:
    test = string_test(rule.match)
    if test(b""):
        # Bytes have no path, not even an empty one (Envoy 1.40, measured).
        return lambda access: access.head is not NO_HEAD and test(access.head.path)
    return lambda access: test(access.head.path)


def _template(rule: UriTemplate) -> Test:
    test = templates.template_test(rule.template)
    return lambda access: test(access.head.path)


def _port(rule: DestinationPort) -> Test:
    port = rule.port
    return lambda access: access.destination[1] == port


def _ports(rule: DestinationPortRange) -> Test:
    start, end = rule.start, rule.end
    return lambda access: start <= access.destination[1] < end


def _server_name(rule: RequestedServerName) -> Test:
    test = string_test(rule.match)
    return lambda access: test(access.server_name)


def _authenticated(rule: Authenticated) -> Test:
    if rule.principal is None:
        return lambda access: access.principals is not None
    test = string_test(rule.principal)
    return lambda access: access.principals is not None and any(map(test, access.principals))


def _in_network(read: Callable[[Access], Address | None], cidr: str) -> Test:
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise MatcherError(str(error)) from None
    bits, shift = network.max_prefixlen, network.max_prefixlen - network.prefixlen
    wanted = int(network.network_address) >> shift

    def test(access: Access) -> bool:
        address = read(access)
        return address is not None and address[0] == bits and address[1] >> shift == wanted

    return test


def _metadata(rule: MetadataMatch) -> Test:
    test, invert = value_test(rule.value), rule.invert
    read = partial(value_at, filter_name=rule.filter, path=rule.path)
    return lambda access: test(read(access)) is not invert


def value_at(access: Access, filter_name: str, path: tuple[str, ...]) -> object:
    """What a filter left at a path; :data:`ABSENT` where there is nothing."""
    found: object = access.metadata.get(filter_name, ABSENT)
    for key in path:
        if not isinstance(found, Mapping):
            return ABSENT
        found = found.get(key, ABSENT)
    return found


def value_test(match: ValueMatch) -> Callable[[object], bool]:
    """A condition on a value: text, number, boolean, ``None``, list or mapping."""
    if isinstance(match, StringMatch):
        text = string_test(match)
        return lambda value: isinstance(value, str) and text(value.encode())
    if isinstance(match, NullValue):
        return lambda value: value is None
    if isinstance(match, PresentValue):
        present = match.present
        return lambda value: present and value is not ABSENT
    if isinstance(match, BoolValue):
        wanted = match.value
        return lambda value: value is wanted
    if isinstance(match, NumberValue):
        return partial(_is_number, match)
    if isinstance(match, ListValue):
        inner = value_test(match.one_of)
        return lambda value: isinstance(value, list | tuple) and any(map(inner, value))
    tests = tuple(map(value_test, match.matches))
    return lambda value: any(test(value) for test in tests)


def _is_number(match: NumberValue, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == match.value if match.end is None else match.value <= value < match.end


LEAVES: dict[type, Callable[[Any], Test]] = {
    HeaderMatch: _header,
    UrlPath: _path,
    UriTemplate: _template,
    DestinationIp: lambda rule: _in_network(destination_ip, rule.cidr),
    DestinationPort: _port,
    DestinationPortRange: _ports,
    RequestedServerName: _server_name,
    SourceIp: lambda rule: _in_network(peer_ip, rule.cidr),
    DirectRemoteIp: lambda rule: _in_network(peer_ip, rule.cidr),
    RemoteIp: lambda rule: _in_network(remote_ip, rule.cidr),
    Authenticated: _authenticated,
    MetadataMatch: _metadata,
}
"""Kind of a rule to what makes its comparison."""

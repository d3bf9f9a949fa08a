"""The leaves of rules: one comparison each, as a function of the :class:`~mesh_proxy.authorization.access.Access`."""

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mesh_api.config import HeaderMatch
from mesh_api.config.authorization import (
    Authenticated,
    DestinationIp,
    DestinationPort,
    DestinationPortRange,
    DirectRemoteIp,
    MetadataMatch,
    RemoteIp,
    RequestedServerName,
    SourceIp,
    UriTemplate,
    UrlPath,
)
from mesh_proxy.authorization import templates
from mesh_proxy.authorization.access import NO_HEAD, Access, Address, destination_ip, peer_ip, remote_ip
from mesh_proxy.routing.matchers import HeaderTest, MatcherError, string_test
from mesh_proxy.routing.metadata import MetadataTest

Test = Callable[[Access], bool]


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
    test = MetadataTest(rule)
    return lambda access: test.holds(access.metadata)


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

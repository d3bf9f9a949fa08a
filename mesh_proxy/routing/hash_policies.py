"""What a route's hash policies make of a request: the key of consistent hashing (Envoy ``HashPolicyImpl``)."""

from collections.abc import Sequence
from typing import Final

from mesh_api.config import HashPolicy
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.hashing import xxhash64
from mesh_proxy.routing.matchers import values_of

_MASK: Final = (1 << 64) - 1
HEADER: Final = 0
COOKIE: Final = 1
QUERY: Final = 2
SOURCE: Final = 3


class _Part:
    """One policy, prepared. ``tail`` is what follows the value of a cookie that the proxy sets; empty: it sets none."""

    __slots__ = ("kind", "name", "tail", "terminal")

    def __init__(self, policy: HashPolicy) -> None:
        self.terminal: bool = policy.terminal
        self.tail: bytes = b""
        self.kind: int = SOURCE
        self.name: bytes = b""
        if policy.header:
            self.kind, self.name = HEADER, policy.header.lower().encode()
        elif policy.cookie:
            self.kind, self.name = COOKIE, policy.cookie.encode()
            if policy.cookie_ttl is not None:
                self.tail = _tail(policy)
        elif policy.query_parameter:
            self.kind, self.name = QUERY, policy.query_parameter.encode()
        elif policy.source_ip:
            self.kind = SOURCE


def _tail(policy: HashPolicy) -> bytes:
    made = '"'
    if policy.cookie_ttl:
        made += f"; Max-Age={int(policy.cookie_ttl)}"
    if policy.cookie_path:
        made += f"; Path={policy.cookie_path}"
    for name, value in policy.cookie_attributes:
        made += f"; {name}={value}" if value else f"; {name}"
    return f"{made}; HttpOnly".encode()


class HashPolicies:
    """The policies of a route."""

    __slots__ = ("_parts",)

    def __init__(self, policies: Sequence[HashPolicy]) -> None:
        self._parts: tuple[_Part, ...] = tuple(_Part(policy) for policy in policies)

    def key(self, head: Head, remote: bytes, local: bytes, cookies: list[bytes]) -> int:
        """The key in 64 bits; -1: the policies say nothing about the request.

        ``remote`` and ``local`` are the ends of the client's connection as ``ADDRESS:PORT``. Values of ``set-cookie`` for the
        answer are added to ``cookies``: the same for all requests of a connection, so that requests at once get one.
        """
        found = -1
        for part in self._parts:
            hashed = _hash(part, head, remote, local, cookies)
            if hashed >= 0:
                # Rotated, so that equal ones do not cancel each other out.
                found = (((found << 1) | (found >> 63)) & _MASK if found > 0 else 0) ^ hashed
            if part.terminal and found >= 0:
                break
        return found


def _hash(part: _Part, head: Head, remote: bytes, local: bytes, cookies: list[bytes]) -> int:
    """The hash by one policy; -1: it says nothing."""
    if part.kind == HEADER:
        values = values_of(part.name, head)
        if not values:
            return -1
        hashed = 0
        for value in sorted(values):
            hashed = xxhash64(value, hashed)
        return hashed
    if part.kind == SOURCE:
        return address_key(remote)
    if part.kind == QUERY:
        return _parameter(part.name, head.target.partition(b"#")[0].partition(b"?")[2])
    value = _cookie(part.name, head)
    if value:
        return xxhash64(value)
    if not part.tail:
        return -1
    value = b"%016x" % xxhash64(remote + local)
    cookies.append(b'%b="%b%b' % (part.name, value, part.tail))
    return xxhash64(value)


def address_key(remote: bytes) -> int:
    """The key in 64 bits of where somebody comes from, ``ADDRESS:PORT``: the port does not count."""
    return xxhash64(remote.rpartition(b":")[0].strip(b"[]"))


def _parameter(name: bytes, query: bytes) -> int:
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name and pair:
            return xxhash64(value)
    return -1


def _cookie(name: bytes, head: Head) -> bytes:
    """The value of a cookie, without quotes (Envoy ``parseCookieValue``); empty: there is none."""
    for line in head.values(b"cookie"):
        for pair in line.split(b";"):
            key, _, value = pair.strip().partition(b"=")
            if key == name:
                if len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"'):
                    value = value[1:-1]
                return value
    return b""

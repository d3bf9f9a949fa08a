"""What a request must have, compiled: a tree whose leaves verify tokens (Envoy ``jwt_authn/verifier``)."""

from typing import Final

from mesh_api.config import (
    JwtAllOf,
    JwtAnyOf,
    JwtMayBeMissing,
    JwtMayFail,
    JwtProvider,
    JwtRequired,
    JwtRequirement,
)
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.places import Found, Places
from mesh_proxy.tokens.provider import Asking, Provider, ProviderError, audiences
from mesh_proxy.tokens.token import Token, read_token

_NO_AUDIENCES: Final[frozenset[str]] = frozenset()


class Requirement:
    """A node of the tree."""

    __slots__ = ()

    def unmet(self, asking: Asking) -> str:
        """Why the request does not have it; empty: it has, and is as it goes on with it."""
        raise NotImplementedError


class Required(Requirement):
    """A token of this provider. All that are where its tokens belong must be valid: whoever is behind may read another."""

    __slots__ = ("_audiences", "_provider")

    def __init__(self, provider: Provider, wanted: tuple[str, ...]) -> None:
        self._provider = provider
        self._audiences = audiences(wanted)

    def unmet(self, asking: Asking) -> str:
        """See :class:`Requirement`."""
        provider = self._provider
        sanitize(asking.head, provider.names)
        found = provider.places.find(asking.head)
        if not found:
            return statuses.MISSING
        for one in reversed(found):
            why = provider.verify(one, asking, self._audiences)
            if why:
                return why
        return ""


class Optional(Requirement):
    """No token at all where those of some providers belong, or good ones of any; ``lenient``: or whatever stands there."""

    __slots__ = ("_lenient", "_names", "_places", "_providers")

    def __init__(self, providers: "Providers", those: list[Provider], lenient: bool) -> None:
        self._providers = providers
        self._places = Places([provider.config for provider in those])
        self._names = [name for provider in those for name in provider.names]
        self._lenient = lenient

    def unmet(self, asking: Asking) -> str:
        """See :class:`Requirement`."""
        sanitize(asking.head, self._names)
        for one in reversed(self._places.find(asking.head)):
            token = read_token(one.text)
            why = token.status or self._unverified(one, token, asking)
            if why and not self._lenient:
                return why
        return ""

    def _unverified(self, found: Found, token: Token, asking: Asking) -> str:
        provider = self._providers.of_issuer(token.issuer)
        return statuses.UNKNOWN_ISSUER if provider is None else provider.verify(found, asking, _NO_AUDIENCES)


class AnyOf(Requirement):
    """One of several."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Requirement]) -> None:
        self._parts = parts

    def unmet(self, asking: Asking) -> str:
        """See :class:`Requirement`. Of the reasons the one is told that says most."""
        told = ""
        for part in self._parts:
            why = part.unmet(asking)
            if not why:
                return ""
            if not told or statuses.rank(why) >= statuses.rank(told):
                told = why
        return told


class AllOf(Requirement):
    """All of several."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[Requirement]) -> None:
        self._parts = parts

    def unmet(self, asking: Asking) -> str:
        """See :class:`Requirement`."""
        for part in self._parts:
            why = part.unmet(asking)
            if why:
                return why
        return ""


class Providers:
    """The providers of one filter, and the requirements that refer to them."""

    __slots__ = ("_by_issuer", "_by_name", "names")

    def __init__(self, configs: tuple[JwtProvider, ...]) -> None:
        self._by_name = {config.name: Provider(config) for config in configs}
        self._by_issuer: dict[str, Provider] = {}
        for provider in self._by_name.values():
            self._by_issuer.setdefault(provider.config.issuer, provider)
        self.names: list[bytes] = [name for provider in self._by_name.values() for name in provider.names]
        """Fields that one of them writes."""

    def of_issuer(self, issuer: str) -> Provider | None:
        """The first one of an issuer, else the first of any."""
        return self._by_issuer.get(issuer) or self._by_issuer.get("")

    def compile(self, wanted: JwtRequirement, beside: list[Provider] | None = None) -> Requirement:
        """The requirement; ``beside`` are the providers that it is an alternative to. Raises :class:`ProviderError`."""
        if isinstance(wanted, JwtRequired):
            return Required(self._named(wanted.provider), wanted.audiences)
        if isinstance(wanted, JwtMayBeMissing | JwtMayFail):
            those = list(self._by_name.values()) if beside is None else beside
            return Optional(self, those, isinstance(wanted, JwtMayFail))
        if isinstance(wanted, JwtAllOf):
            return AllOf([self.compile(part) for part in wanted.requirements])
        return self._any(wanted)

    def _any(self, wanted: JwtAnyOf) -> Requirement:
        """Where several say that a token may be missing, the most lenient does, and comes last (Envoy)."""
        regular = [part for part in wanted.requirements if not isinstance(part, JwtMayBeMissing | JwtMayFail)]
        beside = [self._named(part.provider) for part in regular if isinstance(part, JwtRequired)]
        parts = [self.compile(part) for part in regular]
        if len(regular) < len(wanted.requirements):
            fails = any(isinstance(part, JwtMayFail) for part in wanted.requirements)
            parts.append(self.compile(JwtMayFail() if fails else JwtMayBeMissing(), beside))
        return AnyOf(parts)

    def _named(self, name: str) -> Provider:
        found = self._by_name.get(name)
        if found is None:
            raise ProviderError(f"there is no provider {name!r}")
        return found


def sanitize(head: Head, names: list[bytes]) -> None:
    """Without the fields of these names, which nobody but this proxy may write."""
    for name in names:
        if head.get(name) is not None:
            head.drop(name)

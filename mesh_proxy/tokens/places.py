"""Where tokens are: headers, parameters, cookies; found, and taken out of a request (Envoy ``jwt_authn/extractor``)."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

from mesh_api.config import JwtProvider
from mesh_proxy.protocol.http1 import Head

_LETTER: Final = re.compile(rb"[A-Za-z0-9_.-]")
AUTHORIZATION: Final = b"authorization"
_BEARER: Final = b"Bearer "
_PARAMETER: Final = b"access_token"
_COOKIE: Final = b"cookie"

HEADER: Final = 0
PARAMETER: Final = 1
COOKIE: Final = 2


class Place:
    """One place: its kind and name, what stands before the token (headers), and whose tokens may be there; no issuer is there
    where all are."""

    __slots__ = ("anyone", "issuers", "kind", "name", "prefix")

    def __init__(self, kind: int, name: bytes, prefix: bytes = b"") -> None:
        self.kind = kind
        self.name = name
        self.prefix = prefix
        self.issuers: set[str] = set()
        self.anyone: bool = False

    def permit(self, issuer: str) -> None:
        """Tokens of this issuer (empty: of all) may be here."""
        if issuer:
            self.issuers.add(issuer)
        else:
            self.anyone = True

    def takes(self, issuer: str) -> bool:
        """Whether tokens of that issuer may be here."""
        return self.anyone or issuer in self.issuers

    def clear(self, head: Head) -> None:
        """Take what is here out of the request; cookies stay, as in Envoy."""
        if self.kind == HEADER:
            head.drop(self.name)
        elif self.kind == PARAMETER:
            kept = [part for part in head.query.split(b"&") if _unescaped(part.partition(b"=")[0]) != self.name]
            head.query = b"&".join(kept)
            head.target = head.path + b"?" + head.query if kept else head.path


class Found:
    """A token, as text, and where it was."""

    __slots__ = ("place", "text")

    def __init__(self, text: bytes, place: Place) -> None:
        self.text = text
        self.place = place


class Places:
    """The places of some providers."""

    __slots__ = ("_cookies", "_headers", "_parameters")

    def __init__(self, providers: Iterable[JwtProvider]) -> None:
        headers: dict[bytes, Place] = {}
        parameters: dict[bytes, Place] = {}
        cookies: dict[bytes, Place] = {}
        for provider in providers:
            asked = [(one.name.lower().encode(), one.prefix.encode()) for one in provider.from_headers]
            names = [name.encode() for name in provider.from_params]
            if not (asked or names or provider.from_cookies):
                asked, names = [(AUTHORIZATION, _BEARER)], [_PARAMETER]
            for name, prefix in asked:
                headers.setdefault(name + prefix, Place(HEADER, name, prefix)).permit(provider.issuer)
            for name in names:
                parameters.setdefault(name, Place(PARAMETER, name)).permit(provider.issuer)
            for cookie in provider.from_cookies:
                cookies.setdefault(cookie.encode(), Place(COOKIE, cookie.encode())).permit(provider.issuer)
        self._headers = [place for _, place in sorted(headers.items())]
        self._parameters = [place for _, place in sorted(parameters.items())]
        self._cookies = [place for _, place in sorted(cookies.items())]

    def find(self, head: Head) -> list[Found]:
        """The tokens of a request, in the order in which Envoy comes across them (it verifies the last one first)."""
        found: list[Found] = []
        for place in self._headers:
            value = head.get(place.name)
            if value is not None:
                _find_in_header(value, place, head, found)
        if self._parameters and b"?" in head.target:
            _find_parameters(self._parameters, head.query, found)
        if self._cookies and head.get(_COOKIE) is not None:
            _find_cookies(self._cookies, head, found)
        return found


def _find_in_header(value: bytes, place: Place, head: Head, found: list[Found]) -> None:
    several = b"," in value and place.name != AUTHORIZATION  # which Envoy joins to one
    for text in head.values(place.name) if several else [value]:
        prefix = place.prefix
        if prefix:
            start = text.find(prefix)
            if start < 0:
                continue
            letter = _LETTER.search(text, start + len(prefix))
            found.append(Found(text if letter is None else text[letter.start() :], place))
        else:
            found.append(Found(text, place))


def _find_parameters(places: list[Place], query: bytes, found: list[Found]) -> None:
    values: dict[bytes, bytes] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        values.setdefault(_unescaped(name), value)
    found.extend(Found(_unescaped(values[place.name]), place) for place in places if place.name in values)


def _unescaped(text: bytes) -> bytes:
    return unquote_to_bytes(text) if b"%" in text else text


def _find_cookies(places: list[Place], head: Head, found: list[Found]) -> None:
    values: dict[bytes, bytes] = {}
    for field in head.values(_COOKIE):
        for part in field.split(b";"):
            name, mark, value = part.strip(b" \t").partition(b"=")
            if mark:
                values.setdefault(name, value)
    for place in places:
        text = values.get(place.name)
        if text is not None:
            quoted = len(text) > 1 and text[:1] == text[-1:] == b'"'
            found.append(Found(text[1:-1] if quoted else text, place))

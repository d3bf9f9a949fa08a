"""Keys of issuers of tokens as a source: fetched from where RequestAuthentications say, and kept fresh.

What was fetched once is kept when it cannot be fetched again; where nothing was, the compiler puts keys that no token fits
(:data:`mesh_control.compiler.tokens.NOBODYS_KEYS`). Times are Istio's (``pilot/pkg/model/jwks_resolver.go``).
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from mesh_control.sources.source import Parts
from mesh_control.waking import woken
from mesh_policy import Policy, RequestAuthentication, json_text
from mesh_policy.security.key_sets import check_key_set
from mesh_policy.security.request_authentication import JwtRule

log = logging.getLogger("mesh_control.key_sets")

REFRESH: Final = 20 * 60.0
"""Seconds after which keys are fetched again."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds to the next attempt after a failure; each further one waits twice as long."""
TIMEOUT: Final = 5.0
"""Seconds that fetching may take, where the rule does not say."""
LARGEST: Final = 1 << 20
"""Bytes of an answer; a set of keys has some thousands."""
DISCOVERY: Final = "/.well-known/openid-configuration"
"""Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4)."""


class FetchError(Exception):
    """What cannot be had from an address, in words for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys are: at ``uri``, or where ``issuer`` says. ``timeout`` in seconds for each request."""

    uri: str = ""
    issuer: str = ""
    timeout: float = TIMEOUT

    @property
    def key(self) -> str:
        """What the keys are known by in the world."""
        return self.uri or self.issuer


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a place: the last good ``keys`` (empty: none yet), when to ask again, and how often asking failed."""

    place: Place
    keys: str = ""
    due: float = 0.0
    failures: int = 0
    error: str = ""


def fetched(entry: Entry, keys: str, now: float) -> Entry:
    """The entry with keys that were fetched just now."""
    return Entry(entry.place, keys, now + REFRESH)


def failed(entry: Entry, error: str, now: float) -> Entry:
    """The entry after a failure: its last good keys stay."""
    wait: float = min(FIRST_RETRY * 2**entry.failures, LONGEST_RETRY)
    return replace(entry, due=now + wait, failures=min(entry.failures + 1, 16), error=error)


def places(policies: Iterable[Policy]) -> dict[str, Place]:
    """The places that policies name, by what they are known by; of two timeouts for one the longer counts."""
    found: dict[str, Place] = {}
    for policy in policies:
        if isinstance(policy, RequestAuthentication):
            for place in filter(None, map(_place, policy.spec.jwt_rules or ())):
                known = found.get(place.key, place)
                found[place.key] = place if place.timeout > known.timeout else known
    return found


def _place(rule: JwtRule) -> Place | None:
    if rule.jwks or not (rule.jwks_uri or rule.issuer):
        return None
    timeout = TIMEOUT if rule.timeout is None else rule.timeout.total_seconds()
    return Place(rule.jwks_uri or "", "" if rule.jwks_uri else rule.issuer or "", timeout)


Fetch = Callable[[Place], Awaitable[str]]
"""The keys of a place. Raises :class:`FetchError`."""


class KeySets:
    """See the module's docstring. ``clock`` in seconds, of any beginning."""

    name: ClassVar[str] = "token keys"
    synced: ClassVar[bool] = True

    def __init__(self, fetch: Fetch | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch: Fetch = fetch if fetch is not None else fetch_keys
        self._clock = clock
        self._entries: dict[str, Entry] = {}
        self._wake = asyncio.Event()

    def want(self, policies: Iterable[Policy]) -> None:
        """From now on the keys that these policies ask for; those that are not known are fetched at once."""
        wanted = places(policies)
        if wanted == {key: entry.place for key, entry in self._entries.items()}:
            return
        now = self._clock()
        known = self._entries
        self._entries = {
            key: replace(known[key], place=place) if key in known else Entry(place, due=now)
            for key, place in sorted(wanted.items())
        }
        self._wake.set()

    # As a source

    def read(self) -> Parts:
        """The keys that are known, and the places that do not give theirs."""
        known = self._entries.values()
        return Parts(
            problems=tuple(_problem(entry) for entry in known if entry.failures),
            key_sets={entry.place.key: entry.keys for entry in known if entry.keys},
        )

    async def watch(self, changed: Callable[[], None]) -> None:
        """Fetch what is due. For ever."""
        while True:
            due = min((entry.due for entry in self._entries.values()), default=self._clock() + REFRESH)
            await woken(self._wake, due - self._clock())
            if await self.turn():
                changed()

    async def turn(self) -> bool:
        """Fetch, all at a time, what is due now; whether :meth:`read` may say something else."""
        now = self._clock()
        due = [entry for entry in self._entries.values() if entry.due <= now]
        if not due:
            return False
        before = self.read()
        for entry in await asyncio.gather(*map(self._asked, due)):
            if entry.place.key in self._entries:  # it may be wanted no more
                self._entries[entry.place.key] = replace(entry, place=self._entries[entry.place.key].place)
        return self.read() != before

    async def _asked(self, entry: Entry) -> Entry:
        try:
            return fetched(entry, await self._fetch(entry.place), self._clock())
        except FetchError as error:
            log.warning("%s: %s", entry.place.key, error)
            return failed(entry, str(error), self._clock())
        except Exception as error:  # one issuer's answer must not end the fetching from all others
            log.exception("%s: its keys cannot be fetched", entry.place.key)
            return failed(entry, f"its keys cannot be fetched: {type(error).__name__}", self._clock())


def _problem(entry: Entry) -> str:
    kept = "the last good ones are used" if entry.keys else "no token that needs them is valid until they are there"
    return f"keys of tokens from {entry.place.key}: {entry.error}; {kept}"


# The network.


async def fetch_keys(place: Place, trust: ssl.SSLContext | None = None) -> str:
    """The keys of a place by HTTP. ``trust`` are the roots for HTTPS; by default the system's. Raises :class:`FetchError`."""
    try:
        async with asyncio.timeout(place.timeout * (1 if place.uri else 2)):
            uri = place.uri or await _discovered(place, trust)
            keys = await _get(uri, place.timeout, trust)
    except TimeoutError:
        raise FetchError(f"no answer within {place.timeout:g} s") from None
    try:
        found = json_text.parse(keys)["keys"]
        if not isinstance(found, list) or not found:
            raise ValueError("keys is no list, or an empty one")  # without a key no proxy takes it
        return check_key_set(keys)
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"what is there is no set of keys: {error}") from None


async def _discovered(place: Place, trust: ssl.SSLContext | None) -> str:
    text = await _get(place.issuer.removesuffix("/") + DISCOVERY, place.timeout, trust)
    try:
        document: Any = json_text.parse(text)
    except ValueError as error:
        raise FetchError(f"{DISCOVERY} is no JSON: {error}") from None
    uri = document.get("jwks_uri") if isinstance(document, dict) else None
    if not isinstance(uri, str):
        raise FetchError(f"{DISCOVERY} names no jwks_uri")
    return uri


async def _get(uri: str, timeout: float, trust: ssl.SSLContext | None) -> str:
    import aiohttp  # slow to import, and most meshes verify no tokens

    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(uri, ssl=trust if trust is not None else True) as answer,
        ):
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            body = await answer.content.read(LARGEST + 1)
            while len(body) <= LARGEST and (more := await answer.content.read(LARGEST)):
                body += more
    except TimeoutError:
        raise  # which is an OSError, and told by who knows how long was waited
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(str(error) or type(error).__name__) from None
    if len(body) > LARGEST:
        raise FetchError(f"the answer is longer than {LARGEST} bytes")
    return body.decode(errors="replace")

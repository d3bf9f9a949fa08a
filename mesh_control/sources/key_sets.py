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

from yarl import URL

from mesh_control.issuers import Place, is_own, place_of, wrong_turn
from mesh_control.sources.source import Parts
from mesh_control.waking import woken
from mesh_policy import Policy, RequestAuthentication, json_text
from mesh_policy.security.key_sets import check_key_set

log = logging.getLogger("mesh_control.key_sets")

REFRESH: Final = 20 * 60.0
"""Seconds after which keys are fetched again."""
FIRST_RETRY, LONGEST_RETRY = 1.0, 60.0
"""Seconds to the next attempt after a failure; each further one waits twice as long."""
LARGEST: Final = 1 << 20
"""Bytes of an answer; a set of keys has some thousands."""
REDIRECTS: Final = 3
"""How often an answer may lead to another address."""
DISCOVERY: Final = "/.well-known/openid-configuration"
"""Where an issuer says where its keys are (OpenID Connect Discovery 1.0, section 4)."""


class FetchError(Exception):
    """What cannot be had from an address, in words for people."""


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
    """The places that policies name, by what they are known by."""
    rules = (rule for p in policies if isinstance(p, RequestAuthentication) for rule in p.spec.jwt_rules or ())
    return {place.key: place for place in map(place_of, rules) if place is not None}


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
        self._asking: set[str] = set()
        self._wake = asyncio.Event()

    def want(self, policies: Iterable[Policy]) -> None:
        """From now on the keys that these policies ask for; those that are not known are fetched at once."""
        wanted = places(policies)
        if wanted == {key: entry.place for key, entry in self._entries.items()}:
            return
        now = self._clock()
        known = self._entries
        self._entries = {
            key: known[key] if key in known else Entry(place, due=now) for key, place in sorted(wanted.items())
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
        """Fetch what is due, each by itself: an issuer that lets itself be waited for keeps no other back. For ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                due = min((entry.due for entry in self._idle()), default=self._clock() + REFRESH)
                await woken(self._wake, due - self._clock())
                for entry in self._due():
                    self._asking.add(entry.place.key)
                    group.create_task(self._tell(entry, changed), name=f"keys of {entry.place.key}")

    async def _tell(self, entry: Entry, changed: Callable[[], None]) -> None:
        before = self.read()
        await self._ask(entry)
        self._wake.set()  # it is due again, some time
        if self.read() != before:
            changed()

    async def turn(self) -> bool:
        """Fetch, all at a time, what is due now; whether :meth:`read` may say something else."""
        before = self.read()
        await asyncio.gather(*map(self._ask, self._due()))
        return self.read() != before

    def _idle(self) -> list[Entry]:
        return [entry for key, entry in self._entries.items() if key not in self._asking]

    def _due(self) -> list[Entry]:
        now = self._clock()
        return [entry for entry in self._idle() if entry.due <= now]

    async def _ask(self, entry: Entry) -> None:
        key = entry.place.key
        self._asking.add(key)
        try:
            found = await self._asked(entry)
        finally:
            self._asking.discard(key)
        if key in self._entries:  # it may be wanted no more
            self._entries[key] = found

    async def _asked(self, entry: Entry) -> Entry:
        try:
            return fetched(entry, await self._fetch(entry.place), self._clock())
        except FetchError as error:
            log.warning("%s: %s", entry.place.title, error)
            return failed(entry, str(error), self._clock())
        except Exception as error:  # one issuer's answer must not end the fetching from all others
            log.exception("%s: its keys cannot be fetched", entry.place.title)
            return failed(entry, f"its keys cannot be fetched: {type(error).__name__}", self._clock())


def _problem(entry: Entry) -> str:
    kept = "the last good ones are used" if entry.keys else "no token that needs them is valid until they are there"
    return f"keys of tokens from {entry.place.title}: {entry.error}; {kept}"


# The network.


async def fetch_keys(place: Place, trust: ssl.SSLContext | None = None) -> str:
    """The keys of a place by HTTP. ``trust`` are the roots for HTTPS; by default the system's. Raises :class:`FetchError`."""
    try:
        async with asyncio.timeout(place.timeout * (1 if place.uri else 2)):
            first = URL(place.uri or place.issuer.removesuffix("/") + DISCOVERY)
            uri = first if place.uri else await _discovered(first, place.timeout, trust)
            keys = await _get(first, uri, place.timeout, trust)
    except TimeoutError:
        raise FetchError(f"no answer within {place.timeout:g} s") from None
    except ValueError as error:
        raise FetchError(f"it is no address: {error}") from None
    try:
        found = json_text.parse(keys)["keys"]
        if not isinstance(found, list) or not found:
            raise ValueError("keys is no list, or an empty one")  # without a key no proxy takes it
        return check_key_set(keys)
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"what is there is no set of keys: {error}") from None


async def _discovered(first: URL, timeout: float, trust: ssl.SSLContext | None) -> URL:
    text = await _get(first, first, timeout, trust)
    try:
        document: Any = json_text.parse(text)
    except ValueError as error:
        raise FetchError(f"{DISCOVERY} is no JSON: {error}") from None
    uri = document.get("jwks_uri") if isinstance(document, dict) else None
    if not isinstance(uri, str):
        raise FetchError(f"{DISCOVERY} names no jwks_uri")
    return _turned(first, first, uri, "jwks_uri")


async def _get(first: URL, uri: URL, timeout: float, trust: ssl.SSLContext | None) -> str:
    """What is at ``uri``, perhaps after redirects; ``first`` is what the policy names."""
    for _ in range(REDIRECTS + 1):
        body, location = await _hop(uri, timeout, trust, guarded=not is_own(first.host or "") and uri != first)
        if location is None:
            return body
        uri = _turned(first, uri, location, "redirect")
    raise FetchError(f"more than {REDIRECTS} redirects")


def _turned(first: URL, now: URL, text: str, what: str) -> URL:
    """Where an answer leads. Raises :class:`FetchError` where it must not."""
    try:
        then = now.join(URL(text))
        reason = wrong_turn(first, now, then)
    except ValueError:
        raise FetchError(f"{what} {text[:200]!r}: it is no address") from None
    if reason:
        raise FetchError(f"{what} to {str(then)[:200]}: {reason}; it is not followed")
    return then


async def _hop(uri: URL, timeout: float, trust: ssl.SSLContext | None, *, guarded: bool) -> tuple[str, str | None]:
    """One request: the body, or where it leads. ``guarded``: the name must not stand for this machine."""
    import aiohttp  # slow to import, and most meshes verify no tokens

    from mesh_control.sources.resolving import Outside

    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        connector = aiohttp.TCPConnector(resolver=Outside() if guarded else None)
        async with (
            aiohttp.ClientSession(timeout=limit, connector=connector) as session,
            session.get(uri, ssl=trust if trust is not None else True, allow_redirects=False) as answer,
        ):
            if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
                return "", answer.headers["location"]
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
    return body.decode(errors="replace"), None

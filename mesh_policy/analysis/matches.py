"""Rules of VirtualServices that others before them leave nothing for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.base import Model
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.http_route import HttpMatch, HttpRoute
from mesh_policy.networking.virtual_service import VirtualService
from mesh_policy.positions import Path

VS = Placed[VirtualService]


def unreachable(context: Context) -> Iterator[Finding]:
    """IST0130, IST0131 and MESH0011 for the rules of every protocol."""
    for placed in context.of(VirtualService):
        spec = placed.value.spec
        yield from _http(placed, spec.http or ())
        yield from _Repeated(placed, "tcp").rules([rule.match or () for rule in spec.tcp or ()])
        yield from _Repeated(placed, "tls").rules([rule.match or () for rule in spec.tls or ()])


def _http(placed: VS, rules: Sequence[HttpRoute]) -> Iterator[Finding]:
    repeated = _Repeated(placed, "http", [rule.name or "" for rule in rules])
    yield from repeated.rules([rule.match or () for rule in rules])
    if sum(len(rule.match or ()) for rule in rules) < 2:
        return
    wider = _Wider()
    for place, rule in enumerate(rules):
        if repeated.ends_before(place):
            break
        shadows: list[int] = []
        for index, match in enumerate(rule.match or ()):
            if (place, index) in repeated.repeats:
                shadows.append(repeated.repeats[place, index])
                continue
            by = wider.covering(match)
            wider.add(match, place)
            if by is not None:
                shadows.append(by)
                message = f"lies within a match of {repeated.called(by)}, which takes its requests first"
                yield found("IST0131", placed, ("spec", "http", place, "match", index), message)
        strictly = any((place, index) not in repeated.repeats for index in range(len(rule.match or ())))
        if rule.match and len(shadows) == len(rule.match) and strictly:
            names = ", ".join(dict.fromkeys(repeated.called(by) for by in shadows))
            message = f"is never reached: wider matches of {names} take everything first; put it before"
            yield found("MESH0011", placed, ("spec", "http", place), message)


@dataclass(slots=True)
class _Repeated:
    """Looks for rules after one that takes everything, and for matches that stand twice."""

    placed: VS
    protocol: str
    names: Sequence[str] = ()
    repeats: dict[tuple[int, int], int] = field(default_factory=dict)
    """Rule and match to the earlier rule that has the same match."""
    _last: int | None = None

    def ends_before(self, place: int) -> bool:
        """Whether a rule before this one takes everything."""
        return self._last is not None and self._last < place

    def called(self, place: int) -> str:
        """How messages call a rule."""
        name = self.names[place] if place < len(self.names) else ""
        return f"rule {name!r}" if name else f"rule {place}"

    def rules(self, rules: Sequence[Sequence[Model]]) -> Iterator[Finding]:
        """What is found about the matches of each rule."""
        seen: dict[str, int] = {}
        alone = sum(map(len, rules)) < 2  # nothing to compare with
        for place, matches in enumerate(rules):
            at: Path = ("spec", self.protocol, place)
            if self._last is not None:
                earlier = self.called(self._last)
                message = f"is never reached: {earlier} before it matches everything; move that one to the end"
                yield found("IST0130", self.placed, at, message)
                continue
            for index, match in enumerate(matches):
                key = "" if alone else _key(match)
                if key in seen:
                    self.repeats[place, index] = seen[key]
                    message = f"repeats a match of {self.called(seen[key])}, which takes its requests first"
                    yield found("IST0131", self.placed, (*at, "match", index), message)
                seen.setdefault(key, place)
            if matches and all((place, index) in self.repeats for index in range(len(matches))):
                message = "is never reached: rules before it have all of its matches; remove it"
                yield found("IST0130", self.placed, at, message)
            if not matches or any(_takes_all(match) for match in matches):
                self._last = place


def _key(match: Model) -> str:
    value = match.to_yaml_value()
    value.pop("name", None)
    value.pop("statPrefix", None)
    return repr(sorted((name, repr(sorted(v.items()) if isinstance(v, dict) else v)) for name, v in value.items()))


_FOR_PEOPLE = frozenset({"name", "stat_prefix"})
"""Fields of a match that compare nothing."""


def _takes_all(match: Model) -> bool:
    return all(value is None or name in _FOR_PEOPLE for name, value in match)


class _Wider:
    """The matches so far, found by what a match that they might cover must have in its path."""

    LIMIT = 64
    """How many matches without a path are kept: comparing with each would take the square of their number."""

    def __init__(self) -> None:
        self._anywhere: list[tuple[HttpMatch, int]] = []
        self._prefixes: dict[str, list[tuple[HttpMatch, int]]] = {}
        self._lengths: set[int] = set()
        self._exact: dict[str, list[tuple[HttpMatch, int]]] = {}

    def add(self, match: HttpMatch, rule: int) -> None:
        """Remember a match of a rule."""
        uri = match.uri
        if uri is None:
            if len(self._anywhere) < self.LIMIT:
                self._anywhere.append((match, rule))
        elif uri.prefix is not None:
            known = self._prefixes.setdefault(uri.prefix.lower(), [])
            self._lengths.add(len(uri.prefix))
            if len(known) < self.LIMIT:
                known.append((match, rule))
        elif uri.exact is not None:
            known = self._exact.setdefault(uri.exact.lower(), [])
            if len(known) < self.LIMIT:
                known.append((match, rule))

    def covering(self, match: HttpMatch) -> int | None:
        """The rule of an earlier match that takes every request that this one matches."""
        candidates = list(self._anywhere)
        path = (match.uri.exact if match.uri.exact is not None else match.uri.prefix) if match.uri is not None else None
        if path is not None:
            low = path.lower()
            for end in self._lengths:
                candidates += self._prefixes.get(low[:end], ()) if end <= len(low) else ()
            if match.uri is not None and match.uri.exact is not None:
                candidates += self._exact.get(low, ())
        found_ = [rule for other, rule in candidates if covers(other, match)]
        return min(found_, default=None)


def covers(wide: HttpMatch, narrow: HttpMatch) -> bool:
    """Whether every request that ``narrow`` matches is matched by ``wide``. When in doubt, not."""
    if wide.port not in (None, narrow.port) or wide.source_namespace not in (None, narrow.source_namespace):
        return False
    if not (wide.source_labels or {}).items() <= (narrow.source_labels or {}).items():
        return False
    if wide.gateways is not None and not (narrow.gateways and set(narrow.gateways) <= set(wide.gateways)):
        return False
    if narrow.ignore_uri_case and not wide.ignore_uri_case and wide.uri is not None:
        return False
    if not _covers(wide.uri, narrow.uri, ignore_case=bool(wide.ignore_uri_case)):
        return False
    pairs = ((wide.scheme, narrow.scheme), (wide.method, narrow.method), (wide.authority, narrow.authority))
    if not all(_covers(one, other) for one, other in pairs):
        return False
    if not (_all_covered(wide.headers, narrow.headers) and _all_covered(wide.query_params, narrow.query_params)):
        return False
    excepted = narrow.without_headers or {}  # who excepts less matches more
    return all(n in excepted and _covers(excepted[n], m) for n, m in (wide.without_headers or {}).items())


def _all_covered(wide: Mapping[str, StringMatch] | None, narrow: Mapping[str, StringMatch] | None) -> bool:
    asked = narrow or {}
    return all(name in asked and _covers(match, asked[name]) for name, match in (wide or {}).items())


def _covers(wide: StringMatch | None, narrow: StringMatch | None, ignore_case: bool = False) -> bool:
    if wide is None:
        return True
    if narrow is None:
        return False
    if wide.exact is None and wide.prefix is None and wide.regex is None:
        return True  # it only has to be there
    fold = str.lower if ignore_case else str
    if wide.prefix is not None:
        text = narrow.exact if narrow.exact is not None else narrow.prefix
        return text is not None and fold(text).startswith(fold(wide.prefix))
    if wide.exact is not None:
        return narrow.exact is not None and fold(narrow.exact) == fold(wide.exact)
    return narrow.regex == wide.regex


CHECKS: Sequence[Check] = (unreachable,)

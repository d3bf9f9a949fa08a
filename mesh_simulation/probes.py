"""Requests that show what policies decide: for every match block one that meets it, and those just beside it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from mesh_policy import Policy, VirtualService
from mesh_policy.matchers import StringMatch
from mesh_policy.networking.http_route import HttpMatch
from mesh_simulation.samples import OTHER, near, of_wildcard


@dataclass(frozen=True, slots=True)
class Probe:
    """What can differ between requests to one host: path, method, fields, query, claims."""

    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    claims: tuple[tuple[str, Any], ...] | None = None

    @property
    def target(self) -> str:
        """Path and query."""
        query = "&".join(f"{name}={quote(value, safe='/:@!*(),-._~')}" for name, value in self.query)
        path = quote(self.path if self.path.startswith("/") else f"/{self.path}", safe="/%:@!$&'()*+,;=-._~")
        return path + (f"?{query}" if query else "")

    def with_header(self, name: str, value: str) -> "Probe":
        """With one value of a field."""
        kept = tuple(item for item in self.headers if item[0] != name)
        return replace(self, headers=tuple(sorted((*kept, (name, value)))))

    def with_query(self, name: str, value: str) -> "Probe":
        """With one value of a parameter."""
        kept = tuple(item for item in self.query if item[0] != name)
        return replace(self, query=tuple(sorted((*kept, (name, value)))))


PLAIN = Probe()
_METHODS = ("GET", "POST", "DELETE")


def probes(policies: Iterable[Policy]) -> tuple[Probe, ...]:
    """Those for the policies of one host, the plain request first; each once."""
    found: dict[Probe, None] = {PLAIN: None, replace(PLAIN, path="/" + OTHER): None}
    for policy in policies:
        if isinstance(policy, VirtualService):
            for rule in policy.spec.http or ():
                for match in rule.match or ():
                    found.update(dict.fromkeys(_around(match)))
        elif policy.kind == "AuthorizationPolicy":
            found.update(dict.fromkeys(_of_rules(policy)))
        elif policy.kind == "RequestAuthentication":
            found.update(dict.fromkeys(_of_tokens(policy)))
    return tuple(found)


# Match blocks of VirtualServices.


def _around(match: HttpMatch) -> Iterator[Probe]:
    """One that meets the block, then each of its conditions at its edges and not met, the others staying met."""
    conditions = list(_conditions(match))
    met = PLAIN
    for variants, _ in conditions:
        met = variants[0](met)
    yield met
    for place, (variants, missing) in enumerate(conditions):
        others = PLAIN
        for number, (theirs, _) in enumerate(conditions):
            others = others if number == place else theirs[0](others)
        if missing:
            yield others
        for variant in variants[1:]:
            yield variant(others)


def _conditions(match: HttpMatch) -> Iterator[tuple[list[Any], bool]]:
    """For each condition ways to write a request, the first of which meets it; and whether it can be left out."""
    if match.uri is not None and not match.uri.is_presence:
        values = list(_texts(match.uri))
        if match.ignore_uri_case:
            values.append(values[0].swapcase() if values else "/")
        yield [lambda p, v=value: replace(p, path=v) for value in values] or [lambda p: p], True
    if match.method is not None:
        methods = [text.upper() for text in _texts(match.method)]
        yield [lambda p, v=method: replace(p, method=v) for method in methods] or [lambda p: p], True
    for name, value in sorted((match.headers or {}).items()):
        if not name.startswith("@"):
            yield [lambda p, n=name, v=v: p.with_header(n, v) for v in _texts(value)] or [lambda p: p], True
    for name, value in sorted((match.without_headers or {}).items()):
        yield [lambda p: p, *(lambda p, n=name, v=v: p.with_header(n, v) for v in _texts(value))], False
    for name, value in sorted((match.query_params or {}).items()):
        yield [lambda p, n=name, v=v: p.with_query(n, v) for v in _texts(value)] or [lambda p: p], True


def _texts(match: StringMatch) -> list[str]:
    if match.exact is not None:
        return list(near("exact", match.exact))
    if match.prefix is not None:
        return list(near("prefix", match.prefix))
    return list(near("regex", match.regex)) if match.regex is not None and match.regex != "*" else ["x"]


# Rules of AuthorizationPolicies.


def _of_rules(policy: Any) -> Iterator[Probe]:
    for rule in policy.spec.rules or ():
        wanted = PLAIN
        for condition in rule.when or ():
            wanted = _met(condition, wanted)
        yield wanted
        for condition in rule.when or ():
            for variant in _variants(condition):
                yield _met(condition, wanted) if variant is None else variant(wanted)
        for item in rule.to or ():
            yield from _of_operation(item.operation, wanted)


def _of_operation(operation: Any, wanted: Probe) -> Iterator[Probe]:
    paths = [text for path in (*(operation.paths or ()), *(operation.not_paths or ())) for text in _paths(path)]
    methods = [_method(text) for text in (*(operation.methods or ()), *(operation.not_methods or ()))]
    first = replace(wanted, path=paths[0] if paths else "/", method=methods[0] if methods else "GET")
    yield first
    for path in paths:
        yield replace(first, path=path)
    for method in dict.fromkeys((*methods, *_METHODS)) if methods else ():
        yield replace(first, method=method)
    yield replace(first, path=f"/{OTHER}")


def _paths(text: str) -> Iterator[str]:
    if "{" in text:
        yield text.replace("{**}", "a/b").replace("{*}", "a")
        yield text.replace("{**}", "a").replace("{*}", "a/b")
        return
    yield from near(*of_wildcard(text))


def _method(text: str) -> str:
    return next(near(*of_wildcard(text)), "GET").upper()


def _met(condition: Any, probe: Probe) -> Probe:
    variants = [variant for variant in _variants(condition) if variant is not None]
    return variants[0](probe) if variants and condition.values else probe


def _variants(condition: Any) -> list[Any]:
    key: str = condition.key
    values = [
        v for text in (*(condition.values or ()), *(condition.not_values or ())) for v in near(*of_wildcard(text))
    ]
    if key.startswith("request.headers["):
        name = key[len("request.headers[") : -1].lower()
        return [lambda p, v=v: p.with_header(name, v) for v in values]
    if key.startswith("request.auth."):
        return [lambda p, c=claims: replace(p, claims=c) for v in values if (claims := _claims(key, v)) is not None]
    return []


def _claims(key: str, value: str) -> tuple[tuple[str, Any], ...] | None:
    """A token's claims that have the value where a condition looks for it."""
    if key.startswith("request.auth.claims["):
        names = key[len("request.auth.claims[") : -1].split("][")
        nested: Any = value
        for name in reversed(names[1:]):
            nested = {name: nested}
        return ((names[0], nested),)
    if key == "request.auth.principal":
        issuer, _, subject = value.rpartition("/")
        return (("iss", issuer), ("sub", subject))
    claim = {"request.auth.audiences": "aud", "request.auth.presenter": "azp"}.get(key)
    return None if claim is None else ((claim, value),)


def _of_tokens(policy: Any) -> Iterator[Probe]:
    """Without a token, with one of each issuer, and with one of nobody."""
    for rule in getattr(policy.spec, "jwt_rules", None) or ():
        yield replace(PLAIN, claims=(("iss", rule.issuer), ("sub", "somebody")))
    yield replace(PLAIN, claims=(("iss", OTHER), ("sub", "somebody")))

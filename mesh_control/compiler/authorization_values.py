"""Values of an AuthorizationPolicy as conditions of Envoy (Istio, ``pilot/pkg/security/authz``).

A value is exact, ``abc*`` (begins with), ``*abc`` (ends with) or ``*`` (there is one). A function that cannot make a
condition of a value raises :class:`ValueError`.
"""

import ipaddress
import re

from mesh_api.config import HeaderMatch, StringMatch, StringMatchKind
from mesh_api.config.authorization import (
    JWT_AUTHN,
    JWT_PAYLOAD,
    AllOf,
    AnyOf,
    AnyValueOf,
    Authenticated,
    DestinationIp,
    DestinationPort,
    DirectRemoteIp,
    ListValue,
    MetadataMatch,
    RemoteIp,
    RequestedServerName,
    Rule,
    UriTemplate,
    UrlPath,
    ValueMatch,
)

SPIFFE = "spiffe://"
SOME = StringMatch(StringMatchKind.REGEX, ".+")
"""Anything that is not empty."""

_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")


def quoted(text: str) -> str:
    """The text as an expression of RE2 that matches nothing else (Go's ``QuoteMeta``)."""
    return _SPECIAL.sub(r"\\\1", text)


def expression(pattern: str) -> StringMatch:
    """An expression of RE2, for the whole value."""
    return StringMatch(StringMatchKind.REGEX, pattern)


def text(value: str, before: str = "", ignore_case: bool = False) -> StringMatch:
    """A value of a policy; ``before`` is put in front of it."""
    if value == "*":
        return SOME
    if value.startswith("*"):
        if before:
            return expression(before + ".*" + quoted(value[1:]))
        return StringMatch(StringMatchKind.SUFFIX, value[1:], ignore_case)
    if value.endswith("*"):
        return StringMatch(StringMatchKind.PREFIX, before + value[:-1], ignore_case)
    return StringMatch(StringMatchKind.EXACT, before + value, ignore_case)


def header(name: str, value: str, ignore_case: bool = False) -> HeaderMatch:
    """A header by name; ``*`` asks that it is there, even if it is empty."""
    if value == "*":
        return HeaderMatch(name)
    return HeaderMatch(name, text(value, ignore_case=ignore_case))


def method(value: str) -> Rule:
    """The method of a request."""
    return header(":method", value)


def host(value: str) -> Rule:
    """The ``Host`` of a request, in any case."""
    return header(":authority", value, ignore_case=True)


def path(value: str) -> Rule:
    """The path; with ``{*}`` or ``{**}`` in it, a template."""
    if "{*}" in value or "{**}" in value:
        return UriTemplate(value.replace("{*}", "*").replace("{**}", "**"))
    return UrlPath(text(value))


def port(value: str) -> Rule:
    """The port that was dialled."""
    if not value.isascii() or not value.isdigit() or int(value) > 65535:
        raise ValueError(f"{value!r} is no port")
    return DestinationPort(int(value))


def server_name(value: str) -> Rule:
    """The name that the client asks for in TLS."""
    return RequestedServerName(text(value))


def cidr(value: str) -> str:
    """An address or a range as a range."""
    address, slash, length = value.partition("/")
    parsed = ipaddress.ip_address(address)
    ipaddress.ip_network(value, strict=False)
    return f"{parsed}/{length if slash else parsed.max_prefixlen}"


def destination_ip(value: str) -> Rule:
    """The address that was dialled."""
    return DestinationIp(cidr(value))


def source_ip(value: str) -> Rule:
    """The address of the connection's other end."""
    return DirectRemoteIp(cidr(value))


def remote_ip(value: str) -> Rule:
    """The address of the client."""
    return RemoteIp(cidr(value))


def principal(value: str) -> Rule:
    """The peer's identity, written without ``spiffe://``."""
    return Authenticated(text(value, SPIFFE))


def namespace(value: str) -> Rule:
    """The namespace in the peer's identity; ``*`` may stand anywhere."""
    return Authenticated(expression(f".*/ns/{'.*'.join(map(quoted, value.split('*')))}/.*"))


def service_account(value: str, own_namespace: str) -> Rule:
    """The service account in the peer's identity, ``NAMESPACE/NAME`` or ``NAME`` in the policy's own namespace."""
    place, slash, name = value.partition("/")
    if not slash:
        place, name = own_namespace, value
    return Authenticated(expression(f"spiffe://.+/ns/{quoted(place)}/(.+/|)sa/{quoted(name)}(/.+)?"))


def trust_domain(value: str) -> Rule:
    """The trust domain in the peer's identity."""
    if value == "*":
        return Authenticated(StringMatch(StringMatchKind.PREFIX, SPIFFE))
    if "*" not in value:
        return Authenticated(StringMatch(StringMatchKind.PREFIX, f"{SPIFFE}{value}/"))
    before, _, after = value.partition("*")
    return Authenticated(expression(f"{SPIFFE}{quoted(before)}[^/]*{quoted(after)}/.*"))


# What the token says.


def claim(names: tuple[str, ...], values: tuple[str, ...]) -> Rule:
    """A claim, which may be text or a list of texts."""
    wanted = _one_of(tuple(map(text, values)))
    return MetadataMatch(JWT_AUTHN, (JWT_PAYLOAD, *names), AnyValueOf((ListValue(wanted), wanted)))


def _one_of(matches: tuple[ValueMatch, ...]) -> ValueMatch:
    return matches[0] if len(matches) == 1 else AnyValueOf(matches)


def request_principals(values: tuple[str, ...]) -> Rule:
    """The identity in the token, ``ISSUER/SUBJECT``."""
    made = tuple(map(_request_principal, values))
    return made[0] if len(made) == 1 else AnyOf(made)


def _request_principal(value: str) -> Rule:
    issuer, slash, subject = value.rpartition("/")  # the last one: an issuer may be a URL
    if not slash:
        issuer, subject = value, ""
    matches = _issuer_and_subject(value, issuer, subject, bool(slash))
    return AllOf(
        tuple(
            MetadataMatch(JWT_AUTHN, (JWT_PAYLOAD, name), match)
            for name, match in zip(("iss", "sub"), matches, strict=True)
        )
    )


def _issuer_and_subject(value: str, issuer: str, subject: str, both: bool) -> tuple[StringMatch, StringMatch]:
    exact = StringMatchKind.EXACT
    if value == "*":
        return SOME, SOME
    if value.startswith("*"):
        if both:
            # What is behind the slash is taken as it stands here, also where it ends in an asterisk (Istio).
            return text("*" if issuer == "*" else issuer), StringMatch(exact, subject)
        return SOME, StringMatch(StringMatchKind.SUFFIX, value[1:])
    if value.endswith("*"):
        if both:
            after = SOME if subject == "*" else StringMatch(StringMatchKind.PREFIX, subject[:-1])
            return StringMatch(exact, issuer), after
        return StringMatch(StringMatchKind.PREFIX, value[:-1]), SOME
    return StringMatch(exact, issuer), StringMatch(exact, subject)


def bracketed(key: str, prefix: str) -> str:
    """``NAME`` of ``PREFIX[NAME]``."""
    rest = key.removeprefix(prefix)
    if not (rest.startswith("[") and rest.endswith("]")):
        raise ValueError(f"{key!r} is not of the form {prefix}[NAME]")
    return rest[1:-1]


def claim_names(key: str, prefix: str) -> tuple[str, ...]:
    """The names of ``PREFIX[NAME][NAME]``; brackets that do not pair belong to one name (Istio)."""
    rest = key.removeprefix(prefix)
    if re.fullmatch(r"(\[[^\[\]]*\])+", rest):
        return tuple(re.findall(r"\[([^\[\]]*)\]", rest))
    return (bracketed(key, prefix),)


def envoy_metadata(key: str, values: tuple[str, ...]) -> Rule:
    """What an Envoy filter left: ``experimental.envoy.filters.NAME[KEY]``; a value in brackets asks for a list with it."""
    name, bracket, inner = key.removeprefix("experimental.").removesuffix("]").partition("[")
    if not bracket:
        raise ValueError(f"{key!r} is not of the form experimental.envoy.filters.NAME[KEY]")
    return MetadataMatch(name, (inner,), _one_of(tuple(map(_listed, values))))


def _listed(value: str) -> ValueMatch:
    if value.startswith("[") and value.endswith("]"):
        return ListValue(text(value.strip("[]")))
    return text(value)

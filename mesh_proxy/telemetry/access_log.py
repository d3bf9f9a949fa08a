"""Access log formats with Envoy's command operators, compiled to functions.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mesh_api.config import AccessLog
from mesh_proxy.protocol.http1 import Field, Head
from mesh_proxy.telemetry.operators import CALLED, NAMES, OPTIONAL, PLAIN, Expression, FormatError, Kind
from mesh_proxy.telemetry.record import Record

__all__ = ["DEFAULT_FORMAT", "FormatError", "Operator", "Part", "compile_text", "function", "read_format"]

Operator = Callable[[Record], bytes]
_OPERATOR: Final = re.compile(r"%(?:%|([A-Z_0-9]+)(?:\(([^)]*)\))?(?::(\d+))?%)")
DEFAULT_FORMAT: Final = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% '
    '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" '
    '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n'
)
"""Envoy's own, of a log that does not say."""


class Part(NamedTuple):
    """A piece of a format: text as it stands, or what an operator (with what stands in its parentheses) tells, cut off after
    ``limit`` characters."""

    text: str
    expression: Expression | None = None
    limit: int | None = None
    operator: str = ""
    argument: str = ""

    @property
    def source(self) -> str:
        """The expression, cut off."""
        assert self.expression is not None  # noqa: S101 (asked of operators alone)
        source = self.expression.source
        if self.limit is None or self.expression.kind is Kind.NUMBER:
            return source
        return f"({f'written({source})' if self.expression.kind is Kind.VALUE else f'({source})'})[:{self.limit}]"

    @property
    def kind(self) -> Kind:
        """Of :attr:`source`: a value that is cut off is text."""
        assert self.expression is not None  # noqa: S101 (asked of operators alone)
        cut = self.limit is not None and self.expression.kind is Kind.VALUE
        return Kind.TEXT if cut else self.expression.kind


def read_format(text: str) -> list[Part]:
    """The pieces of a format. Raises :class:`FormatError`."""
    parts: list[Part] = []
    constant, end = "", 0
    for found in _OPERATOR.finditer(text):
        constant += _constant(text, text[end : found.start()])
        end = found.end()
        name, argument, limit = found.groups()
        if name is None:
            constant += "%"
            continue
        if constant:
            parts.append(Part(constant))
            constant = ""
        told = _operator(name, argument, limit is not None)
        parts.append(Part("", told, int(limit) if limit else None, name, argument or ""))
    constant += _constant(text, text[end:])
    if constant:
        parts.append(Part(constant))
    return parts


def _constant(text: str, part: str) -> str:
    if "%" in part:
        raise FormatError(f"{text!r} has a % that begins no operator (%% writes one)")
    return part


def _operator(name: str, argument: str | None, limited: bool) -> Expression:
    if name in PLAIN:
        if not argument and argument is None and not (limited and PLAIN[name].kind is Kind.NUMBER):
            return PLAIN[name]
    elif name in CALLED:
        if argument:
            return _made(name, CALLED[name], argument)
    elif name in OPTIONAL:
        if not limited:
            return _made(name, OPTIONAL[name], argument or "")
    else:
        raise FormatError(f"the access log operator %{name}% is not supported")
    raise FormatError(f"the access log operator %{name}% is not supported in this form")


def _made(name: str, make: Callable[[str], Expression], argument: str) -> Expression:
    try:
        return make(argument)
    except FormatError as error:
        raise FormatError(f"the access log operator %{name}%: {error}") from None


_LINE: Final = """
def line(r):
{setting}
    return {value}
"""
_SETTINGS: Final = (
    ("h", "h = r.host"),
    ("u", "u = r.upstream"),
    ("c", "c = r.connection"),
    ("t", "t = by_name(r.trailers)"),
    ("j", "j = nothing if p is None else values(p)"),
    ("p", "p = r.response"),
    ("i", "i = nothing if q is None else values(q)"),
    ("q", "q = r.request"),
)
"""What expressions use, and how it is had; what is used by those before stands after them."""


JOINED: Final = frozenset(
    b"accept accept-encoding authorization cache-control connection content-type cookie expect forwarded host referer te "
    b"upgrade user-agent via x-envoy-original-path x-forwarded-client-cert x-forwarded-for x-forwarded-host "
    b"x-forwarded-proto x-request-id".split()
)
"""Fields whose several values are one to Envoy; of others it tells the first."""


def values(head: Head) -> dict[bytes, bytes]:
    """The fields of a head by name, as access logs tell them."""
    index = head.index()
    if len(index) == len(head.fields):
        return index
    return {name: value if name in JOINED else head.values(name)[0] for name, value in index.items()}


def by_name(fields: list[Field]) -> dict[bytes, bytes]:
    """Values by name; the first of several."""
    return {field.name: field.value for field in reversed(fields)}


def function(value: str, names: dict[str, Any]) -> Any:
    """A function of a record that returns what an expression says.

    The function is written and read by Python itself: one expression with everything in it costs a third of a function for
    each operator, and it is run for every request. Nothing of a format gets into it but as a literal.
    """
    setting: list[str] = []
    used = value
    for name, had in _SETTINGS:
        if re.search(rf"\b{name}\b", used):
            setting.insert(0, f"    {had}")
            used += " " + had.partition("=")[2]
    source = _LINE.format(setting="\n".join(setting), value=value)
    given: dict[str, Any] = {**NAMES, "nothing": {}, "by_name": by_name, "values": values, **names}
    exec(source, given)  # noqa: S102 (our own text, see above)
    return given["line"]


def names_of(parts: list[Part]) -> dict[str, Any]:
    """The objects that the expressions of a format use."""
    return {name: value for part in parts if part.expression is not None for name, value in part.expression.names}


def text_value(parts: list[Part], absent: str = "-") -> str:
    """The expression for a format as a whole: bytes."""
    template, values = [], []
    for part in parts:
        if part.expression is None:
            template.append(part.text.encode().replace(b"%", b"%%"))
            continue
        source, kind = part.source, part.kind
        if kind is Kind.NUMBER and part.expression.always:
            template.append(b"%d")
            values.append(source)
            continue
        template.append(b"%b")
        if kind is Kind.NUMBER:
            values.append(f'(b"%d" % n if (n := {source}) >= 0 else {absent.encode()!r})')
        elif part.expression.always:
            values.append(source)
        else:
            text = f"written({source})" if kind is Kind.VALUE else f"({source})"
            values.append(f"({text} or {absent.encode()!r})" if absent else text)
    return f"{b''.join(template)!r} % ({''.join(value + ', ' for value in values)})"


def compile_text(text: str, omit_empty: bool = False) -> Operator:
    """A format as a function of a record; what is not there is ``-``, or nothing with ``omit_empty``.

    Raises :class:`FormatError`.
    """
    parts = read_format(text)
    made: Operator = function(text_value(parts, "" if omit_empty else "-"), names_of(parts))
    return made


def text_log(config: AccessLog) -> Operator:
    """The line of a log in text. Raises :class:`FormatError`."""
    return compile_text(config.text_format or DEFAULT_FORMAT, config.omit_empty_values)

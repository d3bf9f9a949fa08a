"""Expressions of CEL over what is known of a request: filters of access logs and labels of metrics (Istio's Telemetry), read
into a tree. Both planes read them: the control plane refuses what no proxy of ours could evaluate.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes and the language's definition. Of it there
are booleans, numbers, strings and lists, ``&& || ! ?:``, comparisons, ``+`` of texts and numbers, ``in``, ``has``, ``size``,
``string``, ``startsWith``, ``endsWith``, ``contains`` and ``matches`` (RE2). What is anything else is refused by name.
"""

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, Union

ATTRIBUTES: Final = frozenset(
    {
        *(
            f"request.{name}"
            for name in (
                "headers", "host", "id", "method", "path", "protocol", "query", "referer", "scheme", "size", "total_size",
                "url_path", "useragent",
            )
        ),
        *(
            f"response.{name}"
            for name in ("code", "code_details", "grpc_status", "headers", "size", "total_size", "trailers")
        ),
        *(f"{end}.{name}" for end in ("source", "destination") for name in ("address", "port")),
        *(
            f"connection.{name}"
            for name in (
                "dns_san_peer_certificate", "id", "mtls", "requested_server_name", "subject_peer_certificate",
                "termination_details", "tls_version", "uri_san_peer_certificate",
            )
        ),
        *(
            f"upstream.{name}"
            for name in ("address", "local_address", "port", "request_attempt_count", "transport_failure_reason")
        ),
        "xds.cluster_name",
        "xds.route_name",
    }
)  # fmt: skip
"""What can be asked for."""
METHODS: Final = frozenset({"size", "startsWith", "endsWith", "contains", "matches"})
"""Functions of a value: those but ``size`` take one argument."""
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")


class ExpressionError(ValueError):
    """An expression that cannot be evaluated here; the message quotes it and says which part."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that stands in the expression: a boolean, a number or text."""

    value: Any


@dataclass(frozen=True, slots=True)
class Attribute:
    """One of :data:`ATTRIBUTES`."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator, or a function, and what it is applied to: ``&&``, ``||``, ``!``, ``?:``, ``in``, ``+``, a comparison,
    ``negated``, ``[]`` (an item), ``list``, ``has``, ``string``, or one of :data:`METHODS`."""

    name: str
    operands: "tuple[Expression, ...]"


Expression: TypeAlias = Union[Constant, Attribute, Operation]  # noqa: UP007 (refers to itself)

_TOKENS: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?u?)|(?P<string>r?\"(?:[^\"\\]|\\.)*\"|r?'(?:[^'\\]|\\.)*')"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[-!<>()\[\].,?:+*/%]))"
)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'", "`": "`", "?": "?"}
_FUNCTIONS: Final = ("has", "size", "string")
DEEPEST: Final = 100
"""How deep an expression may be nested, where one in parentheses counts twice."""


def parse(text: str) -> Expression:
    """The tree of an expression. Raises :class:`ExpressionError`."""
    parser = _Parser(text)
    found = parser.expression()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        self._depth = 0
        place = 0
        while text[place:].strip():
            found = _TOKENS.match(text, place)
            if found is None:
                raise self._error(f"{text[place:].strip()[:10]!r} is not understood")
            self._tokens.append((found.lastgroup or "", found[found.lastgroup or 0]))
            place = found.end()
        self._tokens.append(("end", ""))
        self._place = 0

    def _error(self, reason: str) -> ExpressionError:
        return ExpressionError(f"the expression {self._text!r}: {reason}")

    def _sign(self, *signs: str) -> str:
        """Takes one of these signs, if it is the next token."""
        kind, value = self._tokens[self._place]
        if kind == "sign" and value in signs:
            self._place += 1
            return value
        return ""

    def _must(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._error(f"{sign!r} is missing before {self._tokens[self._place][1] or 'the end'!r}")

    def end(self) -> None:
        """Nothing may follow."""
        if self._tokens[self._place][0] != "end":
            raise self._error(f"{self._tokens[self._place][1]!r} is not supported there")

    def expression(self) -> Expression:
        """``?:`` binds least, then ``||``."""
        self._deeper()
        found = self._disjunction()
        if self._sign("?"):
            held = self._disjunction()
            self._must(":")
            found = Operation("?:", (found, held, self.expression()))
        self._depth -= 1
        return found

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error("is nested too deep")

    def _disjunction(self) -> Expression:
        found = self._conjunction()
        while self._sign("||"):
            found = Operation("||", (found, self._conjunction()))
        return found

    def _conjunction(self) -> Expression:
        found = self._relation()
        while self._sign("&&"):
            found = Operation("&&", (found, self._relation()))
        return found

    def _relation(self) -> Expression:
        left = self._sum()
        if self._tokens[self._place] == ("name", "in"):
            self._place += 1
            return Operation("in", (left, self._sum()))
        sign = self._sign(*COMPARISONS)
        return left if not sign else Operation(sign, (left, self._sum()))

    def _sum(self) -> Expression:
        found = self._unary()
        while self._sign("+"):
            found = Operation("+", (found, self._unary()))
        return found

    def _unary(self) -> Expression:
        self._deeper()
        name = {"!": "!", "-": "negated", "": ""}[self._sign("!", "-")]
        found = Operation(name, (self._unary(),)) if name else self._member(self._primary())
        self._depth -= 1
        return found

    def _primary(self) -> Expression:
        kind, value = self._tokens[self._place]
        if self._sign("("):
            found = self.expression()
            self._must(")")
            return found
        if self._sign("["):
            return self._list()
        self._place += 1
        if kind == "number":
            return Constant(float(value) if "." in value else int(value.rstrip("u")))
        if kind == "string":
            return Constant(_unescaped(value))
        if kind == "name":
            return self._named(value)
        raise self._error(f"{value or 'the end'!r} is not supported there")

    def _list(self) -> Expression:
        items: list[Expression] = []
        while not self._sign("]"):
            items.append(self.expression())
            if not self._sign(","):
                self._must("]")
                break
        return Operation("list", tuple(items))

    def _named(self, name: str) -> Expression:
        if name in ("true", "false"):
            return Constant(name == "true")
        if name in _FUNCTIONS:
            self._must("(")
            inner = self.expression()
            self._must(")")
            return Operation(name, (inner,))
        if not self._sign("."):
            raise self._error(f"{name} is not supported")
        kind, part = self._tokens[self._place]
        self._place += 1
        if kind != "name" or f"{name}.{part}" not in ATTRIBUTES:
            raise self._error(f"the attribute {name}.{part} is not supported")
        return Attribute(f"{name}.{part}")

    def _member(self, found: Expression) -> Expression:
        """``[...]``, ``.field`` and ``.function(...)`` behind a value."""
        while True:
            if self._sign("["):
                found = Operation("[]", (found, self.expression()))
                self._must("]")
            elif self._sign("."):
                kind, name = self._tokens[self._place]
                self._place += 1
                if kind != "name":
                    raise self._error(f"{name!r} is no name")
                found = self._called(found, name)
            else:
                return found

    def _called(self, found: Expression, name: str) -> Expression:
        if not self._sign("("):
            return Operation("[]", (found, Constant(name)))
        if name not in METHODS:
            raise self._error(f"the function {name} is not supported")
        operands = (found,) if name == "size" else (found, self.expression())
        self._must(")")
        return Operation(name, operands)


def _unescaped(literal: str) -> str:
    if literal.startswith("r"):
        return literal[2:-1]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), literal[1:-1])

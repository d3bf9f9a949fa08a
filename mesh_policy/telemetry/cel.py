"""Whether a text is an expression of CEL: its syntax, as Istio's webhook judges it with cel-go's parser.

Names and types are not looked at, as there: Envoy alone knows its attributes. Optional syntax (``a.?b``) is off. Beside the
grammar the parser has rules for integers' ranges, escapes, reserved words, the arguments of macros, and depth.
"""

import math
import re
from collections.abc import Generator
from typing import NamedTuple

MAX_LENGTH = 100_000
"""Characters of an expression (cel-go's limit)."""
MAX_DEPTH = 250
"""How deep each of the grammar's rules, and what is made of it, may be nested (cel-go's limit)."""
RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"}
    | {"namespace", "return", "var", "void", "while"}
)
"""Words that name neither variables nor functions, though they may name fields."""
_KEYWORDS = ("in", "true", "false", "null")
"""Words that name nothing."""
_RANGES = {"all": (2,), "exists": (2,), "exists_one": (2,), "map": (2, 3), "filter": (2,)}
"""Macros of a list or map, each with how many arguments make it one; the first is the variable."""
_ACCUMULATOR = "__result__"

_ESCAPE = r"""\\(?:[abfnrtv"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_STRING = (
    r'[rR]""".*?"""' r"|[rR]'''.*?'''" r'|[rR]"[^"\n\r]*"' r"|[rR]'[^'\n\r]*'"
    rf'|"""(?:{_ESCAPE}|[^\\])*?"""' rf"|'''(?:{_ESCAPE}|[^\\])*?'''"
    rf'|"(?:{_ESCAPE}|[^\\"\n\r])*"' rf"|'(?:{_ESCAPE}|[^\\'\n\r])*'"
)  # fmt: skip
_TOKEN = re.compile(
    rf"(?P<blank>[\t \r\n\f]+|//[^\n]*)|(?P<bytes>[bB](?:{_STRING}))|(?P<text>{_STRING})"
    r"|(?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<uint>0x[0-9a-fA-F]+[uU]|[0-9]+[uU])|(?P<int>0x[0-9a-fA-F]+|[0-9]+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<quoted>`[A-Za-z0-9_./ -]+`)"
    r"|(?P<mark>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,!?:+*/%-])",
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(?:u(.{4})|U(.{8})|.)", re.DOTALL)


class Token(NamedTuple):
    """A word of an expression and where it begins."""

    kind: str
    text: str
    place: int


class Node(NamedTuple):
    """What is known of a part: ``name``, ``field`` (a selection) or ``other``; the name; how deep it is."""

    kind: str
    name: str
    depth: int


Parsing = Generator["Parsing", Node, Node]
"""A rule under way: it yields the rules it needs and gets what they found. No depth of Python's is used."""


def check_expression(text: str) -> str:
    """The expression when its syntax is right; :class:`ValueError` that says where it is wrong and what was expected."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters, not {len(text)}")
    _Parser(text).run()
    return text


def _tokens(text: str) -> list[Token]:
    found, place = [], 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            what = "a text that does not end, or has an unknown escape" if text[place] in "\"'" else "what is no word"
            raise _error(text, place, f"{text[place]!r} begins {what} of CEL")
        kind = str(match.lastgroup)
        if kind == "name" and match[0] in _KEYWORDS:
            kind = "mark" if match[0] == "in" else "constant"
        if kind != "blank":
            found.append(Token(kind, match[0], place))
        place = match.end()
    return [*found, Token("end", "", place)]


def _error(text: str, place: int, what: str) -> ValueError:
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    where = f"line {line}, column {column}" if "\n" in text.strip("\n") else f"column {column}"
    return ValueError(f"is no expression of CEL: {where}: {what}")


class _Parser:
    """The grammar's rules, each a method."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0
        self.nested = {"expression": 0, "relation": 0, "sum": 0}

    def run(self) -> None:
        """All of the text as one expression."""
        stack: list[Parsing] = [self._expression()]
        found = Node("", "", 0)
        asked = next(stack[0], None)
        while stack:
            if asked is not None:
                stack.append(asked)
            try:
                asked = stack[-1].send(found) if asked is None else next(stack[-1])
            except StopIteration as ended:
                stack.pop()
                found, asked = ended.value, None
        if self.token.kind != "end":
            raise self._unexpected("an operator")
        if found.depth > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH}")

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def _unexpected(self, wanted: str) -> ValueError:
        shown = f"`{self.token.text[:40]}`" if self.token.text else "the end"
        return _error(self.text, self.token.place, f"expected {wanted}, found {shown}")

    def _takes(self, *marks: str) -> str:
        """The mark that stands here, if it is one of these, which is passed."""
        if self.token.kind == "mark" and self.token.text in marks:
            self.at += 1
            return self.tokens[self.at - 1].text
        return ""

    def _needs(self, mark: str) -> None:
        if not self._takes(mark):
            raise self._unexpected(f"`{mark}`")

    def _enter(self, rule: str) -> None:
        self.nested[rule] += 1
        if self.nested[rule] > MAX_DEPTH:
            raise _error(self.text, self.token.place, f"is nested deeper than {MAX_DEPTH}")

    def _expression(self) -> Parsing:
        self._enter("expression")
        found = yield self._alternatives()
        if self._takes("?"):
            one = yield self._alternatives()
            self._needs(":")
            other = yield self._expression()
            found = _deeper(found, one, other)
        self.nested["expression"] -= 1
        return found

    def _alternatives(self) -> Parsing:
        found = yield self._relation()
        while self._takes("||", "&&"):  # their order makes no difference to what is right
            other = yield self._relation()
            found = _beside(found, other)
        return found

    def _relation(self, single: bool = False) -> Parsing:
        self._enter("relation")
        found = yield self._sum(1)
        while not single and self._takes("<", "<=", ">=", ">", "==", "!=", "in"):
            other = yield self._relation(single=True)
            found = _deeper(found, other)
        self.nested["relation"] -= 1
        return found

    def _sum(self, binding: int) -> Parsing:
        """Sums (``binding`` 1), products (2), and single values (3)."""
        self._enter("sum")
        found = yield self._unary()
        while True:
            if binding <= 2 and self._takes("*", "/", "%"):
                other = yield self._sum(3)
            elif binding <= 1 and self._takes("+", "-"):
                other = yield self._sum(2)
            else:
                break
            found = _deeper(found, other)
        self.nested["sum"] -= 1
        return found

    def _unary(self) -> Parsing:
        sign, count = self.token.text, 0
        if sign in ("!", "-") and self.token.kind == "mark" and not self._at_negative_number():
            while self._takes(sign):
                count += 1
        found = yield self._member()
        return Node("other", "", found.depth) if count % 2 else found  # twice is not at all

    def _at_negative_number(self) -> bool:
        return self.token.text == "-" and self.tokens[self.at + 1].kind in ("int", "float")

    def _member(self) -> Parsing:
        found = yield self._primary()
        while mark := self._takes(".", "["):
            if mark == "[":
                self._no_optional()
                index = yield self._expression()
                self._needs("]")
                found = _deeper(found, index)
                continue
            self._no_optional()
            name = self.token
            if name.kind not in ("name", "quoted"):
                raise self._unexpected("the name of a field")
            self.at += 1
            if name.kind == "name" and self._takes("("):
                arguments = yield from self._items(")")
                self._check_range_macro(name, arguments)
                found = _deeper(found, *arguments)
            else:
                found = Node("field", name.text, found.depth + 1)
        return found

    def _no_optional(self) -> None:
        if self.token.text == "?":
            raise _error(self.text, self.token.place, "optional syntax (`?`) is not allowed")

    def _items(self, end: str) -> Generator[Parsing, Node, list[Node]]:
        """Expressions between commas, up to the mark that ends them; in lists a comma may follow the last."""
        found: list[Node] = []
        if end == "]" and self._takes(","):
            self._needs(end)
            return found
        while not self._takes(end):
            self._no_optional()
            found.append((yield self._expression()))
            if self._takes(end):
                break
            if not self._takes(","):
                raise self._unexpected(f"`,` or `{end}`")
            if end == ")" and self.token.text == end:
                raise self._unexpected("a further argument")
        return found

    def _entries(self, fields: bool) -> Parsing:
        """Pairs of a map, or of a message (where keys are names of fields), up to the brace that ends them."""
        found = Node("other", "", 0)
        if self._takes(","):
            self._needs("}")
            return found
        while not self._takes("}"):
            self._no_optional()
            if not fields:
                key = yield self._expression()
                found = _beside(found, key)
            elif self.token.kind in ("name", "quoted"):
                self.at += 1
            else:
                raise self._unexpected("the name of a field")
            self._needs(":")
            value = yield self._expression()
            found = _beside(found, value)
            if not self._takes(",") and self.token.text != "}":
                raise self._unexpected("`,` or `}`")
        return found

    def _primary(self) -> Parsing:
        if self._takes("("):
            found = yield self._expression()
            self._needs(")")
            return found
        if self._takes("["):
            return _beside(*(yield from self._items("]")))
        if self._takes("{"):
            return (yield self._entries(fields=False))
        if self.token.kind == "name" or (self.token.text == "." and self.tokens[self.at + 1].kind == "name"):
            return (yield self._named())
        self._literal()
        return Node("other", "", 0)

    def _named(self) -> Parsing:
        """A variable, the call of a function, or a message (``a.b{c: 1}``)."""
        dot = self._takes(".")
        after = self.at + 1
        while self.tokens[after].text == "." and self.tokens[after + 1].kind == "name":
            after += 2
        if self.tokens[after].text == "{":
            self.at = after + 1
            return (yield self._entries(fields=True))
        name = self.token
        self.at += 1
        if name.text in RESERVED:
            raise _error(self.text, name.place, f"`{name.text}` is a reserved word")
        if not self._takes("("):
            return Node("name", dot + name.text, 0)
        arguments = yield from self._items(")")
        if dot + name.text != "has" or len(arguments) != 1:
            return _beside(*arguments)
        if arguments[0].kind != "field":
            raise _error(self.text, name.place, "has() takes the selection of a field, as in has(a.b)")
        return arguments[0]

    def _check_range_macro(self, name: Token, arguments: list[Node]) -> None:
        if len(arguments) not in _RANGES.get(name.text, ()):
            return
        if arguments[0].kind != "name":
            raise _error(self.text, name.place, f"the first argument of {name.text}() is the name of a variable")
        if arguments[0].name == _ACCUMULATOR:
            raise _error(self.text, name.place, f"{_ACCUMULATOR} is no name for a variable of {name.text}()")

    def _literal(self) -> None:
        """A constant; numbers must fit into 64 bits, characters must exist."""
        sign = self._takes("-") if self._at_negative_number() else ""
        token = self.token
        match token.kind:
            case "int":
                value = _integer(sign + token.text)
                fits = -(2**63) <= value < 2**63
            case "uint":
                fits = _integer(token.text[:-1]) < 2**64
            case "float":
                fits = math.isfinite(float(token.text))
            case "text" | "bytes":
                fits = _characters_exist(token)
            case "constant":
                fits = True
            case _:
                raise self._unexpected("a value")
        if not fits:
            raise _error(self.text, token.place, f"`{token.text[:40]}` is out of the range of its type")
        self.at += 1


def _integer(text: str) -> int:
    """The number, or one that is out of every range: Python reads no more than 4300 decimal digits."""
    if "x" in text:
        return int(text, 16)
    digits = text.lstrip("-").lstrip("0")
    return int(text) if len(digits) < 30 else 10**30


def _characters_exist(token: Token) -> bool:
    """Whether all escapes stand for characters: none is a surrogate or beyond Unicode, and bytes have none at all."""
    if token.text.lstrip("bB")[:1] in "rR":
        return True
    for match in _ESCAPED.finditer(token.text):
        digits = match[1] or match[2]
        if digits and (token.kind == "bytes" or not _is_character(int(digits, 16))):
            return False
    return True


def _is_character(code: int) -> bool:
    return code < 0xD800 or 0xDFFF < code <= 0x10FFFF


def _beside(*parts: Node) -> Node:
    return Node("other", "", max((part.depth for part in parts), default=0))


def _deeper(*parts: Node) -> Node:
    return Node("other", "", max(part.depth for part in parts) + 1)

"""Access logs as JSON, compiled like those in text: numbers stay numbers, what is not there is null (Envoy, measured).

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#format-dictionaries
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from mesh_api.config import AccessLog
from mesh_proxy.telemetry.access_log import FormatError, Operator, function, names_of, read_format, text_value
from mesh_proxy.telemetry.operators import PLAIN, Kind

_PLAIN: Final = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')
"""Characters that JSON takes as they are."""


def quoted(value: bytes) -> bytes:
    """A string of JSON. Where bytes are no text, each that is not plain is written by its number (Envoy, measured)."""
    if not value.translate(None, _PLAIN):
        return b'"%b"' % value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return b'"%b"' % b"".join([b"%c" % code if code in _PLAIN else b"\\u00%02x" % code for code in value])
    return json.dumps(text, ensure_ascii=False).encode()


def quoted_or_null(value: bytes) -> bytes:
    """A string, or null where there is nothing to say."""
    return quoted(value) if value else b"null"


def any_value(value: object) -> bytes:
    """A value of metadata."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


_NAMES: Final = {"plain": _PLAIN, "quoted": quoted, "quoted_or_null": quoted_or_null, "any_value": any_value}


_SAFE: Final = frozenset(
    PLAIN[name].source
    for name in (
        "PROTOCOL",
        "RESPONSE_FLAGS",
        "UPSTREAM_HOST",
        "UPSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_LOCAL_ADDRESS",
        "DOWNSTREAM_REMOTE_ADDRESS",
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
        "ACCESS_LOG_TYPE",
        "UPSTREAM_PROTOCOL",
    )
)
"""What never has a character that JSON would write otherwise: nothing of it is anybody's words."""


class _Format:
    """One format on its way to an expression: ``template`` is of ``%``, ``values`` what it is filled with.

    Strings are looked through all at once (``texts``): where none of them has a character that is to be written otherwise, as
    in most lines, they stand as they are. What else they are, where one has, stands in ``careful``.
    """

    def __init__(self, omit_empty: bool) -> None:
        self.omit_empty = omit_empty
        self.template: list[bytes] = []
        self.values: list[str] = []
        self.careful: list[str] = []
        self.texts: list[str] = []
        self.names: dict[str, Any] = dict(_NAMES)

    def add(self, value: Any) -> None:
        """A value of the format: an object, a list, or a string with operators. Raises :class:`FormatError`."""
        if isinstance(value, Mapping):
            self._object(value)
        elif isinstance(value, list):
            self._list(value)
        elif isinstance(value, str):
            self._fill(*self._string(value))
        elif value is None or isinstance(value, bool | int | float):
            number = int(value) if isinstance(value, float) and value.is_integer() else value
            self._literal(json.dumps(number))
        else:
            raise FormatError(f"{value!r} is no format of JSON")

    def _literal(self, text: str) -> None:
        self.template.append(text.encode().replace(b"%", b"%%"))

    def _fill(self, value: str, careful: str = "") -> None:
        self.template.append(b"%b")
        self.values.append(value)
        self.careful.append(careful or value)

    def _object(self, value: Mapping[str, Any]) -> None:
        if self.omit_empty:
            pairs = ", ".join(f"({self._key(key)!r}, {self._nested(value[key])})" for key in sorted(value))
            self.names["joined_object"] = joined_object
            self._fill(f"joined_object(({pairs}{',' if value else ''}))")
            return
        self._literal("{")
        for place, key in enumerate(sorted(value)):
            self._literal(("," if place else "") + self._key(key).decode())
            self.add(value[key])
        self._literal("}")

    def _list(self, value: list[Any]) -> None:
        if self.omit_empty:
            items = "".join(f"{self._nested(item)}, " for item in value)
            self.names["joined_list"] = joined_list
            self._fill(f"joined_list(({items}))")
            return
        self._literal("[")
        for place, item in enumerate(value):
            if place:
                self._literal(",")
            self.add(item)
        self._literal("]")

    @staticmethod
    def _key(key: str) -> bytes:
        return json.dumps(key, ensure_ascii=False).encode() + b":"

    def _nested(self, value: Any) -> str:
        """A value as an expression of its own."""
        made = _Format(self.omit_empty)
        made.add(value)
        self.names |= made.names
        return made.expression()

    def _string(self, text: str) -> tuple[str, str]:
        """One operator alone keeps its type; all else is a string. What it is, and what it is where care is needed."""
        parts = read_format(text)
        self.names |= names_of(parts)
        if len(parts) != 1 or parts[0].expression is None:
            return self._text(text_value(parts, "" if self.omit_empty else "-"), True)
        (part,) = parts
        source, expression = part.source, part.expression
        always = expression is not None and expression.always
        if part.kind is Kind.NUMBER:
            return (f'(b"%d" % ({source}))' if always else f'(b"%d" % n if (n := {source}) >= 0 else b"null")'), ""
        if part.kind is Kind.VALUE:
            return f"any_value({source})", ""
        if source in _SAFE:
            return f"(b'\"%b\"' % s if (s := {source}) else b'null')", ""
        return self._text(source, always)

    def _text(self, source: str, always: bool) -> tuple[str, str]:
        careful = "quoted" if always else "quoted_or_null"
        if self.omit_empty:  # parts are put together one by one there
            return f"{careful}({source})", ""
        name = f"x{len(self.texts)}"
        self.texts.append(f"({name} := {source})")
        plain = f"b'\"%b\"' % {name}"
        return (f"({plain})" if always else f"({plain} if {name} else b'null')"), f"{careful}({name})"

    def expression(self) -> str:
        """Bytes."""
        template = repr(b"".join(self.template))
        quick = f"{template} % ({''.join(value + ', ' for value in self.values)})"
        if not self.texts:
            return quick
        careful = f"{template} % ({''.join(value + ', ' for value in self.careful)})"
        strange = f"b''.join(({''.join(text + ', ' for text in self.texts)})).translate(None, plain)"
        return f"({careful}) if {strange} else ({quick})"


def joined_object(pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """An object of what is not null."""
    return b"{%b}" % b",".join([key + value for key, value in pairs if value != b"null"])


def joined_list(items: tuple[bytes, ...]) -> bytes:
    """A list of what is not null."""
    return b"[%b]" % b",".join([item for item in items if item != b"null"])


def json_log(config: AccessLog) -> Operator:
    """The line of a log as JSON, its keys in order. Raises :class:`FormatError`."""
    given = json.loads(config.json_object) if config.json_object else dict(config.json_format)
    made = _Format(config.omit_empty_values)
    made.add(given)
    made.template.append(b"\n")
    line: Operator = function(made.expression(), made.names)
    return line

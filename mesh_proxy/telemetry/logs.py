"""Access logs, ready: what a record is told to, and in which form."""

from typing import Final

from mesh_api.config import AccessLog, AnyAccessLog, OpenTelemetryAccessLog
from mesh_proxy.telemetry.access_log import DEFAULT_FORMAT, FormatError, Operator, compile_text, text_log
from mesh_proxy.telemetry.json_log import json_log
from mesh_proxy.telemetry.log_filters import Condition, condition_of
from mesh_proxy.telemetry.outbox import Outbox
from mesh_proxy.telemetry.pieces import Pieces
from mesh_proxy.telemetry.record import Record

COMPILED: Final = __file__.endswith(".so")


class Output:
    """Where logs go."""

    __slots__ = ("outbox",)

    def __init__(self) -> None:
        self.outbox = Outbox()
        """Entries for services."""

    def line(self, path: str, text: bytes) -> None:
        """One more line of a file."""
        raise NotImplementedError


class Log:
    """One log. A class and not a function, as everything that is called for each request."""

    __slots__ = ()

    def tell(self, record: Record, output: Output) -> None:
        """Of a record, unless the log does not want it."""
        raise NotImplementedError


class FileLog(Log):
    """Lines of a file, each put together of ``pieces`` or else, where there are none, told by ``line``."""

    __slots__ = ("_condition", "_line", "_pieces", "path")

    def __init__(self, path: str, line: Operator, condition: Condition | None, pieces: Pieces | None = None) -> None:
        self.path = path
        self._line = line
        self._condition = condition
        self._pieces = pieces

    def tell(self, record: Record, output: Output) -> None:
        """See :class:`Log`."""
        condition = self._condition
        if condition is None or condition(record):
            pieces = self._pieces
            output.line(self.path, self._line(record) if pieces is None else pieces.of(record))


class SentLog(Log):
    """Entries for a service of OpenTelemetry: when (nanoseconds), the body, the values of the attributes, and the trace that
    the record belongs to. The supervisor sends them."""

    __slots__ = ("_attributes", "_body", "_condition", "config")

    def __init__(
        self,
        config: OpenTelemetryAccessLog,
        body: Operator,
        attributes: tuple[Operator, ...],
        condition: Condition | None,
    ) -> None:
        self.config = config
        self._body = body
        self._attributes = attributes
        self._condition = condition

    def tell(self, record: Record, output: Output) -> None:
        """See :class:`Log`."""
        condition = self._condition
        if condition is None or condition(record):
            values = tuple([make(record) for make in self._attributes])
            output.outbox.add(
                self.config, (int(record.started * 1e9), self._body(record), values, record.trace_id, record.span_id)
            )


def compile_log(config: AccessLog) -> Operator:
    """The line of one record; an empty one when the log does not want it. Raises :class:`FormatError`."""
    line, condition = _line(config), condition_of(config)
    if condition is None:
        return line
    wanted = condition
    return lambda record: line(record) if wanted(record) else b""


def _line(config: AccessLog) -> Operator:
    return json_log(config) if config.json_format or config.json_object else text_log(config)


def pieces_of(config: AccessLog) -> Pieces:
    """The line of a log in text, as pieces. Raises :class:`FormatError`."""
    return Pieces(config.text_format or DEFAULT_FORMAT, b"" if config.omit_empty_values else b"-")


def log_of(config: AnyAccessLog) -> Log:
    """A log of a configuration. Raises :class:`FormatError`."""
    condition = condition_of(config)
    if isinstance(config, AccessLog):
        plain = not COMPILED or config.json_format or config.json_object
        return FileLog(config.path, _line(config), condition, None if plain else pieces_of(config))
    if isinstance(config, OpenTelemetryAccessLog):
        attributes = tuple(compile_text(text) for _, text in config.attributes)
        return SentLog(config, compile_text(config.body), attributes, condition)
    raise FormatError(f"{type(config).__name__} is not supported yet")

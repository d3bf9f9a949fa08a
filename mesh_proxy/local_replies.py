"""The answers that the proxy gives by itself, as the connection manager wants them (Envoy ``local_reply_config``).

Of each the first mapper that holds says another status, another body, more fields; then the body is written in its form.
That is done before an answer is made one of gRPC, as Envoy does, whose clients find status and body in fields.
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/local_reply
"""

from typing import Final

from mesh_api.config import AccessLog
from mesh_api.config.local_replies import BodyFormat, LocalReplies, ReplyMapper
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.routing.edits import Edits
from mesh_proxy.telemetry.access_log import Operator, compile_text
from mesh_proxy.telemetry.json_log import json_log
from mesh_proxy.telemetry.log_filters import Condition, condition_of
from mesh_proxy.telemetry.record import Record

_TYPE: Final = b"content-type"
_TEXT: Final = b"text/plain"
_JSON: Final = b"application/json"


class _Form:
    """How a body is written."""

    __slots__ = ("content_type", "write")

    def __init__(self, config: BodyFormat) -> None:
        if config.json_object:
            self.write: Operator = json_log(
                AccessLog("", json_object=config.json_object, omit_empty_values=config.omit_empty_values)
            )
        else:
            self.write = compile_text(config.text, config.omit_empty_values)
        usual = _JSON if config.json_object else _TEXT
        self.content_type = config.content_type.encode() or usual


class _Mapper:
    """What becomes of some answers."""

    __slots__ = ("body", "edits", "form", "holds", "status")

    def __init__(self, config: ReplyMapper) -> None:
        self.holds: Condition | None = condition_of(AccessLog("", filter=config.filter))
        self.status: int | None = config.status
        self.body: bytes | None = config.body
        self.form: _Form | None = None if config.format is None else _Form(config.format)
        self.edits: Edits | None = Edits(config.headers, ()) if config.headers else None


class ReplyRules:
    """What a connection manager makes of them. Raises :class:`~mesh_proxy.telemetry.operators.FormatError`."""

    __slots__ = ("_form", "_mappers")

    def __init__(self, config: LocalReplies) -> None:
        self._mappers: tuple[_Mapper, ...] = tuple([_Mapper(mapper) for mapper in config.mappers])
        self._form: _Form | None = None if config.format is None else _Form(config.format)

    def apply(self, reply: LocalReply, fields: list[Field], record: Record) -> tuple[LocalReply, list[Field]]:
        """The answer and its fields as they are wanted; ``record`` tells of the request, and afterwards of this answer."""
        answer = Head()
        answer.status = reply.status
        answer.replace(fields)
        record.response, record.status = answer, reply.status
        status, body, form = reply.status, reply.body, self._form
        mapper = self._mapper(record)
        before = _type_of(fields)
        if mapper is not None:
            body = body if mapper.body is None else mapper.body
            if mapper.edits is not None:
                fields = mapper.edits.apply(fields, record)
                answer.replace(fields)
            if mapper.status is not None:
                status = record.status = answer.status = mapper.status
            form = mapper.form or form
        content_type = _TEXT
        if form is not None:
            record.local_body = body
            body, content_type = form.write(record), form.content_type
            record.local_body = b""
        fields = _typed(fields, body, content_type, body != reply.body and before == _type_of(fields))
        answer.replace(fields)
        return reply._replace(status=status, body=body), fields

    def _mapper(self, record: Record) -> _Mapper | None:
        for mapper in self._mappers:
            if mapper.holds is None or mapper.holds(record):
                return mapper
        return None


def _type_of(fields: list[Field]) -> bytes:
    """What the fields say of the body's type."""
    for field in fields:
        if field.name == _TYPE:
            return field.value
    return b""


def _typed(fields: list[Field], body: bytes, content_type: bytes, anew: bool) -> list[Field]:
    """The fields with the type of the body, unless they say it already; ``anew``: it is another body, whatever they say."""
    if not body:
        return [field for field in fields if field.name != _TYPE]
    if not anew and _type_of(fields):
        return fields
    kept = [field for field in fields if field.name != _TYPE]
    return [field_of(_TYPE, content_type), *kept]

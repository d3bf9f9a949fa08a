"""What becomes of the proxy's own answers; ``tests/parity/cases/local_replies/mapped.yaml`` asks Envoy, too."""

import pytest

from mesh_api.config import (
    BodyFormat,
    HeaderValue,
    LocalReplies,
    ReplyMapper,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from mesh_proxy.errors import LocalReply
from mesh_proxy.local_replies import ReplyRules
from mesh_proxy.protocol.http1 import field_of
from mesh_proxy.telemetry.operators import FormatError
from mesh_proxy.telemetry.record import Record

REPLY = LocalReply(503, "UF", "details", b"body")
HTML = BodyFormat("<%LOCAL_REPLY_BODY%>", content_type="text/html")
ANY = StatusCodeFilter("GE", 0)


def applied(config: LocalReplies, *fields: tuple[bytes, bytes]) -> tuple[int, bytes, dict[bytes, bytes]]:
    record = Record(0.0, 0.0)
    record.flag(REPLY.flags)
    reply, made = ReplyRules(config).apply(REPLY, [field_of(name, value) for name, value in fields], record)
    assert (record.status, record.local_body) == (reply.status, b"")
    assert (reply.flags, reply.details) == (REPLY.flags, REPLY.details)
    return reply.status, reply.body, {field.name: field.value for field in made}


@pytest.mark.parametrize(
    ("config", "status", "body", "kind"),
    [
        (LocalReplies(), 503, b"body", b"text/plain"),
        (LocalReplies(format=HTML), 503, b"<body>", b"text/html"),
        (LocalReplies((ReplyMapper(ANY, status=429),)), 429, b"body", b"text/plain"),
        (LocalReplies((ReplyMapper(ANY, body=b"new"),), HTML), 503, b"<new>", b"text/html"),
        (LocalReplies((ReplyMapper(ANY, body=b""),)), 503, b"", None),
        (LocalReplies((ReplyMapper(ANY, format=BodyFormat("%RESPONSE_CODE%")),), HTML), 503, b"503", b"text/plain"),
        (
            LocalReplies((ReplyMapper(ANY, status=500, format=BodyFormat(json_object='{"a":"%RESPONSE_CODE%"}')),)),
            500,
            b'{"a":500}\n',
            b"application/json",
        ),
        (LocalReplies((ReplyMapper(StatusCodeFilter("EQ", 404), status=200),)), 503, b"body", b"text/plain"),
        (
            LocalReplies((ReplyMapper(ResponseFlagFilter(("UF",)), status=1), ReplyMapper(ANY, status=2))),
            1,
            b"body",
            b"text/plain",
        ),
    ],
)
def test_the_first_mapper_that_holds_decides(
    config: LocalReplies, status: int, body: bytes, kind: bytes | None
) -> None:
    found, content, fields = applied(config)
    assert (found, content, fields.get(b"content-type")) == (status, body, kind)


def test_fields_are_added_and_know_the_answer() -> None:
    header = HeaderValue("x-flags", "%RESPONSE_FLAGS% %RESP(x-before)%")
    _, _, fields = applied(LocalReplies((ReplyMapper(ANY, headers=(header,)),)), (b"x-before", b"there"))
    assert fields == {b"x-before": b"there", b"x-flags": b"UF there", b"content-type": b"text/plain"}


def test_another_body_has_another_type_unless_the_mapper_says_which() -> None:
    typed = (b"content-type", b"text/xml")
    assert applied(LocalReplies(), typed)[2] == {b"content-type": b"text/xml"}
    assert applied(LocalReplies(format=HTML), typed)[2] == {b"content-type": b"text/html"}
    own = ReplyMapper(ANY, body=b"new", headers=(HeaderValue("content-type", "text/css"),))
    assert applied(LocalReplies((own,)), typed)[2] == {b"content-type": b"text/css"}


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(FormatError):
        ReplyRules(LocalReplies(format=BodyFormat("%NO_SUCH_OPERATOR%")))

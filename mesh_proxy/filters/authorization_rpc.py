"""Asking about requests by gRPC: ``envoy.service.auth.v3.Authorization/Check``. Pure.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto
"""

from typing import Final

from mesh_api.config import GrpcService, StringMatch
from mesh_proxy.authorization import Access
from mesh_proxy.filters.authorization_http import FORBIDDEN, PARTIAL, STATUSES, joined, names, of_the_request
from mesh_proxy.filters.base import APPEND, OVERWRITE_OR_ADD, AnswerEdit, Question, Told
from mesh_proxy.filters.decisions import Decision
from mesh_proxy.protocol.http1 import BadMessage, Field, Head, field_of, parse_field, written_grpc_timeout
from mesh_proxy.protocol.protobuf import (
    BadProtobuf,
    Message,
    bytes_of,
    message,
    messages,
    number,
    number_of,
    read,
    read_beginning,
    struct,
    text,
)

_PATH: Final = b"/envoy.service.auth.v3.Authorization/Check"
_TIMEOUT: Final = 0.2
"""Seconds; Envoy's default."""
_PREFIX: Final = 5
"""Bytes before a message of gRPC: whether it is compressed, and its length."""
_UNSAID: Final = -1
_YES: Final = 1
"""What ``append`` of an option may be, which goes before its action."""


class RpcAsking:
    """A server of gRPC."""

    def __init__(self, server: GrpcService, allowed: tuple[StringMatch, ...]) -> None:
        self._server = server
        self._allowed = names(allowed)
        self._timeout = _TIMEOUT if server.timeout is None else server.timeout
        self._authority = (server.authority or server.cluster).encode()
        self._fields = [
            field_of(b"te", b"trailers"),
            field_of(b"grpc-timeout", written_grpc_timeout(self._timeout)),
            field_of(b"content-type", b"application/grpc"),
            *(field_of(name.lower().encode(), value.encode()) for name, value in server.initial_metadata),
        ]

    def question(self, head: Head, access: Access, body: bytes, partial: bool | None, as_bytes: bool) -> Question:
        """What is asked about a request; ``partial``: whether ``body`` is a part of it (``None``: it is not shown)."""
        return self._question(self._check(head, access, body, partial, as_bytes))

    def question_of_connection(self, access: Access) -> Question:
        """What is asked about a connection that carries bytes."""
        return self._question(message(1, _ends(access) + message(11, b"")))

    def _question(self, asked: bytes) -> Question:
        framed = b"\0" + len(asked).to_bytes(4, "big") + asked
        return Question(
            self._server.cluster, b"POST", _PATH, self._authority, self._fields, framed, self._timeout, signed=True
        )

    def _check(self, head: Head, access: Access, body: bytes, partial: bool | None, as_bytes: bool) -> bytes:
        """``CheckRequest``."""
        seconds = int(access.started)
        nanos = int((access.started - seconds) * 1e9)
        request = message(1, number(1, seconds) + number(2, nanos)) + message(
            2, self._http(head, access, body, partial, as_bytes)
        )
        return message(1, _ends(access) + message(4, request) + message(11, b"") + message(13, b""))

    def _http(self, head: Head, access: Access, body: bytes, partial: bool | None, as_bytes: bool) -> bytes:
        """``AttributeContext.HttpRequest``."""
        allowed = self._allowed
        fields: list[Field] = [
            field_of(b":authority", head.host),
            field_of(b":path", head.target),
            field_of(b":method", head.method),
            field_of(b":scheme", head.scheme),
            *joined([field for field in head.fields if of_the_request(field)]),
        ]
        if partial is not None:
            fields.append(field_of(PARTIAL, b"true" if partial else b"false"))
        told = b"".join(
            [
                message(3, text(1, field.name) + text(2, field.value))
                for field in fields
                if (allowed is None or allowed(field.name) or field.name == PARTIAL)
            ]
        )
        shown = text(12, body) if as_bytes else text(11, _readable(body))
        return (
            text(1, access.identity)
            + text(2, head.method)
            + told
            + text(4, head.target)
            + text(5, head.host)
            + text(6, head.scheme)
            + number(9, access.received)
            + text(10, access.protocol)
            + shown
        )

    def decision(self, told: Told) -> Decision | None:
        """What the answer means; ``None``: the server has failed. Who is refused is refused, whatever else is wrong with the
        answer."""
        status = next((field.value for field in (*told.trailers, *told.fields) if field.name == b"grpc-status"), b"0")
        if told.status != 200 or status != b"0" or len(told.body) < _PREFIX or told.body[0]:
            return None
        size = int.from_bytes(told.body[1:_PREFIX], "big")
        content = told.body[_PREFIX : _PREFIX + size]
        try:
            response = read(content)
            if told.whole and len(told.body) == _PREFIX + size:
                return _decided(response, told.milliseconds)
        except BadProtobuf:
            response = read_beginning(content)
        return _refused(response) if _is_refused(response) else None


def _is_refused(response: Message) -> bool:
    try:
        return number_of(read(bytes_of(response, 1)), 1) != 0
    except BadProtobuf:
        return False


def _refused(response: Message) -> Decision:
    """``DeniedHttpResponse``, as far as it can be used."""
    made = Decision()
    made.refusal = FORBIDDEN, b""
    try:
        made.metadata = struct(bytes_of(response, 4))
        refused = read(bytes_of(response, 2))
        code = number_of(read(bytes_of(refused, 1)), 1)
        made.refusal = code if code in STATUSES else FORBIDDEN, bytes_of(refused, 3)
        options = messages(refused, 2)
    except BadProtobuf:
        return made
    for option in options:
        try:
            field, append, _ = _option(option)
        except BadProtobuf:
            continue
        if append != _YES:  # what is to be appended, Envoy forgets
            made.answer.append(AnswerEdit(field))
    return made


def _decided(response: Message, milliseconds: int) -> Decision:
    """``CheckResponse``."""
    if number_of(read(bytes_of(response, 1)), 1):
        return _refused(response)
    made = Decision()
    made.metadata = struct(bytes_of(response, 4))
    _let_go_on(made, read(bytes_of(response, 3)))
    if made.metadata:
        made.metadata["ext_authz_duration"] = milliseconds
    return made


def _let_go_on(made: Decision, told: Message) -> None:
    """``OkHttpResponse``."""
    made.metadata.update(struct(bytes_of(told, 3)))
    for field, append, _ in map(_option, messages(told, 2)):
        if append == _YES:
            made.appended.append(field)
        else:
            made.set_fields.append(field)
    made.removed = [name.lower() for name in messages(told, 5)]
    for field, append, action in map(_option, messages(told, 6)):
        if append != _UNSAID:
            action = APPEND if append == _YES else OVERWRITE_OR_ADD
        made.answer.append(AnswerEdit(field, action))


def _option(data: bytes) -> tuple[Field, int, int]:
    """``HeaderValueOption``: the field, ``append`` (:data:`_UNSAID`, no, :data:`_YES`) and ``append_action``."""
    found = read(data)
    header = read(bytes_of(found, 1))
    value = bytes_of(header, 2) or bytes_of(header, 3)
    append = number_of(read(bytes_of(found, 2)), 1) if 2 in found else _UNSAID
    return _field(bytes_of(header, 1), value), append, number_of(found, 3)


def _field(name: bytes, value: bytes) -> Field:
    """A field of a head. Protobuf would carry line breaks, too, with which it would be several."""
    if name.startswith(b":"):
        return field_of(name, b"")  # no filter heeds it
    if b":" in name:
        raise BadProtobuf("a name that is none")
    try:
        found = parse_field(name + b": " + value)
    except BadMessage as error:
        raise BadProtobuf(str(error)) from None
    return field_of(found.name, found.value)


def _ends(access: Access) -> bytes:
    """Where it comes from and where it came to."""
    principal = access.principals[0] if access.principals else b""
    return message(1, _peer(access.remote, principal)) + message(2, _peer(access.local, access.own_principal))


def _peer(address: bytes, principal: bytes) -> bytes:
    """``AttributeContext.Peer``."""
    host, _, port = address.rpartition(b":")
    socket = text(2, host.strip(b"[]")) + number(3, int(port) if port.isdigit() else 0)
    return message(1, message(1, socket)) + text(4, principal)


def _readable(body: bytes) -> bytes:
    """Text in UTF-8, with ``!`` for what is none (Envoy ``sanitizeUtf8String``)."""
    return body if body.isascii() else body.decode("utf-8", "replace").replace("\ufffd", "!").encode()

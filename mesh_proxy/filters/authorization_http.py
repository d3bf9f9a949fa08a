"""Asking about requests by HTTP: 200 lets them go on (Envoy's ``RawHttpClientImpl``). Pure."""

from collections.abc import Callable
from typing import Final

from mesh_api.config import AuthorizationServer, StringMatch
from mesh_proxy.filters.base import AnswerEdit, Question, Told
from mesh_proxy.filters.decisions import Decision
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.routing.matchers import string_test

OK: Final = 200
_FAILURES: Final = 500
_REMOVE: Final = b"x-envoy-auth-headers-to-remove"
PARTIAL: Final = b"x-envoy-auth-partial-body"
_ALWAYS_ASKED: Final = frozenset({b"authorization"})
_ALWAYS_ANSWERED: Final = frozenset({b"www-authenticate", b"proxy-authenticate", b"location"})
"""What clients get of a refusal whatever the configuration says."""
_NEVER_ANSWERED: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date", b"server"})
"""What is a matter of the connection."""
Test = Callable[[bytes], bool]


def names(patterns: tuple[StringMatch, ...]) -> Test | None:
    """Whether a name (lower case) is one of those; ``None``: there are no patterns."""
    tests = tuple(string_test(pattern) for pattern in patterns)
    if not tests:
        return None
    return lambda name: any(test(name) for test in tests)


def joined(fields: list[Field]) -> list[Field]:
    """Fields with one of each name."""
    known: dict[bytes, Field] = {}
    for field in fields:
        before = known.get(field.name)
        known[field.name] = field if before is None else field_of(field.name, before.value + b"," + field.value)
    return list(known.values())


class HttpAsking:
    """A server of HTTP."""

    def __init__(self, server: AuthorizationServer, allowed: tuple[StringMatch, ...]) -> None:
        self._server = server
        self._prefix = server.path_prefix.encode()
        self._allowed = names(allowed)
        self._added = [field_of(name.lower().encode(), value.encode()) for name, value in server.headers_to_add]
        self._upstream = names(server.upstream_headers)
        self._client = names(server.client_headers)
        self._success = names(server.client_headers_on_success)

    def question(self, head: Head, body: bytes, partial: bool | None) -> Question:
        """What is asked about a request; ``partial``: whether ``body`` is a part of it (``None``: it is not shown)."""
        allowed, added = self._allowed, {field.name for field in self._added}
        fields = [field_of(b"content-length", b"%d" % len(body))]
        found = [
            field
            for field in head.fields
            if field.name in _ALWAYS_ASKED
            or (allowed is not None and allowed(field.name) and field.name != b"content-length")
        ]
        fields += [field_of(field.name, field.value) for field in joined(found) if field.name not in added]
        if partial is not None:
            fields.append(field_of(PARTIAL, b"true" if partial else b"false"))
        fields += self._added
        server = self._server
        target = self._prefix + head.target
        return Question(server.cluster, head.method, target, head.host, fields, body, server.timeout)

    def decision(self, told: Told) -> Decision | None:
        """What the answer means; ``None``: the server has failed."""
        if told.status >= _FAILURES:
            return None
        made = Decision()
        if told.status == OK:
            upstream, success = self._upstream, self._success
            for field in told.fields:
                if upstream is not None and upstream(field.name):
                    made.set_fields.append(field_of(field.name, field.value))
                if success is not None and success(field.name):
                    made.answer.append(AnswerEdit(field_of(field.name, field.value)))
                if field.name == _REMOVE:
                    made.removed += [name.strip().lower() for name in field.value.split(b",")]
            return made
        client = self._client
        made.refusal = told.status, told.body
        made.answer = [
            AnswerEdit(field_of(field.name, field.value))
            for field in told.fields
            if field.name not in _NEVER_ANSWERED
            and (client is None or client(field.name) or field.name in _ALWAYS_ANSWERED)
        ]
        return made

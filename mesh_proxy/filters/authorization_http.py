"""Asking about requests by HTTP: 200 lets them go on (Envoy's ``RawHttpClientImpl``). Pure."""

from collections.abc import Callable
from typing import Final

from mesh_api.config import AuthorizationServer, StringMatch
from mesh_proxy.filters.base import AnswerEdit, Question, Told
from mesh_proxy.filters.decisions import Decision
from mesh_proxy.protocol.http1 import CONNECTION, HOST, INTERNAL, LENGTH, Field, Head, field_of
from mesh_proxy.routing.matchers import string_test

OK: Final = 200
FORBIDDEN: Final = 403
STATUSES: Final = range(200, 600)
"""Which an answer may have that is the last one (RFC 9110 15)."""
_FAILURES: Final = range(500, 600)
_REMOVE: Final = b"x-envoy-auth-headers-to-remove"
PARTIAL: Final = b"x-envoy-auth-partial-body"
_FOR_US: Final = frozenset(
    {b"x-envoy-ip-tags", b"x-envoy-upstream-alt-stat-name", b"x-envoy-upstream-rq-timeout-alt-response"}
)
"""What Envoy itself heeds, or sets, and takes away; besides what is ``INTERNAL``."""
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


def of_the_request(field: Field) -> bool:
    """Whether a field is a matter of the request, and not of the connection that it came by, which is not the one that the
    question goes by (RFC 9110 7.6.1); nor one that only we may say."""
    if field.name == b"te":
        return field.value.lower() == b"trailers"  # the one that is said end to end (Envoy)
    return field.kind < CONNECTION and field.kind != HOST and field.name != PARTIAL


def _of_a_question(field: Field) -> bool:
    """Whether it may stand in the head of a question, whatever the configuration says: neither what frames this one, nor what
    would tell the proxy that asks how to do it."""
    return of_the_request(field) and field.kind not in (INTERNAL, LENGTH) and field.name not in _FOR_US


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
            if field.name in _ALWAYS_ASKED or (allowed is not None and _of_a_question(field) and allowed(field.name))
        ]
        fields += [field_of(field.name, field.value) for field in joined(found) if field.name not in added]
        if partial is not None:
            fields.append(field_of(PARTIAL, b"true" if partial else b"false"))
        fields += self._added
        server = self._server
        target = self._prefix + head.target
        return Question(server.cluster, head.method, target, head.host, fields, body, server.timeout)

    def decision(self, told: Told) -> Decision | None:
        """What the answer means; ``None``: the server has failed. What is neither 200 nor 5xx is a refusal, whatever else is
        wrong with the answer."""
        if told.status in _FAILURES or (told.status == OK and not told.whole):
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
        # A part of a body might mean something else than all of it.
        made.refusal = told.status if told.status in STATUSES else FORBIDDEN, told.body if told.whole else b""
        made.answer = [
            AnswerEdit(field_of(field.name, field.value))
            for field in told.fields
            if field.name not in _NEVER_ANSWERED
            and (client is None or client(field.name) or field.name in _ALWAYS_ANSWERED)
        ]
        return made

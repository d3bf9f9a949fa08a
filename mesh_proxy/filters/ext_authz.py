"""A server says whether requests may go on (Envoy's ``envoy.filters.http.ext_authz``). Where it does not say, they may not,
unless the configuration wants it otherwise.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
"""

from collections.abc import Callable
from typing import Final

from mesh_api.config import ExtAuthzFilter
from mesh_api.config.authorization import EXT_AUTHZ
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.authorization_http import HttpAsking
from mesh_proxy.filters.authorization_rpc import RpcAsking
from mesh_proxy.filters.base import Answer, Ask, Filter, Passed, Told, Verdict, Whole
from mesh_proxy.filters.buffer import TOO_LARGE
from mesh_proxy.filters.decisions import Decision
from mesh_proxy.filters.ext_authz_connections import DENIED, ERROR
from mesh_proxy.protocol.http1 import CONNECTION, EXPECT, HOST, KINDS, LENGTH, PASS, Head, field_of
from mesh_proxy.routing.metadata import MetadataTest
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters

_FLAG: Final = "UAEX"
_FORBIDDEN: Final = 403
_FRAMING: Final = (HOST, LENGTH, EXPECT)


class ExtAuthz(Filter):
    """Asks about every request, or about those that an earlier filter has marked."""

    asks = True

    def __init__(self, config: ExtAuthzFilter, stats: Counters) -> None:
        self._config = config
        self._stats = stats
        self._enabled = None if config.enabled is None else MetadataTest(config.enabled)
        self._http = None if config.http is None else HttpAsking(config.http, config.allowed_headers)
        self._rpc = None if config.grpc is None else RpcAsking(config.grpc, config.allowed_headers)
        body = config.body
        self._most = 0 if body is None else body.max_bytes
        self._as_bytes = body is not None and body.as_bytes

    def before(self) -> Filter | None:
        """Who waits for the body that the server is to see."""
        body = self._config.body
        return None if body is None else _Gathering(body.max_bytes, body.allow_partial, self._enabled)

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """The server is to be asked."""
        if self._enabled is not None and not self._enabled.holds(access.metadata):
            self._stats.add("ext_authz.disabled")
            return None
        content = b"".join(access.body) if self._most else b""
        shown = content[: self._most]
        partial = len(shown) < len(content) if content else None
        if self._http is not None:
            return Ask(self._http.question(head, shown, partial))
        if self._rpc is not None:
            return Ask(self._rpc.question(head, access, shown, partial, self._as_bytes))
        return self._failed()

    def on_told(self, told: Told | None, head: Head, route: CompiledRoute | None, access: Access) -> Verdict:
        """What the server says."""
        decision: Decision | None = None
        if told is not None:
            asking = self._http
            decision = asking.decision(told) if asking is not None else None
            if asking is None and self._rpc is not None:
                decision = self._rpc.decision(told)
        if decision is None:
            return self._failed()
        if decision.metadata:
            access.metadata = {**access.metadata, EXT_AUTHZ: decision.metadata}
        decision.answer = [edit for edit in decision.answer if _may_change(edit.field.name)]
        if decision.refusal is not None:
            self._stats.add("ext_authz.denied")
            status, content = decision.refusal
            reply = LocalReply(status, _FLAG, DENIED, content)
            return Answer(reply, tuple(decision.answer_pairs()), charged=True)
        self._stats.add("ext_authz.ok")
        _change(head, decision)
        return Passed(decision.answer) if decision.answer else None

    def _failed(self) -> Verdict:
        self._stats.add("ext_authz.error")
        if self._config.failure_mode_allow:
            self._stats.add("ext_authz.failure_mode_allowed")
            return None
        return Answer(LocalReply(self._config.status_on_error or _FORBIDDEN, _FLAG, ERROR))


class _Gathering(Filter):
    """Waits for as much of a body as the server is to see."""

    def __init__(self, most: int, partial: bool, enabled: MetadataTest | None) -> None:
        self._whole = Whole(most, None if partial else Answer(TOO_LARGE), tells_length=False)
        self._enabled = enabled

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """It is to be there."""
        if head.upgrade or (self._enabled is not None and not self._enabled.holds(access.metadata)):
            return None
        return self._whole


def _may_change(name: bytes) -> bool:
    """Whether a server may decide about a field, of requests and of answers: never about those that frame the message, nor
    about whom it is for."""
    kind = KINDS.get(name, PASS)
    return kind not in _FRAMING and kind < CONNECTION and not name.startswith(b":")


def _change(head: Head, decision: Decision) -> None:
    """The request as the server wants it."""
    last = {field.name: field for field in decision.set_fields if _may_change(field.name)}
    if last:
        head.replace([field for field in head.fields if field.name not in last])
        for field in last.values():
            head.add(field)
    for field in decision.appended:
        before = head.get(field.name)
        if before is not None and _may_change(field.name):  # to nothing there is nothing to append (Envoy)
            head.drop(field.name)
            head.add(field_of(field.name, before + b"," + field.value))
    dropped = [name for name in decision.removed if _may_change(name)]
    if dropped:
        head.drop(*dropped)

"""Tokens of end users (Envoy's ``envoy.filters.http.jwt_authn``): 401 for requests that do not have what they must.

What verified tokens say is there for the filters behind, and for routes that ask for it.
"""

import time
from collections.abc import Callable

from mesh_api.config import JwtAuthnFilter, JwtRule
from mesh_api.config.authorization import JWT_AUTHN
from mesh_proxy.authorization import Access
from mesh_proxy.errors import LocalReply
from mesh_proxy.filters.base import AGAIN, Answer, Filter, Verdict
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.matchers import HeaderTest, MatcherError, ParameterTest, parse_query
from mesh_proxy.routing.path_tests import path_test
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.provider import Asking, ProviderError
from mesh_proxy.tokens.requirements import Providers, Requirement, sanitize

_REALM_PATH = 256
"""Bytes of the path that a client is told again (Envoy)."""


class Rule:
    """A rule, compiled: for which requests it is, and what they must have (``None``: nothing)."""

    __slots__ = ("_headers", "_parameters", "_path", "requirement")

    def __init__(self, config: JwtRule, providers: Providers) -> None:
        match = config.match
        if match.grpc_only or match.runtime_fraction is not None or match.dynamic_metadata:
            raise MatcherError("rules about tokens look at paths, headers and parameters alone")
        self._path = path_test(match.path)
        self._headers = tuple(HeaderTest(one) for one in match.headers)
        self._parameters = tuple(ParameterTest(one) for one in match.query_parameters)
        self.requirement: Requirement | None = (
            None if config.requirement is None else providers.compile(config.requirement)
        )

    def holds(self, head: Head) -> bool:
        """Whether it is for this request."""
        if not self._path.holds(head.path):
            return False
        for test in self._headers:
            if not test.holds(head):
                return False
        if self._parameters:
            given = parse_query(head.query)
            for parameter in self._parameters:
                if not parameter.holds(given):
                    return False
        return True


class JwtAuthn(Filter):
    """Asks the first rule that is for the request. ``clock`` gives seconds since 1970."""

    def __init__(self, config: JwtAuthnFilter, stats: Counters, clock: Callable[[], float] = time.time) -> None:
        try:
            self._providers = Providers(config.providers)
            self._rules = tuple(Rule(rule, self._providers) for rule in config.rules)
        except ProviderError as error:
            raise MatcherError(str(error)) from None
        self._config = config
        self._stats = stats
        self._clock = clock

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """The answer to a request without what it must have."""
        sanitize(head, self._providers.names)
        if self._config.bypass_cors_preflight and _is_preflight(head):
            self._stats.add("jwt_authn.cors_preflight_bypassed")
            self._stats.add("jwt_authn.allowed")
            return None
        requirement = self._requirement(head)
        if requirement is None:
            self._stats.add("jwt_authn.allowed")
            return None
        target, asking = head.target, Asking(head, int(self._clock()))
        why = requirement.unmet(asking)
        if why:
            self._stats.add("jwt_authn.denied")
            return self._refusal(why, _realm(head, target))
        self._stats.add("jwt_authn.allowed")
        if asking.metadata is not None:
            access.metadata = {**access.metadata, JWT_AUTHN: asking.metadata}
        return AGAIN if asking.reroute else None

    def _requirement(self, head: Head) -> Requirement | None:
        for rule in self._rules:
            if rule.holds(head):
                return rule.requirement
        return None

    def _refusal(self, why: str, realm: bytes) -> Answer:
        details = f"jwt_authn_access_denied{{{why.replace(' ', '_')}}}"
        if self._config.strip_failure_response:
            return Answer(LocalReply(statuses.http_status(why), "", details))
        wrong = b"" if why == statuses.MISSING else b', error="invalid_token"'
        challenge = b'Bearer realm="' + realm + b'"' + wrong
        reply = LocalReply(statuses.http_status(why), "", details, why.encode())
        return Answer(reply, ((b"www-authenticate", challenge),))


def _is_preflight(head: Head) -> bool:
    return head.method == b"OPTIONS" and bool(head.get(b"origin")) and bool(head.get(b"access-control-request-method"))


def _realm(head: Head, target: bytes) -> bytes:
    """What was asked for (Envoy ``buildOriginalUri``); ``target`` is that before tokens were taken out of it."""
    path = head.get(b"x-envoy-original-path") or target
    return b"%b://%b%b" % (head.get(b"x-forwarded-proto") or b"http", head.host, path[:_REALM_PATH])

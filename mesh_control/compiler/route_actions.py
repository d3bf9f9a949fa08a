"""Parts of what a rule of a VirtualService does with a request: answers of its own, retries, faults, copies, edits."""

from collections.abc import Iterable

from mesh_api.config import (
    CorsPolicy,
    DirectResponse,
    FaultPolicy,
    HeaderEdits,
    HeaderValue,
    Mirror,
    Redirect,
    RegexRewrite,
    RetryPolicy,
    StringMatch,
    StringMatchKind,
)
from mesh_api.config.routes import MILLION, NO_EDITS
from mesh_control.compiler import defaults
from mesh_control.compiler.destinations import Place, cluster_of
from mesh_control.compiler.route_matches import compared
from mesh_control.compiler.scope import Scope
from mesh_policy import VirtualService
from mesh_policy.networking import answers
from mesh_policy.networking.headers import HeaderOperations, Headers, is_authority
from mesh_policy.networking.http_route import STATUSES
from mesh_policy.networking.virtual_service import CorsPolicy as Cors
from mesh_policy.networking.virtual_service import HttpRoute, Retries, Rewrite

REDIRECTS = (301, 302, 303, 307, 308)
"""Codes that Envoy answers with."""
BY_CODE = "retriable-status-codes"


def redirect(asked: answers.Redirect, place: Place) -> Redirect | DirectResponse:
    """The redirect. For a code that Envoy has not, istiod makes a route without action, which no proxy takes; here it is an
    error of the server, so that the rest of the table holds."""
    code = asked.redirect_code or 301
    if code not in REDIRECTS:
        return DirectResponse(500)
    port = asked.port
    if asked.derive_port == "FROM_REQUEST_PORT":
        port = place.port
    if port == {"http": 80, "https": 443}[asked.scheme or ("https" if place.tls else "http")]:
        port = None
    return Redirect(
        code=code,
        scheme=asked.scheme or "",
        host=asked.authority or "",
        port=port or None,
        path=asked.uri or "",
        prefix_rewrite=asked.prefix_rewrite or "",
    )


def direct_response(asked: answers.DirectResponse) -> DirectResponse:
    """The answer."""
    return DirectResponse(asked.status, asked.body.content if asked.body is not None else b"")


def retries(scope: Scope, asked: Retries | None, *, hashed: bool) -> RetryPolicy | None:
    """As a rule asks, else as the mesh says, else Istio's default. A consistent hash would be pointless when other hosts were
    sought, unless that is asked for."""
    base, wanted = defaults.OUTBOUND_RETRIES, asked or scope.world.mesh.default_http_retry_policy
    if wanted is None:
        return _default(hashed)
    if not wanted.attempts:
        return None
    conditions, codes = _conditions(wanted.retry_on) if wanted.retry_on else (base.retry_on, ())
    ignore = wanted.retry_ignore_previous_hosts
    return RetryPolicy(
        retry_on=conditions,
        num_retries=wanted.attempts,
        per_try_timeout=wanted.per_try_timeout.total_seconds() if wanted.per_try_timeout is not None else None,
        retriable_status_codes=codes,
        host_selection_retry_max_attempts=base.host_selection_retry_max_attempts,
        avoid_previous_hosts=not hashed if ignore is None else ignore,
        back_off_base=wanted.backoff.total_seconds() if wanted.backoff is not None else base.back_off_base,
        other_priorities=bool(wanted.retry_remote_localities),
    )


def _default(hashed: bool) -> RetryPolicy:
    return defaults.HASHED_RETRIES if hashed else defaults.OUTBOUND_RETRIES


def _conditions(text: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Conditions and status codes; with codes alone, an empty condition stands first (Istio's spelling)."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    codes = tuple(int(word) for word in words if _is_status(word))
    conditions = [word for word in words if not _is_status(word)]
    if codes and not any(BY_CODE in word for word in conditions):
        conditions = [*(conditions or [""]), BY_CODE]
    return tuple(conditions), codes


def _is_status(word: str) -> bool:
    return word.isdecimal() and int(word) in STATUSES


def regex_rewrite(rewrite: Rewrite | None) -> RegexRewrite | None:
    """A change of the path by expression."""
    if rewrite is None or rewrite.uri_regex_rewrite is None:
        return None
    return RegexRewrite(rewrite.uri_regex_rewrite.match, rewrite.uri_regex_rewrite.rewrite)


def mirrors(scope: Scope, owner: VirtualService, rule: HttpRoute, place: Place) -> tuple[Mirror, ...]:
    """Copies of requests, the old form first; none for a share of nothing."""
    asked = []
    if rule.mirror is not None:
        share = rule.mirror_percentage
        if share is None and rule.mirror_percent is not None:
            share = answers.PercentValue(value=rule.mirror_percent)
        asked.append((rule.mirror, share))
    asked += [(mirror.destination, mirror.percentage) for mirror in rule.mirrors or ()]
    return tuple(
        Mirror(cluster_of(scope, owner, to, place), _fraction(share, MILLION), trace_sampled=False)
        for to, share in asked
        if share is None or share.value
    )


def _fraction(percentage: answers.PercentValue | None, default: int) -> int:
    """Parts per million."""
    return default if percentage is None else int((percentage.value or 0.0) * (MILLION / 100))


def fault(asked: answers.Fault | None) -> FaultPolicy | None:
    """Faults that are put in; ``None`` where nothing is that a proxy knows."""
    if asked is None:
        return None
    delay, abort = asked.delay, asked.abort
    fixed = delay.fixed_delay if delay is not None else None
    share = delay.percentage if delay is not None else None
    if share is None and delay is not None and delay.percent is not None:
        share = answers.PercentValue(value=delay.percent)
    made = FaultPolicy(
        delay=fixed.total_seconds() if fixed is not None else None,
        delay_fraction=_fraction(share, 0) if fixed is not None else 0,
        abort_http_status=abort.http_status if abort else None,
        abort_grpc_status=abort.grpc_code if abort else None,
        abort_fraction=_fraction(abort.percentage, 0) if abort else 0,
    )
    known = (made.delay, made.abort_http_status, made.abort_grpc_status)
    return made if any(value is not None for value in known) else None


def cors(asked: Cors | None) -> CorsPolicy | None:
    """Rules across origins."""
    if asked is None:
        return None
    if asked.allow_origins is not None:
        origins = [compared(origin) for origin in asked.allow_origins]
    else:
        origins = [StringMatch(StringMatchKind.EXACT, origin) for origin in asked.allow_origin or ()]
    return CorsPolicy(
        allow_origins=tuple(origins),
        allow_methods=",".join(asked.allow_methods or ()),
        allow_headers=",".join(asked.allow_headers or ()),
        expose_headers=",".join(asked.expose_headers or ()),
        max_age=str(int(asked.max_age.total_seconds())) if asked.max_age is not None else "",
        allow_credentials=asked.allow_credentials,
        forward_unmatched_preflights=asked.unmatched_preflights != "IGNORE",
    )


def edits(headers: Headers | None) -> HeaderEdits:
    """Edits of headers; the host is changed elsewhere, and what begins with a colon not at all."""
    if headers is None:
        return NO_EDITS
    request, response = headers.request or HeaderOperations(), headers.response or HeaderOperations()
    return HeaderEdits(_values(request), _removed(request), _values(response), _removed(response))


def joined(first: HeaderEdits, second: HeaderEdits) -> HeaderEdits:
    """One after the other."""
    if second == NO_EDITS:
        return first
    return HeaderEdits(
        (*first.request_set, *second.request_set),
        (*first.request_remove, *second.request_remove),
        (*first.response_set, *second.response_set),
        (*first.response_remove, *second.response_remove),
    )


def _values(operations: HeaderOperations) -> tuple[HeaderValue, ...]:
    """What is set, then what is added."""
    written = [HeaderValue(name, value) for name, value in sorted((operations.set or {}).items())]
    added = [HeaderValue(name, value, append=True) for name, value in sorted((operations.add or {}).items())]
    return tuple(value for value in (*written, *added) if not _is_internal(value.name))


def _removed(operations: HeaderOperations) -> tuple[str, ...]:
    return tuple(name for name in operations.remove or () if not _is_internal(name))


def _is_internal(name: str) -> bool:
    """Whether no proxy lets it be edited."""
    return name.startswith(":") or name.lower() == "host"


def written_host(headers: Headers | None) -> str:
    """A ``Host`` that is set as a header, which Envoy wants as a rewrite of the host; ``set`` counts before ``add``."""
    request = headers.request if headers is not None else None
    if request is None:
        return ""
    found: Iterable[tuple[str, str]] = (*(request.set or {}).items(), *(request.add or {}).items())
    return next((value for name, value in found if is_authority(name) and value), "")

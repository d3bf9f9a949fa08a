"""Envoy's command operators, each as an expression of Python over a record; see :mod:`mesh_proxy.telemetry.access_log`.

https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#command-operators

In expressions ``r`` is the record, ``q`` its request's head and ``p`` the answer's, ``i``, ``j`` and ``t`` the fields of
these and the trailers by name, ``c`` and ``u`` the facts of the connections to the client and to the host, ``h`` the host.
"""

import json
import os
import re
import socket
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from mesh_proxy.balancing.host import Host
from mesh_proxy.protocol.http1 import Head, is_grpc
from mesh_proxy.telemetry import times
from mesh_proxy.telemetry.certificates import PARTS, certificate_of
from mesh_proxy.telemetry.facts import ClusterFacts, ConnectionFacts
from mesh_proxy.telemetry.record import Record
from mesh_proxy.tls.peer import Peer


class FormatError(ValueError):
    """A format with an operator that is not known, or that is not used as it must be."""


class Kind(Enum):
    """What an expression is: bytes (empty: there is nothing to say), a number (-1: there is none), or any value of JSON
    (``None``: there is none)."""

    TEXT = "text"
    NUMBER = "number"
    VALUE = "value"


class Expression(NamedTuple):
    """What an operator tells. ``always``: there is something to say in any case. ``names`` are objects that it uses."""

    kind: Kind
    source: str
    always: bool = False
    names: tuple[tuple[str, Any], ...] = ()


Make = Callable[[str], Expression]
"""The expression for what stands in the operator's parentheses."""


def _text(source: str, always: bool = False) -> Expression:
    return Expression(Kind.TEXT, source, always)


def _number(source: str, always: bool = True) -> Expression:
    return Expression(Kind.NUMBER, source, always)


def _of(owner: str, source: str) -> Expression:
    return _text(f'(b"" if {owner} is None else {source})')


# Small functions that expressions call.


def port_less(address: bytes) -> bytes:
    """The address of ``ADDRESS:PORT``; one without a port, such as a path, is left as it is."""
    host, colon, port = address.rpartition(b":")
    return host.strip(b"[]") if colon and port.isdigit() else address


def port_of(address: bytes) -> int:
    """The port of ``ADDRESS:PORT``; -1: there is none."""
    port = address.rpartition(b":")[2]
    return int(port) if port.isdigit() else -1


def peer_name(facts: ConnectionFacts | None, part: int) -> bytes:
    """What a peer's certificate says: its URIs (0), DNS names (1) or subject (2)."""
    return b"" if facts is None else _name(facts.peer, part)


def own_name(facts: ConnectionFacts | None, part: int) -> bytes:
    """The same of our own certificate on that connection."""
    return b"" if facts is None or facts.secured is None else _name(facts.secured.local, part)


def _name(peer: Peer | None, part: int) -> bytes:
    if peer is None:
        return b""
    return peer.subject if part == 2 else b",".join(peer.uris if part == 0 else peer.dns)


def certified(facts: ConnectionFacts | None, part: str) -> bytes:
    """A part of the peer's certificate."""
    known = None if facts is None else facts.peer
    return b"" if known is None or not known.certificate else PARTS[part](certificate_of(known.certificate))


def agreed(facts: ConnectionFacts | None, part: str) -> bytes:
    """What was agreed on for TLS."""
    found: bytes = b"" if facts is None or facts.secured is None else getattr(facts.secured, part)
    return found


def long_flags(flags: str) -> bytes:
    """Response flags by their long names."""
    return ",".join(LONG_FLAGS.get(flag, flag) for flag in flags.split(",")).encode()


def unique_id() -> bytes:
    """An id of the entry: another one each time (Envoy)."""
    text = bytearray(os.urandom(16).hex().encode())
    text[12], text[16] = b"4"[0], b"89ab"[text[16] % 4]  # RFC 9562 5.4: a random one
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


_FRAMING: Final = (b"transfer-encoding", b"connection", b"host")
"""Fields that a codec writes, or that are kept elsewhere."""


def fields_size(head: Head | None) -> int:
    """Bytes of names and values of a head, with those that Envoy keeps as fields of their own (``:path`` ...)."""
    if head is None:
        return 0
    size = sum(len(field.name) + len(field.value) for field in head.fields if field.name not in _FRAMING)
    if head.status:
        return size + len(b":status") + 3
    given = ((b":method", head.method), (b":path", head.target), (b":authority", head.host), (b":scheme", head.scheme))
    return size + sum(len(name) + len(value) for name, value in given if value)


def trailers_size(record: Record) -> int:
    """Bytes of names and values of the answer's trailers."""
    return sum(len(field.name) + len(field.value) for field in record.trailers)


def grpc_status(record: Record) -> int:
    """The status of a call of gRPC; -1: there is none, or it is no such call."""
    request, response = record.request, record.response
    if request is None or not is_grpc(request):
        return -1
    found = next((field.value for field in record.trailers if field.name == b"grpc-status"), None)
    if found is None and response is not None:
        found = response.get(b"grpc-status")
    if found is not None:
        return int(found) if found.isdigit() and len(found) < 10 else 2
    return HTTP_TO_GRPC.get(record.status, 2) if record.status else -1


def grpc_text(record: Record, names: tuple[str, ...]) -> bytes:
    """The status by its name, or as a number that has none."""
    status = grpc_status(record)
    return b"" if status < 0 else (names[status] if status < len(names) else str(status)).encode()


def host_name(host: Host | None) -> bytes:
    """The name of a host by discovery, else its address."""
    return b"" if host is None else host.hostname.encode() or host.address


def query_parameter(record: Record, name: bytes) -> bytes:
    """The first value of a parameter of the request's path."""
    for part in record.path.partition(b"?")[2].split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name:
            return value
    return b""


def unquoted(record: Record) -> bytes:
    """The query of the request's path; its values are escaped no more than they must be."""
    parts = [part.partition(b"=") for part in record.path.partition(b"?")[2].split(b"&")]
    return b"&".join([name + mark + quote(unquote_to_bytes(value), safe="").encode() for name, mark, value in parts])


def lookup(metadata: dict[str, object] | None, path: tuple[str, ...]) -> object:
    """A value in metadata; ``None``: there is none."""
    found: object = metadata
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def cluster_metadata(destination: ClusterFacts | None, path: tuple[str, ...]) -> object:
    """A value in the metadata of the cluster."""
    return None if destination is None else lookup(destination.metadata, path)


def host_metadata(host: Host | None, path: tuple[str, ...]) -> object:
    """A value in the metadata of the host."""
    if host is None or host.endpoint is None or not path:
        return None
    pairs = {"istio": host.endpoint.metadata, "envoy.lb": host.endpoint.lb_metadata}.get(path[0])
    return lookup({path[0]: dict(pairs)}, path) if pairs else None


def written(value: object) -> bytes:
    """A value as text: a string as it is, anything else as JSON; nothing is empty."""
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


HTTP_TO_GRPC: Final = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_CAMEL: Final = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
)  # fmt: skip
_SNAKE: Final = ("OK", "CANCELLED", *(re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper() for name in _CAMEL[2:]))

LONG_FLAGS: Final = {
    "LH": "FailedLocalHealthCheck", "UH": "NoHealthyUpstream", "UT": "UpstreamRequestTimeout", "LR": "LocalReset",
    "UR": "UpstreamRemoteReset", "UF": "UpstreamConnectionFailure", "UC": "UpstreamConnectionTermination",
    "UO": "UpstreamOverflow", "NR": "NoRouteFound", "DI": "DelayInjected", "FI": "FaultInjected", "RL": "RateLimited",
    "UAEX": "UnauthorizedExternalService", "RLSE": "RateLimitServiceError", "DC": "DownstreamConnectionTermination",
    "URX": "UpstreamRetryLimitExceeded", "SI": "StreamIdleTimeout", "IH": "InvalidEnvoyRequestHeaders",
    "DPE": "DownstreamProtocolError", "UMSDR": "UpstreamMaxStreamDurationReached", "RFCF": "ResponseFromCacheFilter",
    "NFCF": "NoFilterConfigFound", "DT": "DurationTimeout", "UPE": "UpstreamProtocolError", "NC": "NoClusterFound",
    "OM": "OverloadManagerTerminated", "DF": "DnsResolutionFailed", "DO": "DropOverload", "DR": "DownstreamRemoteReset",
    "UDO": "UnconditionalDropOverload",
}  # fmt: skip
"""Response flags (Envoy ``ResponseFlagUtils``)."""

_PSEUDO: Final = {
    b":path": "r.path",
    b"x-envoy-original-path": "r.original_path",
    b":method": 'b"" if q is None else q.method',
    b":authority": 'b"" if q is None else q.host',
    b":scheme": 'b"" if q is None else q.scheme',
    b"host": 'b"" if q is None else q.host',
}
"""Fields of a request that stand elsewhere than among its fields."""


def request_field(name: str) -> str:
    """The expression for a field of the request."""
    lower = name.strip().lower().encode()
    return _PSEUDO.get(lower) or f'i.get({lower!r}, b"")'


def _field(name: str) -> str:
    lower = name.strip().lower().encode()
    if lower == b":status":
        return '(b"%d" % r.status if r.status else b"")'
    return f'j.get({lower!r}, b"")'


def _trailer(name: str) -> str:
    return f't.get({name.strip().lower().encode()!r}, b"")'


def _alternates(of_one: Callable[[str], str]) -> Make:
    """``X?Y``: the first one that is there."""

    def make(argument: str) -> Expression:
        names = argument.split("?")
        if len(names) > 2 or not all(name.strip() for name in names):
            raise FormatError(f"{argument!r} is no field, with one other at most in its place")
        return _text(" or ".join(f"({of_one(name)})" for name in names))

    return make


def _time(local: bool, of: str = "r.started") -> Make:
    def make(argument: str) -> Expression:
        try:
            write = times.stamp(argument, local)
        except times.TimeFormatError as error:
            raise FormatError(str(error)) from None
        name = f"stamp_{'local_' if local else ''}{'started' if of == 'r.started' else 'now'}_{argument.encode().hex()}"
        return Expression(Kind.TEXT, f"{name}({of})", True, ((name, write),))

    return make


def _duration(argument: str) -> Expression:
    """``BEGIN:END:PRECISION``."""
    begin, _, rest = argument.partition(":")
    end, _, precision = rest.partition(":")
    parts = times.PRECISIONS.get(precision or "ms")
    for point in (begin, end):
        if point not in times.POINTS:
            raise FormatError(f"{point!r} is none of the points of time {', '.join(times.POINTS)}")
    if parts is None:
        raise FormatError(f"{precision!r} is none of {', '.join(times.PRECISIONS)}")
    return _number(f"between({times.POINTS[begin]}, {times.POINTS[end]}, {parts})", False)


def _grpc(argument: str) -> Expression:
    if argument == "NUMBER":
        return _number("grpc_status(r)", False)
    if argument not in ("", "CAMEL_STRING", "SNAKE_STRING"):
        raise FormatError(f"{argument!r} is none of CAMEL_STRING, SNAKE_STRING, NUMBER")
    return _text(f"grpc_text(r, {'snake' if argument == 'SNAKE_STRING' else 'camel'})")


def _environment(argument: str) -> Expression:
    """Of a variable that is not set Envoy says ``-`` also where nothing is left out."""
    return _text(repr(os.environ.get(argument, "-").encode()), True)


def _path_of(argument: str) -> tuple[str, ...]:
    path = tuple(argument.split(":"))
    if not all(path):
        raise FormatError(f"{argument!r} is no namespace and keys")
    return path


def _metadata(where: str) -> Make:
    return lambda argument: Expression(Kind.VALUE, where.format(path=repr(_path_of(argument))))


_METADATA: Final = {
    "DYNAMIC": "lookup(r.metadata, {path})",
    "CLUSTER": "cluster_metadata(r.destination, {path})",
    "UPSTREAM_HOST": "host_metadata(h, {path})",
}


def _any_metadata(argument: str) -> Expression:
    """``TYPE:NAMESPACE:KEY`` (Envoy ``envoy.formatter.metadata``)."""
    kind, _, rest = argument.partition(":")
    if kind not in _METADATA:
        raise FormatError(f"metadata of {kind!r} are none of {', '.join(_METADATA)}")
    return _metadata(_METADATA[kind])(rest)


def _filter_state(argument: str) -> Expression:
    """No filter of ours leaves such objects."""
    key, _, form = argument.partition(":")
    if not key or form.partition(":")[0] not in ("", "PLAIN", "TYPED", "FIELD"):
        raise FormatError(f"{argument!r} is no object and PLAIN, TYPED or FIELD")
    return Expression(Kind.VALUE, "None")


def _query(argument: str) -> Expression:
    return _text(f"query_parameter(r, {argument.encode()!r})")


_PATHS: Final = {"ORIG": "r.original_path", "PATH": "r.path", "ORIG_OR_PATH": "(r.original_path or r.path)"}


def _path(argument: str) -> Expression:
    """``WQ`` or ``NQ`` (with the query, or not), and which path."""
    query, _, which = argument.partition(":")
    source = _PATHS.get(which or "ORIG_OR_PATH")
    if query not in ("", "WQ", "NQ") or source is None:
        raise FormatError(f"{argument!r} is not WQ or NQ, and ORIG, PATH or ORIG_OR_PATH")
    return _text(source + ('.partition(b"?")[0]' if query == "NQ" else ""))


def _queries(argument: str) -> Expression:
    if argument not in ("ORIG", "DECODED"):
        raise FormatError(f"{argument!r} is neither ORIG nor DECODED")
    return _text("unquoted(r)" if argument == "DECODED" else 'r.path.partition(b"?")[2]')


def _addresses(prefix: str, source: str) -> dict[str, Expression]:
    return {
        f"{prefix}_ADDRESS": _text(source),
        f"{prefix}_ADDRESS_WITHOUT_PORT": _text(f"port_less({source})"),
        f"{prefix}_PORT": _number(f"port_of({source})", False),
    }


def _secured(prefix: str, facts: str, absent: tuple[str, ...] = ()) -> dict[str, Expression]:
    """Those of TLS, without those that there are on the other side alone."""
    names = {"URI_SAN": 0, "DNS_SAN": 1, "SUBJECT": 2}
    found = {f"{prefix}_PEER_{name}": _text(f"peer_name({facts}, {part})") for name, part in names.items()}
    found |= {f"{prefix}_LOCAL_{name}": _text(f"own_name({facts}, {part})") for name, part in names.items()}
    found |= {f"{prefix}_PEER_{name}": _text(f"certified({facts}, {name!r})") for name in PARTS}
    parts = {"VERSION": "version", "CIPHER": "cipher", "SESSION_ID": "session"}
    found |= {f"{prefix}_TLS_{name}": _text(f"agreed({facts}, {part!r})") for name, part in parts.items()}
    return {name: made for name, made in found.items() if name.removeprefix(prefix) not in absent}


_DOWNSTREAM_ALONE: Final = (
    "_LOCAL_SUBJECT", "_PEER_SERIAL", "_PEER_FINGERPRINT_1", "_PEER_FINGERPRINT_256", "_PEER_EMAIL_SAN",
)  # fmt: skip
_DIRECT_REMOTE: Final = '(b"" if c is None else c.direct_remote)'

PLAIN: Final[dict[str, Expression]] = {
    "PROTOCOL": _text("r.protocol"),
    "RESPONSE_CODE": _number("r.status"),
    "RESPONSE_FLAGS": _text('(r.flags.encode() or b"-")', True),
    "RESPONSE_FLAGS_LONG": _text('(long_flags(r.flags) if r.flags else b"-")', True),
    "RESPONSE_CODE_DETAILS": _text("r.details.encode()"),
    "CONNECTION_TERMINATION_DETAILS": _text("r.termination.encode()"),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _text("r.failure.encode()"),
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON": _of("c", "c.failure"),
    "BYTES_RECEIVED": _number("r.bytes_received"),
    "BYTES_SENT": _number("r.bytes_sent"),
    "DOWNSTREAM_HEADER_BYTES_RECEIVED": _number("r.head_received"),
    "DOWNSTREAM_HEADER_BYTES_SENT": _number("r.head_sent"),
    "REQUEST_HEADERS_BYTES": _number("fields_size(q)"),
    "RESPONSE_HEADERS_BYTES": _number("fields_size(p)"),
    "RESPONSE_TRAILERS_BYTES": _number("trailers_size(r)"),
    "DURATION": _number("int((r.ended - r.began) * 1000)"),
    "REQUEST_DURATION": _number("between(r.began, r.heard, 1000)", False),
    "REQUEST_TX_DURATION": _number("between(r.began, r.heard if r.passed else 0.0, 1000)", False),
    "RESPONSE_DURATION": _number("between(r.began, r.answered, 1000)", False),
    "RESPONSE_TX_DURATION": _number("between(r.answered, r.ended, 1000)", False),
    "DOWNSTREAM_HANDSHAKE_DURATION": _number(
        "(between(c.began, c.stood, 1000) if c is not None and c.secured is not None else -1)", False
    ),
    "UPSTREAM_CONNECTION_POOL_READY_DURATION": _number("between(r.began, r.passed, 1000)", False),
    "UPSTREAM_HOST": _text("r.upstream_host"),
    "UPSTREAM_HOST_NAME": _text("host_name(h)"),
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": _text("port_less(host_name(h))"),
    "UPSTREAM_CLUSTER": _text("(r.cluster if r.destination is None else r.destination.observed)"),
    "UPSTREAM_CLUSTER_RAW": _text("r.cluster"),
    "UPSTREAM_PROTOCOL": _of("u", "u.protocol"),
    "UPSTREAM_CONNECTION_ID": _number("(0 if u is None else u.number)"),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": _number("r.attempts"),
    "CONNECTION_ID": _number("(-1 if c is None else c.number)", False),
    "FILTER_CHAIN_NAME": _of("c", "c.chain"),
    "REQUESTED_SERVER_NAME": _text("r.sni"),
    "ROUTE_NAME": _text("r.route"),
    "LOCAL_REPLY_BODY": _text("r.local_body", True),
    "VIRTUAL_CLUSTER_NAME": _text('b""'),
    "ACCESS_LOG_TYPE": _text("r.kind", True),
    "UNIQUE_ID": _text("unique_id()", True),
    "STREAM_ID": _text('i.get(b"x-request-id", b"")'),
    "TRACE_ID": _text("r.trace_id"),
    "GRPC_STATUS_NUMBER": _number("grpc_status(r)", False),
    "HOSTNAME": _text(repr(socket.gethostname().encode()), True),
    **_addresses("DOWNSTREAM_REMOTE", "r.downstream_remote"),
    **_addresses("DOWNSTREAM_DIRECT_REMOTE", _DIRECT_REMOTE),
    **_addresses("DOWNSTREAM_LOCAL", "r.downstream_local"),
    **_addresses("DOWNSTREAM_DIRECT_LOCAL", '(b"" if c is None else c.direct_local)'),
    **_addresses("UPSTREAM_LOCAL", "r.upstream_local"),
    **_addresses("UPSTREAM_REMOTE", '(b"" if u is None else r.upstream_host)'),
    **_secured("DOWNSTREAM", "c"),
    **_secured("UPSTREAM", "u", _DOWNSTREAM_ALONE),
}
"""Operators without an argument."""

CALLED: Final[dict[str, Make]] = {
    "REQ": _alternates(request_field),
    "RESP": _alternates(_field),
    "TRAILER": _alternates(_trailer),
    "COMMON_DURATION": _duration,
    "ENVIRONMENT": _environment,
    "DYNAMIC_METADATA": _metadata(_METADATA["DYNAMIC"]),
    "CLUSTER_METADATA": _metadata(_METADATA["CLUSTER"]),
    "UPSTREAM_METADATA": _metadata(_METADATA["UPSTREAM_HOST"]),
    "METADATA": _any_metadata,
    "FILTER_STATE": _filter_state,
    "UPSTREAM_FILTER_STATE": _filter_state,
    "QUERY_PARAM": _query,
    "QUERY_PARAMS": _queries,
    "REQ_WITHOUT_QUERY": lambda argument: Expression(
        Kind.TEXT, f'({_alternates(request_field)(argument).source}).partition(b"?")[0]'
    ),
}
"""Operators that need an argument."""

OPTIONAL: Final[dict[str, Make]] = {
    "START_TIME": _time(False),
    "START_TIME_LOCAL": _time(True),
    "EMIT_TIME": _time(False, "wall()"),
    "EMIT_TIME_LOCAL": _time(True, "wall()"),
    "GRPC_STATUS": _grpc,
    "PATH": _path,
}
"""Operators that may have one."""

NAMES: Final[dict[str, Any]] = {
    "agreed": agreed,
    "between": times.between,
    "camel": _CAMEL,
    "certified": certified,
    "cluster_metadata": cluster_metadata,
    "fields_size": fields_size,
    "grpc_status": grpc_status,
    "grpc_text": grpc_text,
    "host_metadata": host_metadata,
    "host_name": host_name,
    "long_flags": long_flags,
    "lookup": lookup,
    "own_name": own_name,
    "peer_name": peer_name,
    "port_less": port_less,
    "port_of": port_of,
    "query_parameter": query_parameter,
    "snake": _SNAKE,
    "trailers_size": trailers_size,
    "unique_id": unique_id,
    "unquoted": unquoted,
    "wall": time.time,
    "written": written,
}
"""What expressions call."""

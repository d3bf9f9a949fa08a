"""What is done to a request before it is routed: its form is judged, its path normalised, its origin written down."""

import contextlib
from ipaddress import ip_address
from typing import Final

from mesh_api.config import HttpConnectionManager
from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import (
    CLIENT_CERT,
    EXTERNAL,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    REQUEST_ID,
    BadMessage,
    Field,
    Head,
    field_of,
    is_grpc,
    parse_field,
)
from mesh_proxy.routing import paths
from mesh_proxy.routing.authorities import stripped
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.connection import address_text
from mesh_proxy.worker.context import RequestIds
from mesh_proxy.worker.heads import SCHEMES

_CLIENT_CERT: Final = 1 << CLIENT_CERT
_REQUEST_ID: Final = 1 << REQUEST_ID
_EXTERNAL: Final = 1 << EXTERNAL
_FORWARDED_FOR: Final = 1 << FORWARDED_FOR
_FORWARDED_PROTO: Final = 1 << FORWARDED_PROTO
KEEP: Final = "KEEP_UNCHANGED"
CONNECT: Final = b"connect"
"""What a request for a tunnel asks to upgrade to, so to say (as in Envoy's configuration)."""
_FORWARDED: Final = _FORWARDED_FOR | _FORWARDED_PROTO
_ORIGINS: Final[dict[bytes, tuple[Field, Field]]] = {}
_MOST_ORIGINS: Final = 1024


def admit(
    head: Head,
    chain: HttpChain,
    remote: bytes,
    ids: RequestIds,
    record: Record,
    *,
    secure: bool = False,
    port: int = 0,
    vouched: bytes = b"",
) -> LocalReply | None:
    """Makes the request fit to be routed; returns the answer to one that is not.

    ``remote`` is ``ADDRESS:PORT`` of the client, ``secure`` whether it came with TLS, ``port`` where it came to, ``vouched``
    what is to be told of its certificate (empty: it has shown none). Afterwards ``target``, ``path`` and
    ``query`` are those to route by, and ``upgrade`` says what other protocol is asked for (:data:`CONNECT`: a tunnel).
    """
    config = chain.config
    if head.minor == 0 and not chain.accepts_http10:
        return errors.UPGRADE_REQUIRED
    if head.method == b"CONNECT":
        if not head.upgrade:
            refused = _tunnel(head, record)
            if refused is None:
                _introduce(head, chain, remote, ids, record, secure, port, vouched)
            return refused
        head.method = b"GET"  # HTTP/2's way to ask for another protocol (RFC 8441), told as HTTP/1.1 does
    if head.target[:1] != b"/":
        refused = _other_form(head, config)
        if refused is not None:
            return refused
    if not head.host:
        return errors.MISSING_HOST
    method = head.method
    if method != b"GET" and method != b"POST" and not method.isupper():
        # Envoy takes none of these, and a server that reads them as their capitals would undo rules about methods.
        return errors.bad_request("http1.codec_error")
    if head.upgrade == b"h2c":
        head.upgrade = b""
    elif head.upgrade:
        head.close = True  # refused or not: what follows may be of the other protocol
    if chain.strips_host:
        head.host = stripped(head.host, config.strip_port, port, config.strip_trailing_host_dot)
    refused = _path(head, chain, record)
    if refused is not None:
        return refused
    _introduce(head, chain, remote, ids, record, secure, port, vouched)
    return None


def _path(head: Head, chain: HttpChain, record: Record) -> LocalReply | None:
    """The path in one form (RFC 3986 6.2.2), as far as the configuration wants it; or the answer to a request with one that
    has none, or that is to be asked for anew."""
    target = head.target
    given, question, query = target.partition(b"?")
    head.path, head.query = given, query
    elsewhere = False
    if chain.escaped_slashes != KEEP and b"%" in head.path:
        plain = paths.unescape_slashes(head.path)
        elsewhere, head.path = plain != head.path, plain
        if elsewhere and (chain.escaped_slashes == "REJECT_REQUEST" or is_grpc(head)):
            head.target = record.path = head.path + question + head.query
            head.close = True
            return errors.BAD_PATH
    if chain.own_form:
        normal = paths.normalize(head.path)
        if normal is None:
            head.close = True
            return errors.BAD_PATH
        head.path = normal
    if chain.merges_slashes:
        head.path = paths.merge_slashes(head.path)
    if head.path is given:
        record.path = target
    else:
        head.target = record.path = head.path + question + head.query
    if elsewhere and chain.escaped_slashes == "UNESCAPE_AND_REDIRECT":
        return errors.BAD_PATH._replace(status=307, location=head.target)
    return None


def _introduce(
    head: Head,
    chain: HttpChain,
    remote: bytes,
    ids: RequestIds,
    record: Record,
    secure: bool,
    port: int,
    vouched: bytes,
) -> None:
    """Who asks, by what scheme, and by whom it came."""
    if head.seen & _CLIENT_CERT or vouched:
        _vouch(head, chain.config.forward_client_cert, vouched)
    edge = chain.edge
    if chain.inside is not None and chain.inside.judge(head, remote, edge):
        edge = False
        record.inside = True
    _identify(head, chain, remote, ids, record, edge)
    if not head.scheme:
        head.scheme = b"https" if secure else b"http"
    if not head.seen & _FORWARDED_PROTO or (chain.edge and not chain.hops):
        head.add(SCHEMES[secure])
    if chain.tells_port and head.get(b"x-forwarded-port") is None:
        head.add(field_of(b"x-forwarded-port", b"%d" % port))
    if chain.via:
        before = head.get(b"via")
        if before is not None:
            head.drop(b"via")
        head.add(field_of(b"via", before + b", " + chain.via if before else chain.via))


def _vouch(head: Head, mode: str, vouched: bytes) -> None:
    """What of a certificate is told on (Envoy, conn_manager_utility): without one nobody can vouch for what a client says."""
    if mode == "ALWAYS_FORWARD_ONLY" or (mode == "FORWARD_ONLY" and vouched):
        return
    before = head.get(b"x-forwarded-client-cert")
    if before is not None:
        head.drop(b"x-forwarded-client-cert")
    if vouched and mode in ("APPEND_FORWARD", "SANITIZE_SET"):
        told = before + b"," + vouched if before and mode == "APPEND_FORWARD" else vouched
        head.add(field_of(b"x-forwarded-client-cert", told))


def _tunnel(head: Head, record: Record) -> LocalReply | None:
    """A request for a tunnel: its target is an authority, and it has no path (RFC 9110 9.3.6)."""
    head.close = True  # what follows is for the tunnel, also when it does not get one
    if head.target:
        head.host, head.target = head.target, b""
        try:
            parse_field(b"host: " + head.host)
        except BadMessage as error:
            return errors.bad_request(str(error))
    head.upgrade = CONNECT
    record.path = b""
    return None


def may_upgrade(head: Head, route: CompiledRoute, chain: HttpChain) -> bool:
    """Whether the other protocol that is asked for, or the tunnel, is allowed: by the route, else by the connection
    manager."""
    wanted = head.upgrade
    return wanted in route.upgrades or (wanted in chain.upgrades and wanted not in route.upgrades_off)


def no_underscores(head: Head, chain: HttpChain) -> None:
    """A head without names that have underscores, which some servers take for hyphens; raises :class:`BadMessage` where such
    requests are to be refused."""
    kept = [field for field in head.fields if b"_" not in field.name]
    dropped = len(head.fields) - len(kept)
    if not dropped:
        return
    if chain.config.headers_with_underscores_action == "REJECT_REQUEST":
        raise BadMessage("http1.unexpected_underscore")
    head.replace(kept)


def _other_form(head: Head, config: HttpConnectionManager) -> LocalReply | None:
    """A target that is no path: a whole URL, or ``*`` (RFC 9112 3.2)."""
    scheme, mark, rest = head.target.partition(b"://")
    if mark and config.allow_absolute_url is False:
        return errors.NOT_RELATIVE
    if mark and scheme.lower() in (b"http", b"https"):
        # Its authority counts, whatever Host says.
        head.host, slash, rest = rest.partition(b"/")
        head.target = slash + rest or b"/"
        try:
            parse_field(b"host: " + head.host)
        except BadMessage as error:
            return errors.bad_request(str(error))
        return None
    if head.target == b"*" and head.method == b"OPTIONS":
        return errors.NOT_RELATIVE
    return errors.bad_request("http1.codec_error")


def _identify(head: Head, chain: HttpChain, remote: bytes, ids: RequestIds, record: Record, edge: bool) -> None:
    """Every request has an id, the same for each attempt; one from a stranger is not believed (Envoy)."""
    seen = head.seen
    known = seen & _REQUEST_ID != 0
    # No address is internal unless it is said to be (Envoy 1.40, measured), so that at the edge everyone is a stranger.
    if known and edge and not chain.keeps_ids:
        head.discard(b"x-request-id")
        known = False
    if not known and chain.makes_ids:
        head.add(field_of(b"x-request-id", ids.next()))
    before = head.get(b"x-forwarded-for") if seen & _FORWARDED_FOR else None
    if not chain.edge:
        if before is not None:
            _believe(before, chain.hops, record)
        return
    address, external = _origin(remote)
    if edge and seen & _EXTERNAL:
        head.discard(b"x-envoy-external-address")
    if not seen & _FORWARDED and chain.tells_origin:
        head.add(address)
        if edge:
            head.add(external)
        return
    if chain.hops:
        if before is not None:
            _believe(before, chain.hops - 1, record)  # its own address is not there yet
            external = _origin(record.downstream_remote)[1]
    else:
        head.discard(b"x-forwarded-proto")
    if chain.tells_origin:
        head.discard(b"x-forwarded-for")
        head.add(field_of(b"x-forwarded-for", before + b"," + address.value) if before else address)
    head.add(external)


def _origin(remote: bytes) -> tuple[Field, Field]:
    """Where a request comes from, as those behind are told: the last of a list, and the one outside."""
    found = _ORIGINS.get(remote)
    if found is None:
        address = remote.rpartition(b":")[0].strip(b"[]")
        found = field_of(b"x-forwarded-for", address), field_of(b"x-envoy-external-address", address)
        if len(_ORIGINS) >= _MOST_ORIGINS:
            _ORIGINS.clear()
        _ORIGINS[remote] = found
    return found


def _believe(forwarded: bytes, hops: int, record: Record) -> None:
    """Within the mesh the client is who the edge says it is."""
    if forwarded.count(b",") >= hops:
        address = forwarded.split(b",")[-1 - hops].strip().decode("latin-1")
        with contextlib.suppress(ValueError):
            record.downstream_remote = address_text((str(ip_address(address)), 0))

"""What is done to a request before it is routed: its form is judged, its path normalised, its origin written down."""

import contextlib
from functools import lru_cache
from ipaddress import ip_address

from mesh_api.config import HttpConnectionManager
from mesh_proxy import errors
from mesh_proxy.errors import LocalReply
from mesh_proxy.protocol.http1 import (
    CLIENT_CERT,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    REQUEST_ID,
    BadMessage,
    Field,
    Head,
    field_of,
    parse_field,
)
from mesh_proxy.routing import paths
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.worker.connection import address_text
from mesh_proxy.worker.context import RequestIds
from mesh_proxy.worker.heads import SCHEMES

_CLIENT_CERT, _REQUEST_ID = 1 << CLIENT_CERT, 1 << REQUEST_ID
_FORWARDED_FOR, _FORWARDED_PROTO = 1 << FORWARDED_FOR, 1 << FORWARDED_PROTO
_FORWARDED = _FORWARDED_FOR | _FORWARDED_PROTO


def admit(
    head: Head, chain: HttpChain, remote: bytes, ids: RequestIds, record: Record, *, secure: bool = False
) -> LocalReply | None:
    """Makes the request fit to be routed; returns the answer to one that is not.

    ``remote`` is ``ADDRESS:PORT`` of the client, ``secure`` whether it came with TLS. Afterwards ``target``, ``path`` and
    ``query`` are those to route by, and ``upgrade`` is empty unless the request may change the protocol.
    """
    config = chain.config
    if head.minor == 0 and not config.accept_http_10:
        return errors.UPGRADE_REQUIRED
    if head.target[:1] != b"/" or head.method == b"CONNECT":
        refused = _other_form(head)
        if refused is not None:
            return refused
    if not head.host:
        return errors.MISSING_HOST
    if not head.method.isupper():
        # Envoy takes none of these, and a server that reads them as their capitals would undo rules about methods.
        return errors.bad_request("http1.codec_error")
    if head.upgrade:
        refused = _upgrade(head, chain)
        if refused is not None:
            return refused
    head.path, question, head.query = head.target.partition(b"?")
    if config.normalize_path:
        normal = paths.normalize(head.path)
        if normal is None:
            return errors.bad_request("path_normalization_failed")
        head.path = normal
    if config.merge_slashes:
        head.path = paths.merge_slashes(head.path)
    head.target = head.path + question + head.query
    record.path = head.target
    _identify(head, config, remote, ids, record)
    if not head.scheme:
        head.scheme = b"https" if secure else b"http"
    if not head.seen & _FORWARDED_PROTO or (config.use_remote_address and not config.xff_num_trusted_hops):
        head.add(SCHEMES[secure])
    return None


def _upgrade(head: Head, chain: HttpChain) -> LocalReply | None:
    if head.upgrade == b"h2c":
        head.upgrade = b""
        return None
    head.close = True  # refused or not: what follows may be of the other protocol
    return None if head.upgrade in chain.upgrades else errors.UPGRADE_FAILED


def _other_form(head: Head) -> LocalReply | None:
    """A target that is no path: a whole URL, ``*``, or that of CONNECT (RFC 9112 3.2)."""
    if head.method == b"CONNECT":
        head.close = True  # what follows is for the tunnel that it does not get
        return errors.ROUTE_NOT_FOUND
    scheme, mark, rest = head.target.partition(b"://")
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
        return LocalReply(404, "", "absolute_path_rejected")
    return errors.bad_request("http1.codec_error")


def _identify(head: Head, config: HttpConnectionManager, remote: bytes, ids: RequestIds, record: Record) -> None:
    """Every request has an id, the same for each attempt; one from a stranger is not believed (Envoy)."""
    seen = head.seen
    if seen & _CLIENT_CERT and config.forward_client_cert != "ALWAYS_FORWARD_ONLY":
        # Without a client certificate nobody can vouch for what it says (Envoy, conn_manager_utility).
        head.drop(b"x-forwarded-client-cert")
    known = seen & _REQUEST_ID != 0
    # No address is internal unless it is said to be (Envoy 1.40, measured), so that at the edge everyone is a stranger.
    if known and config.use_remote_address and not config.preserve_external_request_id:
        head.drop(b"x-request-id")
        known = False
    if not known and config.generate_request_id:
        head.add(field_of(b"x-request-id", ids.next()))
    before = head.get(b"x-forwarded-for") if seen & _FORWARDED_FOR else None
    if not config.use_remote_address:
        if before is not None:
            _believe(before, config.xff_num_trusted_hops, record)
        return
    if not seen & _FORWARDED:
        head.add(_origin(remote))
        return
    address = _origin(remote)[2]
    if config.xff_num_trusted_hops:
        if before is not None:
            _believe(before, config.xff_num_trusted_hops - 1, record)  # its own address is not there yet
        head.drop(b"x-forwarded-for")
    else:
        head.drop(b"x-forwarded-for", b"x-forwarded-proto")
    head.add(field_of(b"x-forwarded-for", before + b"," + address if before else address))


@lru_cache(maxsize=1024)
def _origin(remote: bytes) -> Field:
    """Where a request comes from, as those behind are told."""
    return field_of(b"x-forwarded-for", remote.rpartition(b":")[0].strip(b"[]"))


def _believe(forwarded: bytes, hops: int, record: Record) -> None:
    """Within the mesh the client is who the edge says it is."""
    if forwarded.count(b",") >= hops:
        address = forwarded.split(b",")[-1 - hops].strip().decode("latin-1")
        with contextlib.suppress(ValueError):
            record.downstream_remote = address_text((str(ip_address(address)), 0))

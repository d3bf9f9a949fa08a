"""Which requests share connections to a host: those for which a connection would begin in the same way.

Where a cluster takes the server's name from the request (Envoy ``auto_sni``, ``auto_san_validation``), or says whose
connection it is (PROXY protocol, or by the address that it comes from), a connection for one request is not one for all.
"""

from ipaddress import ip_address

from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol import proxy_protocol
from mesh_proxy.protocol.numbers import whole
from mesh_proxy.worker.connection_info import ConnectionInfo


def lane_of(cluster: ClusterRuntime, host: Host, authority: bytes, client: ConnectionInfo | None) -> Lane:
    """The lane of a request with this authority that came over ``client`` (``None``: it is nobody's). Not to be asked where
    the cluster does not part its connections (``cluster.parts``) and the client's source is not kept."""
    name, subject = _names(cluster, authority)
    version = cluster.transports.announces(host)
    header = b""
    if version and client is not None:
        header = proxy_protocol.header(version, client.remote, client.arrival.destination)
    source = "" if client is None else client.source
    if not name and not subject and not header and not source:
        return host.lane
    key = b"%b\0%b\0%b\0%b" % (name.encode("latin-1"), subject.encode("latin-1"), source.encode(), header)
    lane = host.lanes.get(key)
    if lane is None:
        lane = Lane(key, name, subject, header, source)
        host.lanes.add(lane)
    return lane


def _names(cluster: ClusterRuntime, authority: bytes) -> tuple[str, str]:
    """The name that is asked for, and whom the certificate must be for. An address is no name to ask for (RFC 6066 3)."""
    options = cluster.config.http
    if not options.auto_sni and not options.auto_san_validation:
        return "", ""
    host = host_of(authority)
    asked = host.lower() if options.auto_sni and not is_address(host) else ""
    return asked, host if options.auto_san_validation else ""


def host_of(authority: bytes) -> str:
    """The host of an authority, without its port, and an address of IPv6 without brackets (Envoy ``parseAuthority``)."""
    host, colon, port = authority.rpartition(b":")
    if colon and whole(port, 65535) >= 0:
        authority = host
    text = authority.decode("latin-1")
    bracketed = text.startswith("[") and text.endswith("]")
    return text[1:-1] if bracketed and is_address(text[1:-1]) else text


def is_address(host: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

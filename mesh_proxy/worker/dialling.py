"""Connections to hosts of a cluster: plain, or with the TLS that the cluster and the host ask for."""

from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.lanes import Lane
from mesh_proxy.cluster import ClusterRuntime
from mesh_proxy.protocol.proxy_protocol import own_header
from mesh_proxy.telemetry.facts import ConnectionFacts
from mesh_proxy.worker.connection import Connection, Owner, address_text, connect
from mesh_proxy.worker.context import Context
from mesh_proxy.worker.loop import Loop
from mesh_proxy.worker.tls_connection import TlsConnection


def dial(loop: Loop, cluster: ClusterRuntime, host: Host, owner: Owner, lane: Lane) -> Connection:
    """Begins a connection of ``lane``. Raises :class:`OSError` when it fails at once."""
    config = cluster.config
    sock = connect(host.target, config.bind_address, config.tcp_keepalive, lane.source)
    header = lane.header
    if not header and (version := cluster.transports.announces(host)):
        header = own_header(version, sock.getsockname()[:2], host.target)
    tls = cluster.transports.of(host)
    if tls is None:
        connection = Connection(loop, sock, owner, connecting=True)
        connection.send(header)
        return connection
    name = tls.name_for(lane.server_name, host.hostname)
    return TlsConnection(loop, sock, owner, tls, cluster.counters, True, name, lane.subject, header, host.name)


def stands(context: Context, connection: Connection, protocol: bytes, began: float) -> ConnectionFacts:
    """What is to be told of a connection to a host, now that it stands; ``protocol`` is its version of HTTP."""
    facts = ConnectionFacts(context.number())
    facts.protocol = protocol
    facts.local_address = address_text(connection.sock.getsockname())
    facts.began, facts.stood = began, context.loop.now
    if isinstance(connection, TlsConnection):
        facts.peer, facts.secured = connection.peer, connection.secured()
    return facts

"""The aggregated discovery conversation, state of the world, both ends, without sockets and without protobuf.

The rules are those of Envoy's "xDS REST and gRPC protocol": every response has a nonce; a request that carries it back
accepts the version (ACK), or refuses it with an error (NACK) and names the version that stays; a request with an older
nonce is stale. :class:`AdsClient` and :class:`AdsServer` are told what arrived and answer what to send.
"""

from mesh_api.xds.session.client import AdsClient, Known, Update
from mesh_api.xds.session.messages import Acked, Nacked, Output, Request, Response, Synced
from mesh_api.xds.session.server import AdsServer, TypeStatus

__all__ = [
    "Acked",
    "AdsClient",
    "AdsServer",
    "Known",
    "Nacked",
    "Output",
    "Request",
    "Response",
    "Synced",
    "TypeStatus",
    "Update",
]

"""The aggregated discovery conversation, state of the world and delta, both ends, without sockets and without protobuf.

The rules are those of Envoy's "xDS REST and gRPC protocol": every response has a nonce; a request that carries it back
accepts the version (ACK), or refuses it with an error (NACK) and names the version that stays; a request with an older
nonce is stale. :class:`AdsClient` and :class:`AdsServer` are told what arrived and answer what to send; so are
:class:`DeltaClient` and :class:`DeltaServer`, whose responses say what changed and what went away.
"""

from mesh_api.xds.session.client import AdsClient, Known, Update
from mesh_api.xds.session.conversation import Conversation, DeltaConversation
from mesh_api.xds.session.delta_client import DeltaClient
from mesh_api.xds.session.delta_server import DeltaServer
from mesh_api.xds.session.messages import (
    Acked,
    DeltaOutput,
    DeltaRequest,
    DeltaResponse,
    Nacked,
    Output,
    Request,
    Response,
    Synced,
)
from mesh_api.xds.session.server import AdsServer, TypeStatus

__all__ = [
    "Acked",
    "AdsClient",
    "AdsServer",
    "Conversation",
    "DeltaClient",
    "DeltaConversation",
    "DeltaOutput",
    "DeltaRequest",
    "DeltaResponse",
    "DeltaServer",
    "Known",
    "Nacked",
    "Output",
    "Request",
    "Response",
    "Synced",
    "TypeStatus",
    "Update",
]

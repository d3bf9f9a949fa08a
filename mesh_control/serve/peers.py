"""Who is at the other end of a connection, as far as TLS has proven it, and whom it may be then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mesh_api.identity import IdentityError, SpiffeId
from mesh_api.node import Node
from mesh_control.registration.proof import Anyone, JoinProof

Identities = tuple[str, ...]
"""SPIFFE ids of a verified certificate; none where no certificate was shown."""
Identify = Callable[[Any], Identities]
"""From the context of a gRPC call."""


@dataclass(frozen=True, slots=True)
class Certified:
    """Whoever has shown a certificate: a proof to join with (:class:`mesh_control.registration.proof.JoinProof`)."""

    identities: Identities

    def covers(self, namespace: str, service_account: str) -> bool:
        """Whether it may be a workload of that namespace and account; ``""`` is any account of the namespace."""
        return any(
            known.is_workload and known.namespace == namespace and service_account in ("", known.service_account)
            for known in map(_parsed, self.identities)
            if known is not None
        )

    def __str__(self) -> str:
        return ", ".join(self.identities)


def identities_of(context: Any) -> Identities:
    """The URIs of the client's certificate, which gRPC has verified against the roots of the server's credentials."""
    names = (context.auth_context() or {}).get("x509_subject_alternative_name", ())
    found = (name.decode(errors="replace") for name in names)
    return tuple(name for name in found if "://" in name)


def address_of(peer: str) -> str:
    """The address of gRPC's ``ipv4:127.0.0.1:1234``, without the port."""
    kind, _, rest = peer.partition(":")
    return rest.rpartition(":")[0] if kind in ("ipv4", "ipv6") else peer


def beyond(node: Node, proof: JoinProof) -> str | None:
    """Why a node may not be who it says it is; ``None``: it may. A proxy is of the namespace, and runs as the service account
    (where it names one), that its proof is for (istiod's ``checkConnectionIdentity``). Where nothing is asked for, nothing is
    contradicted."""
    if isinstance(proof, Anyone):
        return None
    try:
        namespace = node.parsed_id().namespace
    except ValueError as error:
        return str(error)
    account = str(node.metadata.get("SERVICE_ACCOUNT", ""))
    if proof.covers(namespace, account):
        return None
    return f"{node.id} runs as {account or 'any account'} of {namespace}, and shows {proof}"


def _parsed(identity: str) -> SpiffeId | None:
    try:
        return SpiffeId.parse(identity)
    except IdentityError:
        return None

"""How certificates and join tokens are told: to operators, and in the audit log. Pure; nothing of it is a secret."""

from typing import Any

from cryptography import x509

from mesh_control.ca import pem
from mesh_control.ca.certificates import Signer
from mesh_control.ca.store import Issued
from mesh_control.ca.tokens import JoinToken


def line(issued: Issued) -> dict[str, Any]:
    """A line of the audit log."""
    told = issued._asdict() | {"at": round(issued.at, 3)}
    return {name: value for name, value in told.items() if value not in ("", None)}


def issued(
    certificate: x509.Certificate, signer: Signer, identity: str, proof: str, token: str, address: str, now: float
) -> Issued:
    """What is written down of a certificate that was just signed."""
    serial = f"{certificate.serial_number:x}"
    return Issued(serial, signer.name, identity, proof, token, address, now, pem.expires(certificate))


def token(found: JoinToken, used: int, now: float) -> dict[str, Any]:
    """A join token, without its text; ``used`` is how many keys were certified with it."""
    problem = found.problem(now)
    return {
        "id": found.id,
        "identity": str(found.grant),
        "uses": found.uses,
        "used": used,
        "created": round(found.created, 3),
        "expires": round(found.expires, 3),
        "state": "revoked"
        if found.revoked is not None
        else "expired"
        if problem
        else "used up"
        if used >= found.uses
        else "valid",
        "note": found.note,
    }


def short(name: str) -> str:
    """The beginning of a root's name, which tells it from the few others."""
    return name[:12]

"""Who may ask: plain text is refused, a workload that is not allowed is refused, users need a token of their issuer, and TLS
is on but to the database."""

import base64
import json
import time
from typing import Any, Final

from mesh_cli.scenarios import statistics
from mesh_cli.scenarios.client import Client
from mesh_cli.scenarios.report import Report, Say

ISSUER: Final = "https://issuer.demo.meshwright"
KEY: Final = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
"""The private half of the demo's key, which everybody knows (RFC 8037, appendix A)."""
STRANGER: Final = "A" * 43
PATH: Final = "/api/v1/books"
SHOP: Final = "store.services.local"
PURCHASE: Final = "/api/v1/store/6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b/purchase"
DATABASE: Final = "postgres"
DENIED: Final = "RBAC: access denied"


async def observe(client: Client, say: Say) -> Report:
    """Ask without and with tokens, past the gateway, and for a purchase."""
    report = Report("authentication")
    say(f"GET {PATH} without a token, with bad ones and with a good one")
    bare = await client.get(PATH)
    report.expect("without a token 403", f"{bare.status} {bare.body[:60]}", (bare.status, bare.body) == (403, DENIED))
    now = int(time.time())
    bad = {
        "signed by a stranger": token(STRANGER, {"exp": now + 600}),
        "that has expired": token(KEY, {"exp": now - 600}),
        "of another issuer": token(KEY, {"exp": now + 600, "iss": "https://elsewhere.example"}),
        "that nobody signed": token(KEY, {"exp": now + 600}, {"alg": "none"}, sign=False),
    }
    for what, value in bad.items():
        reply = await client.get(PATH, {"authorization": f"Bearer {value}"})
        report.expect(f"with a token {what} 401", f"{reply.status} {reply.body[:60]}", reply.status == 401)
    good = {"authorization": f"Bearer {token(KEY, {'exp': now + 600})}"}
    served = await client.get(PATH, good)
    report.expect("with a good token 200", served.status, served.status == 200)
    if client.direct:
        say(f"the same past the gateway, in plain text, at {client.direct}")
        plain = await client.past_gateway(PATH, good)
        report.expect("plain text is not served", plain.body[:60] or plain.status, plain.status == 0)
    say("a purchase, for which the order service asks the warehouse, which answers the warranty service alone")
    bought = await client.ask("POST", PURCHASE, host=SHOP, body={"model": "Lego 8070", "size": "M"})
    refused = bought.status != 201 and f"warehouse: 403 {DENIED}" in bought.body
    report.expect("the identity of another service is refused", f"{bought.status} {bought.body[:80]}", refused)
    if client.statistics:
        say("what sidecars have counted: connections to PostgreSQL, and to each other")
        await _look_at_connections(client, report)
    return report


async def _look_at_connections(client: Client, report: Report) -> None:
    """TLS is off to the database, which has none, and nowhere else."""
    found = list(statistics.opened(await client.counted()))
    plain = [one for one in found if one.service == DATABASE]
    rest = [one for one in found if one.service != DATABASE]
    report.expect("PostgreSQL in plain text", _told(plain), bool(plain) and not any(one.by_tls for one in plain))
    report.expect("all others by TLS", _told(rest), bool(rest) and all(one.by_tls == one.connections for one in rest))


def _told(services: list[statistics.Opened]) -> str:
    return ", ".join(f"{one.service} {one.by_tls} of {one.connections} by TLS" for one in services) or "no connection"


def token(key: str, claims: dict[str, Any], header: dict[str, Any] | None = None, *, sign: bool = True) -> str:
    """A token of the demo's user (RFC 7519), signed with an Ed25519 key in base64url (RFC 8037)."""
    # Here, for `--help` is not to wait for it.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    head = {"alg": "EdDSA", "typ": "JWT", "kid": "demo", **(header or {})}
    parts = [head, {"iss": ISSUER, "sub": "reader", **claims}]
    signed = ".".join(_url64(json.dumps(part, separators=(",", ":")).encode()) for part in parts)
    private = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(key + "="))
    return f"{signed}.{_url64(private.sign(signed.encode())) if sign else ''}"


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

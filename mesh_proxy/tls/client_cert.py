"""What the next hop is told of a client's certificate (``x-forwarded-client-cert``, as Envoy writes it)."""

import hashlib
import ssl
from urllib.parse import quote

from mesh_proxy.tls.peer import Peer


def client_certificate(details: tuple[str, ...], peer: Peer, own: Peer | None) -> bytes:
    """The element about ``peer``, who has shown a certificate to ``own``: always who is told of it and a hash, then what
    ``details`` name."""
    parts = [b"By=" + uri for uri in (() if own is None else own.uris)]
    parts.append(b"Hash=" + hashlib.sha256(peer.certificate).hexdigest().encode())
    if "cert" in details:
        parts.append(b'Cert="%b"' % quote(ssl.DER_cert_to_PEM_cert(peer.certificate), safe="").encode())
    if "subject" in details:
        parts.append(b'Subject="%b"' % peer.subject)
    if "uri" in details:
        parts += [b"URI=" + uri for uri in peer.uris or (b"",)]
    if "dns" in details:
        parts += [b"DNS=" + name for name in peer.dns]
    return b";".join(parts)

"""What is counted of TLS, under Envoy's names (``ssl.``), for listeners and for clusters.

https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/stats. Python does not tell curves and algorithms of
signatures.
"""

from typing import Any, Final

from mesh_proxy.telemetry.stats import Counters

_COUNTED_ELSEWHERE: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "ssl.fail_verify_no_cert",
    "CERTIFICATE_VERIFY_FAILED": "ssl.fail_verify_error",
}
"""Reasons of OpenSSL that are no ``ssl.connection_error``."""


def stands(counters: Counters, secured: Any, certified: bool) -> None:
    """A handshake is over; ``certified``: the other end has shown a certificate."""
    counters.add("ssl.handshake")
    if secured.session_reused:
        counters.add("ssl.session_reused")
    if not certified:
        counters.add("ssl.no_certificate")
    cipher = secured.cipher()
    counters.add(f"ssl.ciphers.{'unknown' if cipher is None else cipher[0]}")
    counters.add(f"ssl.versions.{secured.version()}")


def failed(counters: Counters, reason: str) -> None:
    """OpenSSL has given up, for a reason of its own."""
    counters.add(_COUNTED_ELSEWHERE.get(reason, "ssl.connection_error"))


def refused(counters: Counters, why: str) -> None:
    """The handshake was well, but the other end is not who it must be: what
    :meth:`~mesh_proxy.tls.contexts.Tls.refusal` says."""
    if why.startswith("CERTIFICATE_VERIFY_FAILED"):
        counters.add("ssl.fail_verify_error")
    elif why.startswith("verify_cert_failed"):
        counters.add("ssl.fail_verify_cert_hash")
    else:
        counters.add("ssl.fail_verify_san")

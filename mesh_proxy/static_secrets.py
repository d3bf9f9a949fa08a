"""Secrets of the bootstrap (``static_resources.secrets``). Their files are read once, as Envoy reads them."""

import base64
import binascii
from typing import Final

from mesh_api.config import Secret, TlsCertificate, TrustedRoots
from mesh_proxy.document import Section

_KINDS: Final = ("tls_certificate", "validation_context")
_SOURCES: Final = ("filename", "inline_string", "inline_bytes")


def static_secrets(section: Section) -> tuple[Secret, ...]:
    """Those of ``section``. Raises :class:`~mesh_proxy.document.DocumentError`, which has nothing secret in it."""
    found: dict[str, Secret] = {}
    for item in section.sections("secrets"):
        secret = _secret(item)
        if secret.name in found:
            raise item.error(f"the name {secret.name!r} is taken by another of the secrets", "name")
        found[secret.name] = secret
    return tuple(found[name] for name in sorted(found))


def _secret(section: Section) -> Secret:
    name = section.text("name")
    certificate, validation = (section.section(kind) for kind in _KINDS)
    section.close()
    if (certificate is None) == (validation is None):
        raise section.error(f"expected one of {' and '.join(_KINDS)}")
    if certificate is not None:
        staple = _content(certificate, "ocsp_staple") if "ocsp_staple" in certificate else b""
        chain, key = _content(certificate, "certificate_chain"), _content(certificate, "private_key")
        certificate.close()
        return TlsCertificate(name, chain, key, staple)
    assert validation is not None  # noqa: S101 - one of the two is there
    revoked = _content(validation, "crl") if "crl" in validation else b""
    roots = _content(validation, "trusted_ca")
    validation.close()
    return TrustedRoots(name, roots, revoked)


def _content(parent: Section, name: str) -> bytes:
    """What a ``DataSource`` holds."""
    section = parent.required(name)
    given = [source for source in _SOURCES if source in section]
    if len(given) != 1:
        raise section.error(f"expected one of {', '.join(_SOURCES)}")
    text = section.text(given[0])
    section.close()
    try:
        if given[0] == "filename":
            with open(text, "rb") as file:
                return file.read()
        return base64.b64decode(text, validate=True) if given[0] == "inline_bytes" else text.encode()
    except OSError as error:
        raise section.error(f"{text} cannot be read: {error.strerror}", given[0]) from None
    except binascii.Error:
        raise section.error("is no base64", given[0]) from None

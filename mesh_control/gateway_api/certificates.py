"""TLS of listeners: the certificates that they show, and what clients must show."""

from collections.abc import Sequence
from typing import Any

from mesh_control.gateway_api.converted import Surroundings
from mesh_policy.gateway_api.attachment import Reference, is_granted
from mesh_policy.gateway_api.gateway import Gateway
from mesh_policy.gateway_api.gateway_tls import ClientValidation
from mesh_policy.gateway_api.kind import GROUP
from mesh_policy.gateway_api.listeners import Listener, ListenerTls
from mesh_policy.gateway_api.object_refs import SecretReference
from mesh_policy.gateway_api.reference_grant import ReferenceGrant
from mesh_policy.networking.server_tls import ServerTls

MODE, CIPHERS = "gateway.istio.io/tls-terminate-mode", "gateway.istio.io/tls-cipher-suites"
"""Options of a listener's TLS that Istio knows."""
AUTO_PASSTHROUGH, AUTO_PORT = "gateway.istio.io/listener-protocol", "15443"
MOST_CERTIFICATES = 2
BUILTIN = "builtin://"
ROOTS_OF = "-cacert"


class CertificateError(Exception):
    """A listener that cannot be opened, since what it is to show, or to check clients with, cannot be used. Says why;
    ``reason`` is the specification's word for it, and ``of_clients``: it is about what clients are checked with."""

    def __init__(self, message: str, reason: str, *, of_clients: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.of_clients = of_clients


def server_tls(
    gateway: Gateway, listener: Listener, grants: Sequence[ReferenceGrant], around: Surroundings
) -> ServerTls | None:
    """The settings as a server of Istio's Gateway has them; ``None`` without TLS. Raises :class:`CertificateError`."""
    tls = listener.tls
    if tls is None:
        return None
    options = tls.options or {}
    ciphers = tuple(part.strip() for part in options.get(CIPHERS, "").split(",") if part.strip()) or None
    if not tls.terminates:
        mode = "AUTO_PASSTHROUGH" if is_automatic(gateway, listener) else "PASSTHROUGH"
        return ServerTls.model_construct(mode=mode, cipher_suites=ciphers)
    asked = options.get(MODE)
    if asked == "ISTIO_SIMPLE":
        return ServerTls.model_construct(mode="SIMPLE", credential_name=BUILTIN)
    if asked == "ISTIO_MUTUAL":
        return ServerTls.model_construct(mode="ISTIO_MUTUAL")
    mode = asked if asked in ("MUTUAL", "OPTIONAL_MUTUAL") else "SIMPLE"
    names = _certificates(gateway, tls, grants, around)
    if not any(names):
        denied = len(tls.certificate_refs or ()) <= MOST_CERTIFICATES and any(
            not is_granted(_itself(gateway), _target(gateway, ref), grants) for ref in tls.certificate_refs or ()
        )
        told = f"listener {listener.name}: there is no certificate that it may show"
        raise CertificateError(told, "RefNotPermitted" if denied else "InvalidCertificateRef")
    # When only the second of two can be used, istiod 1.31 shows neither.
    both = all(names) and len(names) > 1
    shown: dict[str, Any] = {"credential_names": tuple(names)} if both else {"credential_name": names[0]}
    validation = _validation(gateway, listener)
    if validation is None:
        return ServerTls.model_construct(mode=mode, cipher_suites=ciphers, **shown)
    checked = _checked(gateway, validation, asked, grants, around)
    return ServerTls.model_construct(cipher_suites=ciphers, **shown, **checked)


def is_automatic(gateway: Gateway, listener: Listener) -> bool:
    """Of a gateway between networks: the port is for any service by its name (Istio's own option, or its label)."""
    options = (listener.tls.options or {}) if listener.tls is not None else {}
    labels = gateway.metadata.labels or {}
    if options.get(AUTO_PASSTHROUGH) == "auto-passthrough":
        return True
    expected = labels.get("networking.istio.io/gatewayPort", AUTO_PORT)
    return "topology.istio.io/network" in labels and str(listener.port) == expected


def _certificates(
    gateway: Gateway, tls: ListenerTls, grants: Sequence[ReferenceGrant], around: Surroundings
) -> list[str]:
    """The names of the secrets; empty for one that is not there or may not be used."""
    refs = tls.certificate_refs or ()
    return [_secret(gateway, ref, grants, around) for ref in refs] if len(refs) <= MOST_CERTIFICATES else []


def _secret(gateway: Gateway, ref: SecretReference, grants: Sequence[ReferenceGrant], around: Surroundings) -> str:
    target = _target(gateway, ref)
    place = f"{target.namespace}/{target.name}"
    known = (target.group, target.kind) == ("", "Secret") and place in around.certificates
    return f"kubernetes-gateway://{place}" if known and is_granted(_itself(gateway), target, grants) else ""


def _target(gateway: Gateway, ref: SecretReference) -> Reference:
    return Reference(ref.group or "", ref.kind or "Secret", ref.namespace or gateway.metadata.namespace, ref.name)


def _itself(gateway: Gateway) -> Reference:
    return Reference(GROUP, "Gateway", gateway.metadata.namespace, gateway.metadata.name)


def _validation(gateway: Gateway, listener: Listener) -> ClientValidation | None:
    """What clients must show on the listener's port."""
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    if frontend is None:
        return None
    own = next((item.tls for item in frontend.per_port or () if item.port == listener.port), frontend.default)
    return own.validation


def _checked(
    gateway: Gateway,
    validation: ClientValidation,
    asked: str | None,
    grants: Sequence[ReferenceGrant],
    around: Surroundings,
) -> dict[str, Any]:
    """Mode and authorities."""
    if len(validation.ca_certificate_refs) != 1:
        told = "clients are checked with exactly one reference to authorities"
        raise CertificateError(told, "InvalidCACertificateRef", of_clients=True)
    ref = validation.ca_certificate_refs[0]
    target = Reference(ref.group, ref.kind, ref.namespace or gateway.metadata.namespace, ref.name)
    granted = is_granted(_itself(gateway), target, grants)
    if target not in around.authorities or not granted:
        told = f"there is no {ref.kind} {target.namespace}/{target.name} with authorities that it may use"
        kind = "InvalidCACertificateRef" if ref.kind in ("Secret", "ConfigMap") else "InvalidCACertificateKind"
        raise CertificateError(told, kind if granted else "RefNotPermitted", of_clients=True)
    scheme = "configmap" if ref.kind == "ConfigMap" else "kubernetes-gateway"
    loose = validation.mode == "AllowInsecureFallback"
    mode = "OPTIONAL_MUTUAL" if loose else "MUTUAL"
    if asked in ("MUTUAL", "OPTIONAL_MUTUAL"):
        mode, loose = asked, False
    name = f"{scheme}://{target.namespace}/{target.name}{ROOTS_OF}"
    return {"mode": mode, "insecure_skip_verify": loose, "ca_cert_credential_name": name}

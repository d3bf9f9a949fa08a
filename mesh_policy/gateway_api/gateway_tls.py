"""TLS of a whole Gateway: its own certificate towards backends, and which client certificates it takes."""

from typing import Annotated, Literal

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.object_refs import ObjectReference, SecretReference


class BackendTls(Model):
    """What the Gateway shows to backends."""

    client_certificate_ref: SecretReference | None = None
    """Secret (``kubernetes.io/tls``) with the certificate and key that backends are shown; unset, none is. Istio checks
    that it is there, and its proxies do not use it."""


class ClientValidation(Model):
    """How the certificates of clients are checked."""

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Items(16, least=1)]
    """Authorities, one of which must have signed a client's certificate: 1 to 16 ConfigMaps with ``ca.crt``, or other
    objects. Istio takes exactly one, a ConfigMap or a Secret."""
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] | None = None
    """``AllowValidOnly`` (default): a client must show a valid certificate. ``AllowInsecureFallback``: one without, or
    with a wrong one, gets in too, and checking is left to the backends."""


class FrontendTlsConfig(Model):
    """What clients must show."""

    validation: ClientValidation | None = None
    """How clients' certificates are checked; without it none is asked for."""


class PortTls(Model):
    """What clients must show at the HTTPS listeners of one port."""

    port: Port
    """Port whose HTTPS listeners this is about; each port stands once."""
    tls: FrontendTlsConfig
    """What holds there, wholly in place of ``default``."""


class FrontendTls(Model):
    """What clients must show at all HTTPS listeners of the Gateway."""

    default: FrontendTlsConfig
    """What holds on ports that ``perPort`` does not name; ``{}`` asks for no certificates."""
    per_port: Annotated[tuple[PortTls, ...], Items(64, key="port")] | None = None
    """Ports with a configuration of their own, at most 64; unset, ``default`` holds on all."""


class GatewayTls(Model):
    """TLS of a Gateway as a whole. The certificates that clients see are those of the listeners."""

    backend: BackendTls | None = None
    """What the Gateway shows to backends. Whether it speaks TLS to them, BackendTLSPolicies say."""
    frontend: FrontendTls | None = None
    """How the certificates of clients are checked; unset, none is asked for."""

"""TLS of a whole Gateway: its own certificate towards backends, and which client certificates it takes."""

from typing import Annotated, Literal

from mesh_policy.base import Model, Port
from mesh_policy.gateway_api.constraints import Items
from mesh_policy.gateway_api.object_refs import ObjectReference, SecretReference


class BackendTls(Model):
    """What the Gateway presents to backends."""

    client_certificate_ref: SecretReference | None = None


class ClientValidation(Model):
    """Client certificates are checked against ``ca_certificate_refs`` (ConfigMaps or others).

    ``AllowValidOnly`` (default) takes none else; ``AllowInsecureFallback`` lets those through whose certificate is wrong
    or not there.
    """

    ca_certificate_refs: Annotated[tuple[ObjectReference, ...], Items(16, least=1)]
    mode: Literal["AllowValidOnly", "AllowInsecureFallback"] | None = None


class FrontendTlsConfig(Model):
    """Client certificates of one port; without ``validation`` none are asked for."""

    validation: ClientValidation | None = None


class PortTls(Model):
    """Another configuration for all HTTPS listeners of a port."""

    port: Port
    tls: FrontendTlsConfig


class FrontendTls(Model):
    """Client certificates of all HTTPS listeners: ``default``, but for the ports of ``per_port``."""

    default: FrontendTlsConfig
    per_port: Annotated[tuple[PortTls, ...], Items(64, key="port")] | None = None


class GatewayTls(Model):
    """TLS of a Gateway towards backends and clients."""

    backend: BackendTls | None = None
    frontend: FrontendTls | None = None

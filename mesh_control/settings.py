"""Settings of the control plane: a YAML file, checked before any port is opened."""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mesh_api.identity import trust_domain
from mesh_api.pod import TOKEN_AUDIENCE
from mesh_control.ca.certificates import CLOCK_SKEW
from mesh_control.gateway_api.converted import OWN as OWN_CONTROLLER
from mesh_control.injection.template import Template
from mesh_policy import json_text
from mesh_policy.durations import OffOrPositive, PositiveDuration


class SettingsError(ValueError):
    """The file cannot be used; the message has one line for each wrong field."""


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{value!r} is not ADDRESS:PORT, for example 127.0.0.1:15010")
    return value


Address = Annotated[str, AfterValidator(_address)]
TrustDomain = Annotated[str, AfterValidator(trust_domain)]
LONGEST_LEAF = timedelta(days=90)
"""Istio's ``MAX_WORKLOAD_CERT_TTL``."""


def is_loopback(address: str) -> bool:
    """Whether ``ADDRESS:PORT`` is reached from this machine alone. A name is not, except ``localhost``: who knows where it
    leads."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _loopback(value: str) -> str:
    if not is_loopback(value):
        raise ValueError(f"{value!r} can be reached from outside, where tokens would be there for everybody to read")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", value, re.ASCII):
        raise ValueError(f"{value!r} is no name of a host, and no address")
    return value


Host = Annotated[str, AfterValidator(_host)]


def _leaf(value: timedelta) -> timedelta:
    if value > LONGEST_LEAF:
        raise ValueError("a workload's certificate lives for 90 days at most (2160h)")
    return value


class CertificateAuthority(BaseModel):
    """The section ``ca``: where it is there, the control plane issues certificates, and remembers below ``state_dir``.

    ``address`` speaks mutual TLS, under ``server_names``; ``plaintext_address`` does not, and is only allowed on loopback.
    ``clock_skew`` is how far apart the clocks of machines may be: so much longer than certificates live a rotation waits.
    ``given`` is a folder with Istio's ``ca-cert.pem``, ``ca-key.pem``, ``root-cert.pem`` and ``cert-chain.pem``; without it,
    a root is made. With ``secret``, ``NAMESPACE/NAME``, it is one with those of all replicas of the control plane in the
    cluster of the section ``kubernetes``: who signs stands in that Secret, which is made where it is missing.
    Where there is a section ``kubernetes``, tokens of service accounts for one of ``token_audiences`` prove
    who shows them; without audiences, none does.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Address = "127.0.0.1:15012"
    plaintext_address: Annotated[Address, AfterValidator(_loopback)] | None = None
    server_names: Annotated[tuple[Host, ...], Field(min_length=1)] = ("istiod.istio-system.svc",)
    trust_domain: TrustDomain = "cluster.local"
    lifetime: Annotated[PositiveDuration, AfterValidator(_leaf)] = timedelta(hours=24)
    clock_skew: OffOrPositive = timedelta(seconds=CLOCK_SKEW)
    given: Path | None = None
    secret: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")] | None = None
    token_audiences: tuple[str, ...] = (TOKEN_AUDIENCE,)


class ValidatingWebhook(BaseModel):
    """The section ``webhook``: where it is there, an API server may ask about policies, over HTTPS, at ``address``.

    The certificate is the own authority's, for ``server_names``: the name of the Service that leads here, or of the host.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Address = "127.0.0.1:15017"
    server_names: Annotated[tuple[Host, ...], Field(min_length=1)] = ("istiod.istio-system.svc",)


class Kubernetes(BaseModel):
    """The section ``kubernetes``: where it is there, a cluster's services, pods and policies are a source of the world.

    Without ``kubeconfig`` the control plane is a pod of that cluster. ``namespaces`` are those that are looked at; none: all.
    ``mesh_config``: ``NAMESPACE/NAME`` of the ConfigMap with the settings of the mesh, under the key ``mesh``, and its
    networks under ``meshNetworks``; the files of those names count before it.
    ``status``: whether the objects are told what became of them, by the one of the replicas that holds the lease in
    ``lease_namespace`` (by default its own); ``identity`` is its name there (by default the host's).
    ``root_config_maps``: whether the roots of the section ``ca`` stand in a ConfigMap ``istio-ca-root-cert`` of every
    namespace, by whoever tells objects; by default where that has a ``secret``.
    ``gateway_controller``: Gateways of the Gateway API are this mesh's where their class names that controller.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kubeconfig: Path | None = None
    context: str = ""
    namespaces: tuple[str, ...] = ()
    mesh_config: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9.-]+$")] | None = None
    status: bool = True
    root_config_maps: bool | None = None
    gateway_controller: Annotated[str, Field(pattern=r"^[a-z0-9.-]+/[A-Za-z0-9/._~-]+$")] = OWN_CONTROLLER
    lease_namespace: str = ""
    identity: str = ""


class ProxyLimits(BaseModel):
    """The section ``proxy_limits``: how much one proxy may ask. ``requests_per_second`` follow ``requests_at_once``; streams
    are counted for each address, and for each identity of a certificate. 0 is no limit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: Annotated[float, Field(ge=0)] = 100.0
    requests_at_once: Annotated[int, Field(ge=1)] = 1000
    streams_per_address: Annotated[int, Field(ge=0)] = 0
    streams_per_identity: Annotated[int, Field(ge=0)] = 0


class Settings(BaseModel):
    """The file's fields. When more than ``rollback_share`` of the proxies (0 to 1; 1: never) refuse what changed, all get
    what they had taken before. ``xds_address`` serves configuration without TLS; ``None``: nothing does, and
    what is left is the address of ``ca``. Without ``join_token_file`` any proxy may connect there. It is only allowed on
    loopback; with ``plaintext_from_outside`` elsewhere as well, and never with a token, which all on the way could read.

    ``mesh_config`` is a file with the settings of the mesh (Istio's MeshConfig), ``mesh_networks`` one with its networks;
    without them, a mesh has Istio's defaults, but writes access logs to the proxies' output and makes no traces.

    ``monitoring_address`` has metrics, health and version for everybody, and the pages below ``/debug`` for who shows the
    join token. With ``debug_on_loopback`` every user of this machine may read those as well: right where it is a pod.

    ``credentials_dir`` has keys and certificates for proxies, as ``NAMESPACE/NAME/tls.crt``, ``tls.key`` and ``ca.crt``.

    Releases are measured by the Prometheus at ``prometheus_url``; where there is none, by the proxies' own statistics.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    xds_address: Address | None = "127.0.0.1:15010"
    monitoring_address: Address = "127.0.0.1:15014"
    debug_on_loopback: bool = False
    plaintext_from_outside: bool = False
    socket: Path = Path("/run/meshwright/control.sock")
    state_dir: Path = Path("/var/lib/meshwright/control")
    inventory: Path | None = None
    mesh_config: Path | None = None
    mesh_networks: Path | None = None
    credentials_dir: Path | None = None
    join_token_file: Path | None = None
    proxy_limits: ProxyLimits = ProxyLimits()
    rollback_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    ca: CertificateAuthority | None = None
    kubernetes: Kubernetes | None = None
    webhook: ValidatingWebhook | None = None
    injection: Template | None = None
    prometheus_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def replicated(self) -> bool:
        """Whether this is one of several replicas in a cluster: they have one authority, and one leader, and what all of them
        must know is in the cluster's API and not on this one's disk."""
        return (
            self.ca is not None
            and self.ca.secret is not None
            and self.kubernetes is not None
            and self.kubernetes.status
        )

    @property
    def gives_roots(self) -> bool:
        """Whether namespaces of the cluster get the mesh's roots."""
        if self.ca is None or self.kubernetes is None or not self.kubernetes.status:
            return False
        wanted = self.kubernetes.root_config_maps
        return self.replicated if wanted is None else wanted


def read(path: Path) -> Settings:
    """The settings of a file. Raises :class:`SettingsError`, which names file, field and what is allowed."""
    try:
        settings = Settings.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from None
    except RecursionError:
        raise SettingsError(f"{path}: {json_text.TOO_DEEP}; settings have a few") from None
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, item['loc']))}: {_message(item['type'], item['msg'])}"
            for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    _check_ways_in(path, settings)
    _check_authority(path, settings)
    if settings.webhook is not None and settings.ca is None:
        raise SettingsError(f"{path}: webhook: its certificate is the own authority's; write a section ca, too")
    if settings.injection is not None and settings.webhook is None:
        raise SettingsError(
            f"{path}: injection: API servers ask at the webhook's address; write a section webhook, too"
        )
    return settings


def _check_authority(path: Path, settings: Settings) -> None:
    if settings.kubernetes is not None and settings.kubernetes.root_config_maps and not settings.gives_roots:
        missing = (
            "a section ca, whose roots they are" if settings.ca is None else "kubernetes.status, by whom they are kept"
        )
        raise SettingsError(f"{path}: kubernetes.root_config_maps: needs {missing}")
    if settings.ca is None or settings.ca.secret is None:
        return
    if settings.kubernetes is None:
        raise SettingsError(f"{path}: ca.secret: is in a cluster; write a section kubernetes, too, or leave it away")
    if settings.ca.given is not None:
        raise SettingsError(
            f"{path}: ca.given: the authority stands in the Secret {settings.ca.secret}; name one of both"
        )


def _check_ways_in(path: Path, settings: Settings) -> None:
    address = settings.xds_address
    if address is None and settings.ca is None:
        raise SettingsError(f"{path}: xds_address: without it, and without a section ca, no proxy could connect")
    if address is None or is_loopback(address):
        return
    outside = f"{path}: xds_address: {address} can be reached from outside, and is no TLS"
    mend = "serve proxies of other machines over TLS (ca.address), and this on loopback"
    if settings.join_token_file is not None:
        # Whoever reads it on its way may join as anybody from then on, so nothing allows it.
        raise SettingsError(f"{outside}: everybody on the way could read the token of join_token_file; {mend}")
    if not settings.plaintext_from_outside:
        raise SettingsError(
            f"{outside}: anyone could join, and read everybody's configuration; {mend}, or allow it with "
            f"plaintext_from_outside: true where the network keeps others out"
        )


def _message(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def join_token(settings: Settings) -> str | None:
    """The token that proxies must show; ``None`` when none is asked for. Raises :class:`SettingsError`."""
    if settings.join_token_file is None:
        return None
    try:
        token = settings.join_token_file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"join_token_file: {error}") from None
    if len(token) < 16:
        raise SettingsError(
            f"join_token_file: {settings.join_token_file} holds fewer than 16 characters; make a longer token"
        )
    return token

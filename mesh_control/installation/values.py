"""What may be chosen of a mesh in a cluster; everything has a default."""

from importlib import metadata
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mesh_api.identity import trust_domain
from mesh_control.injection.template import Cpu, Memory
from mesh_policy import PolicyError, json_text
from mesh_policy.mesh_config import MeshConfig, read_mesh_config
from mesh_policy.yaml_text import written

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
LOW_PORTS = 1024
MOVED = 8000
"""What is added to a port below 1024, to be listened on without rights: 80 becomes 8080, 443 becomes 8443."""


class ValuesError(ValueError):
    """The values cannot be used; the message has one line for each wrong field."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resources(_Model):
    """What a container may use, in Kubernetes' quantities."""

    cpu_request: Cpu = "100m"
    memory_request: Memory = "128Mi"
    cpu_limit: Cpu = "2"
    memory_limit: Memory = "1Gi"

    def to_container(self) -> dict[str, dict[str, str]]:
        """For a container."""
        return {
            "requests": {"cpu": self.cpu_request, "memory": self.memory_request},
            "limits": {"cpu": self.cpu_limit, "memory": self.memory_limit},
        }


class GatewayPort(_Model):
    """A port of a gateway: ``port`` is its Service's, ``node_port`` one of every machine where it is set."""

    name: Name
    port: Port
    node_port: Port | None = None

    @property
    def target(self) -> int:
        """Where the proxy listens."""
        return self.port + MOVED if self.port < LOW_PORTS else self.port


class Gateway(_Model):
    """A gateway: a Deployment and a Service of its name, with the label ``istio`` by which Gateways select it.

    ``address`` asks for an address of those that are given to Services of type LoadBalancer.
    """

    name: Name
    label: Name
    type: Literal["LoadBalancer", "NodePort", "ClusterIP"] = "LoadBalancer"
    address: str | None = None
    replicas: Annotated[int, Field(ge=1)] = 1
    ports: Annotated[tuple[GatewayPort, ...], Field(min_length=1)] = (
        GatewayPort(name="http2", port=80),
        GatewayPort(name="https", port=443),
    )
    resources: Resources = Resources()
    annotations: dict[str, str] = Field(default_factory=dict)


class External(_Model):
    """A Service of type LoadBalancer by which machines that are no nodes of the cluster reach the control plane.

    ``address`` asks for an address of those that are given to Services of that type.
    """

    address: str | None = None


INGRESS = Gateway(name="istio-ingressgateway", label="ingressgateway")
EGRESS = Gateway(name="istio-egressgateway", label="egressgateway", type="ClusterIP")


def _image(name: str) -> str:
    try:
        version = metadata.version("meshwright")
    except metadata.PackageNotFoundError:
        version = "latest"
    return f"docker.io/meshwright/{name}:{version}"


class Installation(_Model):
    """The mesh of a cluster.

    ``repository`` is where its images are (``REPOSITORY/control:TAG``); another ``revision`` has the pods of the control
    plane and of gateways made anew, as after images of the same names were replaced. ``mesh_config`` has fields of Istio's
    MeshConfig. ``native``: whether proxies are Kubernetes' sidecar containers (``auto``: where the cluster has them).
    ``external``: where it is there, machines beside the cluster reach the control plane. ``definitions``: whether the
    CustomResourceDefinitions are among the objects; not where another Istio has brought them.
    """

    namespace: Name = "istio-system"
    repository: str = "docker.io/meshwright"
    tag: str = ""
    revision: str = ""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pull_secrets: tuple[Name, ...] = ()
    replicas: Annotated[int, Field(ge=1)] = 2
    resources: Resources = Resources(memory_limit="2Gi")
    proxy: Resources = Resources()
    native: Literal["auto", "always", "never"] = "auto"
    cluster: str = "Kubernetes"
    network: str = ""
    trust_domain: str = "cluster.local"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    gateways: tuple[Gateway, ...] = (INGRESS, EGRESS)
    external: External | None = None
    mesh_config: dict[str, Any] = Field(default_factory=lambda: {"accessLogFile": "/dev/stdout"})
    definitions: bool = True

    @field_validator("trust_domain")
    @classmethod
    def _is_trust_domain(cls, value: str) -> str:
        return trust_domain(value)

    @field_validator("mesh_config")
    @classmethod
    def _is_mesh_config(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            read_mesh_config(written(value))
        except PolicyError as error:
            raise ValueError("; ".join(f"{p.field}: {p.message}" for p in error.problems)) from None
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Installation":
        names = [gateway.name for gateway in self.gateways]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"gateways: {twice[0]!r} stands twice")
        said = self.mesh_config.get("trustDomain", self.trust_domain)
        if said != self.trust_domain:
            raise ValueError(
                f"mesh_config.trustDomain: {said!r} is not trust_domain, {self.trust_domain!r}; leave it out"
            )
        return self

    @property
    def mesh(self) -> MeshConfig:
        """The settings of the mesh."""
        return read_mesh_config(self.mesh_config_text)

    @property
    def mesh_config_text(self) -> str:
        """The same as YAML, for the ConfigMap."""
        return written({**self.mesh_config, "trustDomain": self.trust_domain})

    def image(self, name: str) -> str:
        """Of one of our programs, ``control`` or ``proxy``."""
        return f"{self.repository.rstrip('/')}/{name}:{self.tag or _image(name).rpartition(':')[2]}"


def read(text: str, path: str) -> Installation:
    """The values of YAML, which came from ``path``. Raises :class:`ValuesError`, which names it and the field."""
    try:
        return Installation.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise ValuesError(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValuesError(f"{path}: {json_text.TOO_DEEP}; values have a few") from None
    except ValidationError as error:
        raise ValuesError(
            "\n".join(_told(path, item["loc"], item["type"], item["msg"]) for item in error.errors())
        ) from None


def _told(path: str, place: tuple[int | str, ...], kind: str, message: str) -> str:
    said = "there is no such value" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
    return ": ".join((path, *([".".join(map(str, place))] if place else ()), said))

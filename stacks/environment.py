"""The one model of an environment: stack config, inventories, role variables and the reference table come from it.

A wrong value is refused with the key, the value and what is allowed, before anything is touched: parse with
:func:`parse`, which turns pydantic's report into one readable :class:`InvalidEnvironmentError`.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyAddress,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from mesh_policy.mesh_config import MeshConfig
from stacks import cluster, ports

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
"""A lower-case DNS label of at most 40 characters."""
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]

WorkloadName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,25}[a-z0-9])?$")]
"""A name of at most 27 characters: that of the workload's user, ``demo-NAME``, may have 32."""
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")]
"""A user of a machine; at most 32 characters."""
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")]
"""The value of a label, as Kubernetes has it."""
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""The name of an environment variable."""
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without control characters."""


def _addresses(text: str) -> str:
    return str(cluster.address_range(text))


Addresses = Annotated[str, AfterValidator(_addresses)]
"""A range of addresses."""
OWN_VARIABLES = ("BIND", "DATABASE_URL_FILE", "PORT")
"""Variables of a workload's program that follow from other settings."""


class InvalidEnvironmentError(ValueError):
    """Every wrong value of an environment, one line each: key, value, what is allowed."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Machine(_Model):
    """One machine."""

    name: Name = Field(description="Host name.")
    address: str = Field(description="IPv4 address that the other machines reach it by.")
    ssh_port: Port = Field(default=22, description="Port of its SSH server.")
    host_key: str | None = Field(
        default=None, description="Public host key (`ssh-ed25519 AAAA...`); unset: taken on first use and remembered."
    )

    @field_validator("address")
    @classmethod
    def _address_is_ip(cls, value: str) -> str:
        return str(ipaddress.IPv4Address(value))


class Machines(_Model):
    """Where the environment runs."""

    driver: Literal["namespaces", "existing", "qemu", "processes"] = Field(
        default="namespaces",
        description="`namespaces`: made here, no security boundary; `existing`: any SSH hosts; `qemu`: virtual machines; "
        "`processes`: no machines, plain processes on loopback.",
    )
    network: ipaddress.IPv4Network = Field(
        default=ipaddress.IPv4Network("10.77.0.0/24"),
        description="Network of the machines; its first address is the gateway.",
    )
    cores: Annotated[int, Field(ge=1, le=256)] = Field(default=2, description="Processor cores of each machine.")
    memory_mib: Annotated[int, Field(ge=256)] = Field(default=2048, description="Memory of each machine in MiB.")
    suite: str = Field(default="bookworm", description="Debian suite of the machine image.")
    mirror: str | None = Field(default=None, description="Debian mirror for the image; unset: this host's own sources.")
    ssh_user: UserName = Field(default="ansible", description="User that Ansible logs in as; may become root by sudo.")
    ssh_private_key_file: str = Field(
        default=".meshwright/ssh/id_ed25519", description="Private key for that user, from the project's root."
    )
    entrance_port: Port | None = Field(
        default=None,
        description="Port of this host's loopback with an HTTP proxy that leads to machines made here (`namespaces`), for "
        "kubectl and browsers; unset: none.",
    )
    nodes: tuple[Machine, ...] = Field(default=(), description="The machines.")


class ServicePort(_Model):
    """One port of a service."""

    name: Name = Field(default="http", description="Port name; its prefix tells the protocol, as in Istio.")
    port: Port = Field(description="Port that callers use.")
    protocol: Literal["HTTP", "TCP", "GRPC", "HTTP2"] = Field(default="HTTP", description="Protocol on the port.")


class Service(_Model):
    """A name under which workloads are reached."""

    name: Name = Field(description="Short name; `NAME.NAMESPACE.svc.cluster.local` is the full one.")
    namespace: Name = Field(default="default", description="Namespace.")
    ports: tuple[ServicePort, ...] = Field(min_length=1, description="Its ports.")
    selector: dict[str, str] | None = Field(default=None, description="Labels of its workloads; unset: `app: NAME`.")

    @property
    def hostname(self) -> str:
        """The fully qualified name."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def labels(self) -> dict[str, str]:
        """The labels that its workloads carry."""
        return self.selector if self.selector is not None else {"app": self.name}


class Workload(_Model):
    """One running copy of a service on a machine or in a cluster, with a sidecar beside it."""

    name: WorkloadName = Field(description="Unique name; at most 27 characters.")
    service: Name = Field(description="Service that it belongs to.")
    version: Label = Field(default="v1", description="Label `version`.")
    machine: Name | None = Field(
        default=None,
        description="Machine that it runs on; in a cluster its scheduler chooses, and this is not looked at.",
    )
    program: Literal["store", "order", "warehouse", "warranty", "book-store"] = Field(
        description="Which demo program it runs."
    )
    settings: dict[Variable, Line] = Field(
        default_factory=dict,
        description="Environment variables of the program; its address and port are not among them.",
    )
    database: bool = Field(default=False, description="Whether it uses PostgreSQL.")

    @field_validator("settings")
    @classmethod
    def _settings_are_free(cls, value: dict[str, str]) -> dict[str, str]:
        taken = sorted(set(value) & set(OWN_VARIABLES))
        if taken:
            raise ValueError(f"{', '.join(taken)} follows from other settings; set any but {', '.join(OWN_VARIABLES)}")
        return value


class Gateway(_Model):
    """The ingress gateway."""

    name: Name = Field(default="ingressgateway", description="Workload name; it carries the label `istio: NAME`.")
    namespace: Name = Field(default="istio-system", description="Namespace.")
    machine: Name = Field(default="node1", description="Machine that it runs on.")
    http_port: Port = Field(default=80, description="Port for plain HTTP from outside.")
    bind: IPvAnyAddress | None = Field(default=None, description="Address that it listens on; unset: all of its own.")


class Proxy(_Model):
    """Settings of every proxy."""

    concurrency: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Worker processes of each proxy.")
    drain_seconds: Seconds = Field(default=5.0, description="How long a stopping proxy lets requests finish.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Log level.")


class Mesh(_Model):
    """The control plane and the proxies."""

    control_machine: Name = Field(default="node1", description="Machine of the control plane.")
    xds_port: Port = Field(
        default=15012,
        description="Port of certificates and of the configuration stream: over mutual TLS between machines, without "
        "TLS where there are none (`processes`).",
    )
    monitoring_port: Port = Field(
        default=15014, description="Port of metrics, and of debug pages for who shows the join token."
    )
    gateway: Gateway = Field(default=Gateway(), description="The ingress gateway.")
    proxy: Proxy = Field(default=Proxy(), description="Every proxy.")
    policy_wait_seconds: Seconds = Field(default=60.0, description="How long a change of policy waits for every proxy.")
    prometheus_url: Annotated[str, Field(pattern=r"^(https?://[^/\s]+\S*)?$")] = Field(
        default="",
        description="Prometheus by which releases are measured, as the control plane reaches it; "
        "empty: by the proxies' own statistics.",
    )
    config: MeshConfig | None = Field(
        default=None,
        description="Settings of the whole mesh, with the fields of Istio's MeshConfig (mesh-configuration.md); unset: "
        "Istio's defaults, with access logs on the proxies' output and without traces.",
    )


class Postgresql(_Model):
    """The database of the demo workloads."""

    machine: Name = Field(
        default="node1",
        description="Machine that it runs on; in a cluster its scheduler chooses, and this is not looked at.",
    )
    port: Port = Field(default=5432, description="Port.")
    database: Name = Field(default="services", description="Database name.")
    user: Name = Field(
        default="program", description="Role that the workloads log in as; its password is in the vault."
    )
    service: Name = Field(default="postgres", description="Name in the mesh.")
    storage_class: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")] | None = Field(
        default=None,
        description="In a cluster: class of the volume that its data is kept on; unset: data lives as long as its pod.",
    )
    storage_mib: Annotated[int, Field(ge=128)] = Field(default=1024, description="In a cluster: size of that volume.")


class MeshMachine(_Model):
    """A workload on a machine that is no node of the cluster, in the mesh of the cluster's pods (`cluster/join.yml`)."""

    machine: Name = Field(description="Machine (of `machines.nodes`); it becomes no node of the cluster.")
    name: WorkloadName = Field(description="Unique name; at most 27 characters.")
    service: Name | None = Field(
        default=None,
        description="Service (of `services`) that it is behind, beside pods or alone; unset: it only calls.",
    )
    namespace: Name | None = Field(default=None, description="Namespace; unset: its service's, else `default`.")
    service_account: Name | None = Field(
        default=None,
        description="Service account, which says who it is; unset: of its service's name, else of its own.",
    )
    version: Label = Field(default="v1", description="Label `version`.")
    labels: dict[str, Label] = Field(default_factory=dict, description="Further labels.")
    program: Literal["book-store"] | None = Field(
        default=None,
        description="Demo program that it runs (one without a database); unset: one of yours, which is there already.",
    )
    user: UserName | None = Field(
        default=None,
        description="User of the machine that your program runs as: what that user sends goes by the sidecar.",
    )
    settings: dict[Variable, Line] = Field(
        default_factory=dict, description="Environment variables of the demo program."
    )


class ClusterMesh(_Model):
    """The mesh in a cluster: what `cluster/mesh.yml` puts there; what `mesh` says of proxies and of the mesh counts as
    well."""

    repository: Annotated[str, Field(pattern=r"^[a-z0-9.:/_-]+$")] = Field(
        default="docker.io/meshwright",
        description="Beginning of the names of its images and of the demo's, `REPOSITORY/control` for instance.",
    )
    tag: str = Field(default="", description="Tag of its images; empty: this version's.")
    replicas: Annotated[int, Field(ge=1)] = Field(default=2, description="Copies of the control plane.")
    gateway_type: Literal["LoadBalancer", "NodePort"] = Field(
        default="LoadBalancer", description="How the ingress gateway is reached from outside."
    )
    gateway_replicas: Annotated[int, Field(ge=1)] = Field(default=1, description="Copies of the ingress gateway.")
    gateway_address: IPvAnyAddress | None = Field(
        default=None, description="External address of the ingress gateway; unset: any of those that there are."
    )
    egress_gateway: bool = Field(default=True, description="Whether there is an egress gateway.")
    native_sidecars: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether proxies are sidecar containers of Kubernetes' own; `auto`: where the cluster has them.",
    )
    machines: tuple[MeshMachine, ...] = Field(
        default=(), description="Workloads on machines beside the cluster, in the mesh of its pods."
    )
    control_address: IPvAnyAddress | None = Field(
        default=None,
        description="External address of the control plane, where there are such machines; unset: any of those that there "
        "are.",
    )


class Kubernetes(_Model):
    """A cluster on the machines: what `kubernetes.yml` makes of them."""

    version: Annotated[str, StringConstraints(pattern=r"^1\.3[34]\.\d+$")] = Field(
        default="1.34.2", description="Version of Kubernetes; the roles are for 1.33 and 1.34."
    )
    control_machines: tuple[Name, ...] = Field(
        default=(), description="Machines of the control plane, an odd number; unset: the first node of the cluster."
    )
    endpoint: str | None = Field(
        default=None,
        description="Name or address by which every machine reaches the API; unset: `virtual_address`, or that of the first "
        "control machine.",
    )
    virtual_address: str | None = Field(
        default=None,
        description="Address of the machines' network that no machine has: one control machine at a time holds it, and "
        "another one when that dies; unset: none. Several control machines need it, or an `endpoint` of your own.",
    )
    api_port: Port = Field(default=6443, description="Port of the API.")
    pod_network: ipaddress.IPv4Network = Field(
        default=ipaddress.IPv4Network("10.244.0.0/16"),
        description="Network of the pods, of which every machine gets a part of 24 bits.",
    )
    service_network: ipaddress.IPv4Network = Field(
        default=ipaddress.IPv4Network("10.96.0.0/16"), description="Network of the addresses of services."
    )
    pod_traffic: Literal["vxlan", "host-gw"] = Field(
        default="vxlan",
        description="How pods reach those of other machines: `vxlan` wraps their packets and works on any network; "
        "`host-gw` routes them, between machines of one network.",
    )
    mesh: ClusterMesh = Field(default=ClusterMesh(), description="The mesh in the cluster.")
    address_pool: tuple[Addresses, ...] = Field(
        default=(),
        description="Addresses on the machines' network that Services of type LoadBalancer get: `FIRST-LAST`, networks, "
        "addresses; nobody else may have them. Empty: such Services get none.",
    )
    storage: Literal["local-path", "none"] = Field(
        default="local-path",
        description="The default storage class: `local-path`: directories of the machine that a pod runs on; `none`: none.",
    )
    metrics: bool = Field(
        default=True, description="Whether the cluster measures what pods and machines use (`kubectl top`)."
    )

    @field_validator("virtual_address")
    @classmethod
    def _address_is_ip(cls, value: str | None) -> str | None:
        return None if value is None else str(ipaddress.IPv4Address(value))


class Sources(_Model):
    """Where software comes from."""

    kubernetes: Literal["official", "built"] = Field(
        default="official",
        description="Kubernetes, its images and programs: `official`: its project's registry and archive; `built`: what "
        "`make images` made on this machine.",
    )

    pulumi_plugins: Literal["official", "double"] = Field(
        default="official",
        description="Provider of pulumi-kubernetes: `official`: Pulumi's own; `double`: a test double of it, where Pulumi's "
        "server is not reached (docs/pulumi-kubernetes.md).",
    )
    python_index: str | None = Field(
        default=None, description="Python package index for the wheelhouse; unset: pip's own setting."
    )
    pulumi_releases: str = Field(default="https://get.pulumi.com/releases/sdk", description="Pulumi's release archive.")


class Environment(_Model):
    """Everything that an environment says."""

    name: Name = Field(description="Name; also the stack's.")
    machines: Machines = Field(default=Machines(), description="Where it runs.")
    mesh: Mesh = Field(default=Mesh(), description="Control plane and proxies.")
    platform: Literal["machines", "kubernetes"] = Field(
        default="machines",
        description="What a stack makes: `machines`: the mesh on the machines themselves; `kubernetes`: a cluster of them.",
    )
    kubernetes: Kubernetes | None = Field(
        default=None, description="The cluster that `kubernetes.yml` makes of the machines; unset: none."
    )
    postgresql: Postgresql | None = Field(default=None, description="The database; unset: none.")
    scenario: Literal["steady", "timeout", "routing", "canary", "circuit-breaker", "authentication"] = Field(
        default="steady", description="Which of the demo's traffic policies is in force."
    )
    services: tuple[Service, ...] = Field(default=(), description="Names under which workloads are reached.")
    workloads: tuple[Workload, ...] = Field(default=(), description="What runs.")
    sources: Sources = Field(default=Sources(), description="Where software comes from.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = [*self._duplicate_names(), *self._unknown_machines(), *self._unknown_services(), *self._outside()]
        problems += [*self._uncertified(), *cluster.problems(self)]
        problems = problems or self._taken_ports()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _duplicate_names(self) -> list[str]:
        found = []
        for key, names in (
            ("machines.nodes", [node.name for node in self.machines.nodes]),
            ("machines.nodes address", [node.address for node in self.machines.nodes]),
            ("kubernetes.control_machines", [] if self.kubernetes is None else [*self.kubernetes.control_machines]),
            ("services (and postgresql.service)", self._service_names()),
            (
                "workloads (and mesh.gateway.name)",
                [self.mesh.gateway.name, *(workload.name for workload in self.workloads)],
            ),
        ):
            found += [f"{key}: {name!r} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        return found

    def _service_names(self) -> list[str]:
        database = [] if self.postgresql is None else [self.postgresql.service]
        return [*(service.name for service in self.services), *database]

    def _unknown_machines(self) -> list[str]:
        known = [node.name for node in self.machines.nodes]
        users: list[tuple[str, str | None]] = []
        if self.platform == "machines":
            users += [(f"workloads.{w.name}.machine", w.machine) for w in self.workloads]
            users.append(("mesh.control_machine", self.mesh.control_machine))
            users.append(("mesh.gateway.machine", self.mesh.gateway.machine))
            if self.postgresql is not None:
                users.append(("postgresql.machine", self.postgresql.machine))
        if self.kubernetes is not None:
            users += [("kubernetes.control_machines", name) for name in self.kubernetes.control_machines]
        return [
            f"{key}: {'is required' if name is None else f'no machine {name!r}'} "
            f"(allowed: {', '.join(known) or 'none is declared in machines.nodes'})"
            for key, name in users
            if name not in known
        ]

    def _unknown_services(self) -> list[str]:
        known = [service.name for service in self.services]
        found = [
            f"workloads.{w.name}.service: no service {w.service!r} (allowed: {', '.join(known) or 'none is declared'})"
            for w in self.workloads
            if w.service not in known
        ]
        if self.postgresql is None:
            found += [
                f"workloads.{w.name}.database: asks for a database and postgresql is unset"
                for w in self.workloads
                if w.database
            ]
        return found

    def _uncertified(self) -> list[str]:
        if self.scenario != "authentication" or self.machines.driver != "processes":
            return []
        return [
            "scenario: authentication needs certificates, which processes without machines have not (allowed: others)"
        ]

    def _outside(self) -> list[str]:
        if self.machines.driver not in ("namespaces", "qemu"):
            return []
        network = self.machines.network
        if network.prefixlen > 30:
            return [f"machines.network: {network} has no room for machines (allowed: a prefix of at most 30 bits)"]
        found = []
        for node in self.machines.nodes:
            address, key = ipaddress.IPv4Address(node.address), f"machines.nodes.{node.name}.address"
            if address not in network:
                found.append(f"{key}: {node.address} is not in machines.network {network}")
            elif address in (network[0], network[1], network[-1]):
                found.append(
                    f"{key}: {node.address} is the network's own or its gateway's; others of {network} are free"
                )
        return found

    def _taken_ports(self) -> list[str]:
        # Of processes and of pods every one has ports of its own.
        apart = self.machines.driver == "processes" or self.platform == "kubernetes"
        return [] if apart else ports.clashes(self)

    def machine(self, name: str) -> Machine:
        """The machine of that name (:class:`KeyError` when there is none)."""
        return {node.name: node for node in self.machines.nodes}[name]

    def place(self, workload: Workload) -> Machine:
        """The machine of a workload (:class:`KeyError` where it has none, as in a cluster)."""
        return self.machine(workload.machine or "")

    def service(self, name: str) -> Service:
        """The service of that name (:class:`KeyError` when there is none)."""
        return {service.name: service for service in self.services}[name]


def parse(base: Environment | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Environment:
    """The environment of ``base`` with ``overrides`` laid over it key by key (lists are replaced whole).

    Raises :class:`InvalidEnvironmentError` with one line for each wrong value.
    """
    values = base.model_dump(mode="json", exclude_unset=True) if isinstance(base, Environment) else base
    if overrides is not None and not isinstance(overrides, Mapping):
        raise InvalidEnvironmentError(f"environment = {overrides!r}: must be a table of settings")
    try:
        return Environment.model_validate(merge(values, overrides or {}))
    except ValidationError as error:
        raise InvalidEnvironmentError(describe(error)) from None


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over`` in place of its own, mappings merged at every depth."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def describe(error: ValidationError) -> str:
    """Pydantic's report as lines ``environment.KEY = VALUE: what is allowed``."""
    lines = []
    for item in error.errors(include_url=False):
        key = ".".join(("environment", *map(str, item["loc"])))
        message = item["msg"].removeprefix("Value error, ").replace("valid tuple", "list")
        if not item["loc"]:  # of the environment as a whole: each line names its key
            lines += [f"environment.{line}" for line in message.splitlines()]
        elif item["type"] == "extra_forbidden":
            lines.append(f"{key}: there is no such setting")
        elif item["type"] == "missing":
            lines.append(f"{key}: is required")
        elif isinstance(item["input"], str | int | float | bool | None):
            lines.append(f"{key} = {item['input']!r}: {message}")
        else:
            lines.append(f"{key}: {message}")
    return "\n".join(lines)

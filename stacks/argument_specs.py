"""The roles' argument specifications (``roles/*/meta/argument_specs.yml``), made from the environment's model. Pure."""

from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stacks.environment import Kubernetes, Mesh, Postgresql, Proxy, Sources

Option = dict[str, Any]


def of(model: type[BaseModel], field: str) -> Option:
    """The option that carries a field of the environment, with its type, default and description."""
    info = model.model_fields[field]
    option: Option = {"type": _type(info.annotation), "description": [info.description]}
    if info.is_required():
        option["required"] = True
    elif isinstance(info.default, str | int | float | bool):
        option["default"] = info.default
    choices = _choices(info)
    return option | ({"choices": choices} if choices else {})


def _type(annotation: Any) -> str:
    kinds = {int: "int", float: "float", bool: "bool", dict: "dict", tuple: "list", list: "list"}
    base = get_origin(annotation) or annotation
    return kinds.get(base, "str")


def _choices(info: FieldInfo) -> list[Any]:
    values = get_args(info.annotation)
    return list(values) if values and all(isinstance(value, str) for value in values) else []


def text(description: str, **more: Any) -> Option:
    """A string option."""
    return {"type": "str", "description": [description], **more}


def number(description: str, **more: Any) -> Option:
    """A whole number."""
    return {"type": "int", "description": [description], **more}


def items(description: str, **more: Any) -> Option:
    """A list of strings."""
    return {"type": "list", "elements": "str", "description": [description]} | more


def records(description: str, options: dict[str, Option], **more: Any) -> Option:
    """A list of mappings."""
    return {"type": "list", "elements": "dict", "description": [description], "options": options, **more}


def mapping(description: str, **more: Any) -> Option:
    """A mapping with free keys."""
    return {"type": "dict", "description": [description], **more}


REQUIRED = {"required": True}
_NAME = text("Name of the workload.", **REQUIRED)
_PREFIX = text("Where the software is installed.", default="/opt/meshwright")

ROLES: dict[str, tuple[str, dict[str, Option]]] = {
    "host": (
        "Base of every host: preflight, packages, directories, names of services",
        {
            "host_packages": items("Debian packages that every host needs."),
            "host_service_names": mapping("Address to the service names that resolve to it."),
            "host_ports": records(
                "TCP ports that must be free, or held by the unit that is to hold them.",
                {
                    "port": number("The port.", **REQUIRED),
                    "unit": text("The unit; a shell pattern.", default=""),
                    "program": text("The program, where it is in no unit of its own; a shell pattern.", default=""),
                    "setting": text("The setting that chooses the port; empty: none does.", default=""),
                },
                default=[],
            ),
            "host_memory_mib": number("Memory that the host needs, in MiB.", default=0),
            "host_cores": number("Processor cores that the host needs.", default=0),
            "host_units": items("Units of the mesh that the host keeps; others of ours are removed.", default=[]),
            "host_users": items("Further unprivileged users.", default=[]),
        },
    ),
    "package": (
        "Python environments made of our wheels, owned by root",
        {
            "package_prefix": _PREFIX,
            "package_archive": text("Archive of wheels on the controller; `make wheel` makes it."),
            "package_name": text("Directory name of the environment below the prefix.", **REQUIRED),
            "package_requirements": items("What to install, in pip's notation.", **REQUIRED),
            "package_verify": items("Distributions whose files are compared with their hashes.", default=[]),
        },
    ),
    "service": (
        "Systemd units enabled, running, and no older than their files",
        {
            "service_units": records(
                "The units; they start and restart together.",
                {
                    "name": text("Full name of the unit.", **REQUIRED),
                    "files": items("Files that it reads when it starts.", default=[]),
                    "touched": {
                        "type": "bool",
                        "description": ["Whether a task before has changed one of its files."],
                        "default": False,
                    },
                },
                default=[],
            ),
        },
    ),
    "redirect": (
        "Sends the workloads' traffic through their sidecars",
        {
            "redirect_proxy_user": text("User of the proxies.", default="mesh-proxy"),
            "redirect_workloads": records(
                "The workloads of this host.",
                {
                    "name": _NAME,
                    "user": text("User that the workload runs as.", **REQUIRED),
                    "ports": {"type": "list", "elements": "int", "description": ["Ports it serves."], **REQUIRED},
                    "inbound_port": number("Port of its sidecar for traffic to it.", **REQUIRED),
                    "outbound_port": number("Port of its sidecar for traffic from it.", **REQUIRED),
                },
                default=[],
            ),
        },
    ),
    "container_runtime": (
        "containerd, as the kubelet uses it, and images that are brought to the host",
        {
            "container_runtime_packages": items("Debian packages."),
            "container_runtime_pause": text("The image that holds a pod's namespaces."),
            "container_runtime_cni": text("Directory of the programs that connect pods.", default="/usr/lib/cni"),
            "container_runtime_mtu": number("Size of the pods' packets in octets.", default=1450),
            "container_runtime_images": records(
                "Images that the host imports; others are fetched when they are needed.",
                {
                    "name": text("Whole name, as the kubelet asks for it.", **REQUIRED),
                    "digest": text("Digest (sha256:...).", **REQUIRED),
                    "source": text("Archive on the controller, in the OCI image layout.", **REQUIRED),
                },
                default=[],
            ),
        },
    ),
    "kubernetes": (
        "A machine of a cluster: its kubelet, and what the cluster's system needs",
        {
            "kubernetes_version": of(Kubernetes, "version"),
            "kubernetes_source": of(Sources, "kubernetes"),
            "kubernetes_archive": text("The archive of the project's programs.", default="https://dl.k8s.io/release"),
            "kubernetes_name": text("Name of the cluster.", **REQUIRED),
            "kubernetes_endpoint": text("HOST:PORT by which every machine reaches the API.", **REQUIRED),
            "kubernetes_address": text("Address of the machine.", **REQUIRED),
            "kubernetes_virtual_address": text(
                "Address that one machine of the control plane holds at a time (keepalived); empty: none.", default=""
            ),
            "kubernetes_pod_network": text("Network of the pods.", default="10.244.0.0/16"),
            "kubernetes_service_network": text("Network of the addresses of services.", default="10.96.0.0/16"),
            "kubernetes_pod_traffic": of(Kubernetes, "pod_traffic"),
            "kubernetes_proxy_url": text(
                "HTTP proxy by which the operator reaches the machines; empty: none.", default=""
            ),
            "kubernetes_address_pool": of(Kubernetes, "address_pool") | {"elements": "str"},
            "kubernetes_storage": of(Kubernetes, "storage"),
            "kubernetes_metrics": of(Kubernetes, "metrics"),
            "kubernetes_volumes": text("Directory of the machines for volumes.", default="/var/lib/meshwright/volumes"),
            "kubernetes_flannel_image": text("The image of flannel."),
            "kubernetes_metallb_controller_image": text("The image by which MetalLB allots addresses."),
            "kubernetes_metallb_speaker_image": text("The image by which MetalLB answers for addresses."),
            "kubernetes_local_path_image": text("The image of local-path-provisioner, with a shell."),
            "kubernetes_metrics_server_image": text("The image of metrics-server."),
            "kubernetes_further_images": items(
                "Images of `make images` that the host imports for workloads.", default=[]
            ),
            "kubernetes_packages": items("Debian packages that the kubelet and kube-proxy use."),
            "kubernetes_dist": text("Where `make images` writes, on the controller."),
            "kubernetes_login": text("Where the operator's kubeconfig file is kept, on the controller."),
            "kubernetes_ready_seconds": number("How long a machine may take to be ready.", default=180),
            "kubernetes_certificate_days": number(
                "Certificates of the control plane are renewed of which one ends in fewer days.", default=90
            ),
            "kubernetes_backups": text("Directory of the cluster's backups, on the controller."),
            "kubernetes_backup_password_file": text(
                "File with the password (of the vault) that backups are encrypted with, on the controller."
            ),
        },
    ),
    "kubernetes_mesh": (
        "The mesh in a cluster",
        {
            "kubernetes_mesh_values": mapping("What of `mesh manifests` is to be otherwise."),
            "kubernetes_mesh_command": text("The command `mesh`, on the controller."),
            "kubernetes_mesh_images": items("Which of our images the machines are brought, where they are built."),
            "kubernetes_mesh_ready_seconds": number("How long each of its parts may take to be ready.", default=180),
        },
    ),
    "mesh_machine": (
        "A machine beside a cluster, in the mesh of its pods",
        {
            "mesh_machine_shared_objects": items(
                "What of the cluster it needs and others as well: made where it is missing, and left as it is otherwise.",
                elements="dict",
                default=[],
            ),
            "mesh_machine_own_objects": items(
                "What the cluster has for it alone, and what goes with it.", elements="dict", **REQUIRED
            ),
            "mesh_machine_namespace": text("Namespace of its workload.", **REQUIRED),
            "mesh_machine_control_service": text(
                "NAMESPACE/NAME of the Service of type LoadBalancer by which it reaches the control plane.",
                default="istio-system/istiod-external",
            ),
        },
    ),
    "kubernetes_workloads": (
        "Workloads in a cluster, with their database",
        {
            "kubernetes_workloads_manifests": items("The objects.", elements="dict", default=[]),
            "kubernetes_workloads_secret": mapping("The Secret with the database's password.", no_log=True),
            "kubernetes_workloads_database_url": text("URL of the database with its password.", no_log=True),
            "kubernetes_workloads_selector": text(
                "Labels of these objects; others that have them are removed. Empty: none are.", default=""
            ),
            "kubernetes_workloads_rollouts": items("NAMESPACE/KIND/NAME of what is waited for.", default=[]),
            "kubernetes_workloads_images": items(
                "Which of our images the machines are brought, where they are built.", default=[]
            ),
            "kubernetes_workloads_ready_seconds": number("How long each of them may take to be ready.", default=300),
        },
    ),
    "mesh_control": (
        "The control plane as a service",
        {
            "mesh_control_prefix": _PREFIX,
            "mesh_control_xds_port": of(Mesh, "xds_port"),
            "mesh_control_monitoring_port": of(Mesh, "monitoring_port"),
            "mesh_control_log_level": of(Proxy, "log_level"),
            "mesh_control_prometheus_url": of(Mesh, "prometheus_url"),
            "mesh_control_mesh_config": mapping(
                "Settings of the whole mesh: Istio's MeshConfig. Empty: Istio's defaults, with access logs on the proxies' "
                "output and without traces."
            ),
            "mesh_control_inventory": mapping("Services and workloads that the control plane knows from the start."),
        },
    ),
    "mesh_proxy": (
        "A proxy beside every workload, and the gateway",
        {
            "mesh_proxy_prefix": _PREFIX,
            "mesh_proxy_drain_seconds": of(Proxy, "drain_seconds"),
            "mesh_proxy_authority": text(
                "Where the control plane is: `control`: a machine of the group control; `cluster`: a cluster, whose API is "
                "asked for the roots, and for tokens of service accounts.",
                default="control",
                choices=["control", "cluster"],
            ),
            "mesh_proxy_authority_host": text("The machine that is asked; unset: the first of the group control."),
            "mesh_proxy_kubeconfig": text(
                "Login to the cluster on that machine.", default="/etc/kubernetes/admin.conf"
            ),
            "mesh_proxy_roots_namespace": text(
                "Namespace of the cluster whose copy of the roots is taken.", default="istio-system"
            ),
            "mesh_proxy_token_audience": text("For whom these tokens are made.", default="istio-ca"),
            "mesh_proxy_instances": records(
                "The proxies of this host.",
                {
                    "name": _NAME,
                    "namespace": text("Namespace of the workload.", **REQUIRED),
                    "node_id": text("Istio's node id.", **REQUIRED),
                    "identity": text("SPIFFE id that its certificate is for.", **REQUIRED),
                    "metadata": mapping("Node metadata.", **REQUIRED),
                    "ports": mapping("Port numbers: outbound, inbound, admin, health, stats.", **REQUIRED),
                    "xds": mapping("Address and port of the control plane.", **REQUIRED),
                },
                default=[],
            ),
        },
    ),
    "postgresql": (
        "PostgreSQL with one database and its role",
        {
            "postgresql_version": text("Major version; unset: the one that the host's release carries."),
            "postgresql_port": of(Postgresql, "port"),
            "postgresql_address": text("Address that it listens on beside loopback.", default="127.0.0.1"),
            "postgresql_network": text("Network that may log in.", default="127.0.0.1/32"),
            "postgresql_database": of(Postgresql, "database"),
            "postgresql_user": of(Postgresql, "user"),
            "postgresql_password": text("Password of the role.", no_log=True, **REQUIRED),
        },
    ),
    "workload": (
        "Demo workloads as services, each under its own user",
        {
            "workload_prefix": _PREFIX,
            "workload_database_url": text("URL of the database with its password.", no_log=True, default=""),
            "workload_instances": records(
                "The workloads of this host.",
                {
                    "name": _NAME,
                    "user": text("User that it runs as.", **REQUIRED),
                    "port": number("Port that it serves.", **REQUIRED),
                    "program": text("Which demo program it runs.", **REQUIRED),
                    "settings": mapping("Environment variables.", default={}),
                    "database": {"type": "bool", "description": ["Whether it uses PostgreSQL."], "default": False},
                },
                default=[],
            ),
        },
    ),
}
"""Role to its short description and options: the one list of roles."""


def specification(role: str) -> dict[str, Any]:
    """The content of the role's ``meta/argument_specs.yml``."""
    title, options = ROLES[role]
    return {"argument_specs": {"main": {"short_description": title, "options": options}}}
